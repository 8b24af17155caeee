"""Reading over the wire: the exact bytes, the health book, refusals with their decision, and nothing else."""

from __future__ import annotations

import pytest
from lienthong.client.errors import LienthongError
from lienthong.records.v1 import document_service_pb2, document_service_pb2_grpc, submission_pb2
from lienthong.signing.v1 import verdict_pb2
from lienthong.type.v1 import access_context_pb2, document_kind_pb2, period_pb2

from services.chassis.errors import PeerUnavailable
from services.records.formats.document import ContentKind
from services.records.model import Permission
from tests.fakes.records_samples import FACILITY, episode, parsed, unidentified
from tests.integration.records.conftest import BY_LAW, CONSENT, EVERYTHING, Records, document, reason, said, sha256

pb = document_service_pb2
READER = "79001"
SUMMARY = frozenset({ContentKind.ENCOUNTER_SUMMARY})
DRUGS = frozenset({ContentKind.PRESCRIPTION})


async def test_another_facility_reads_the_exact_bytes_at_once(records: Records) -> None:
    sample = episode(1)
    signature = submission_pb2.DetachedSignature(format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, content=b"der")
    answer = await records.submit(document(sample, signatures=[signature]))
    records.consent.permissions = EVERYTHING
    response = await records.get(answer.document, READER)
    assert response.signed_content.content == sample.content
    assert list(response.signed_content.signatures) == [signature]
    assert response.signed_content.verdict == answer.verdict
    assert response.signed_content.receipt.entry == answer.receipt.entry
    assert response.document.content_sha256 == sha256(sample)
    assert response.document.person == answer.person
    assert response.document.period.end_time.ToDatetime() == sample_end(sample)
    assert (response.disclosure.decision, response.disclosure.access) == ("decisions/1", "accesses/1")


def sample_end(sample: object) -> object:
    discharged = parsed(sample).discharged  # type: ignore[arg-type] # an episode
    assert discharged is not None
    return discharged.replace(tzinfo=None)


async def test_without_a_permit_nothing_leaves(records: Records) -> None:
    answer = await records.submit(document(episode(1)))
    requests = {
        "GetDocument": pb.GetDocumentRequest(name=answer.document, context=CONSENT),
        "ListDocuments": pb.ListDocumentsRequest(person=answer.person, context=CONSENT),
        "GetHealthBook": pb.GetHealthBookRequest(person=answer.person, context=CONSENT),
    }
    for at, (method, request) in enumerate(requests.items(), 1):
        with pytest.raises(LienthongError) as refused:
            await records.read(method, request, READER)
        assert reason(refused.value) == ("PERMISSION_DENIED", "READ_NOT_PERMITTED")
        assert refused.value.metadata == {"decision": f"decisions/{at}", "would_change": "OBTAIN_CONSENT"}
    records.consent.permissions = (Permission(SUMMARY),)
    with pytest.raises(LienthongError) as refused:
        await records.get(answer.document, READER)
    assert refused.value.reason == "READ_NOT_PERMITTED"


async def test_consent_that_is_down_lets_nothing_out_and_works_again(records: Records) -> None:
    answer = await records.submit(document(episode(1)))
    records.consent.permissions = EVERYTHING
    records.consent.fault = PeerUnavailable("consent")
    with pytest.raises(LienthongError) as refused:
        await records.get(answer.document, READER)
    assert reason(refused.value) == ("UNAVAILABLE", "PEER_UNAVAILABLE")
    records.consent.fault = None
    assert (await records.get(answer.document, READER)).signed_content.content


async def test_what_is_not_there_and_what_is_held(records: Records) -> None:
    records.consent.permissions = EVERYTHING
    held = await records.submit(document(unidentified(1)))
    assert held.state == submission_pb2.SUBMISSION_STATE_HELD
    errors = []
    for name in (held.document, "documents/00000000-0000-7000-8000-000000000000"):
        with pytest.raises(LienthongError) as refused:
            await records.get(name, READER)
        errors.append((refused.value.code, refused.value.reason, refused.value.message, refused.value.metadata))
    assert errors[0] == errors[1]
    assert errors[0][1] == "DOCUMENT_NOT_FOUND"
    own = await records.get(held.document, FACILITY, BY_LAW)
    assert own.signed_content.content == unidentified(1).content


async def test_the_list_shows_what_may_be_known(records: Records) -> None:
    answer = await records.submit(document(episode(1)))
    records.consent.permissions = (Permission(SUMMARY | DRUGS),)
    request = pb.ListDocumentsRequest(person=answer.person, context=CONSENT)
    response = await records.read("ListDocuments", request, READER)
    (one,) = response.documents
    assert list(one.kinds) == [
        document_kind_pb2.DOCUMENT_KIND_ENCOUNTER_SUMMARY,
        document_kind_pb2.DOCUMENT_KIND_PRESCRIPTION,
    ]
    withheld = {part.kind: part.reason for part in response.disclosure.withheld}
    assert withheld[document_kind_pb2.DOCUMENT_KIND_HIV_CARE] == "KIND_NOT_PERMITTED"
    assert len(withheld) == 14
    request.kinds.append(document_kind_pb2.DOCUMENT_KIND_PRESCRIPTION)
    (one,) = (await records.read("ListDocuments", request, READER)).documents
    assert list(one.kinds) == [document_kind_pb2.DOCUMENT_KIND_PRESCRIPTION]


async def test_pages_of_the_health_book(records: Records) -> None:
    person = next(iter([episode(1).person]))
    from lienthong.samples import Generator

    generator = Generator(77)
    samples = [generator.episode(person, FACILITY) for _ in range(5)]
    results = await records.stream([document(sample, f"d{at}") for at, sample in enumerate(samples)])
    name = results[0].submission.person
    assert {result.submission.person for result in results} == {name}
    records.consent.permissions = EVERYTHING
    seen, token = [], ""
    while True:
        request = pb.GetHealthBookRequest(person=name, context=CONSENT, page_size=2, page_token=token)
        response = await records.read("GetHealthBook", request, READER)
        assert response.disclosure.decision
        seen += list(response.health_book.encounters)
        token = response.next_page_token
        if not token:
            break
    assert len(seen) == 5
    ends = [one.period.end_time.seconds for one in seen]
    assert ends == sorted(ends, reverse=True)
    first = parsed(max(samples, key=lambda sample: sample.ended)).health_book_entry
    assert first is not None
    assert seen[0].main_diagnosis.code == first.main_diagnosis
    assert len(seen[0].medications) == len(first.drugs)
    request = pb.GetHealthBookRequest(person=name, context=CONSENT)
    request.period.start_time.seconds = ends[2]
    later = await records.read("GetHealthBook", request, READER)
    assert len(later.health_book.encounters) <= 2
    request.page_token = "x"
    with pytest.raises(LienthongError) as refused:
        await records.read("GetHealthBook", request, READER)
    assert refused.value.violations[0].field == "page_token"


async def test_the_health_book_without_drugs(records: Records) -> None:
    answer = await records.submit(document(episode(1)))
    records.consent.permissions = (Permission(SUMMARY),)
    request = pb.GetHealthBookRequest(person=answer.person, context=CONSENT)
    (visit,) = (await records.read("GetHealthBook", request, READER)).health_book.encounters
    assert visit.main_diagnosis.code
    assert not visit.medications
    assert not visit.observations
    assert not visit.HasField("summary")


async def test_a_citizen_reads_their_own_and_nobody_elses(records: Records) -> None:
    mine, other = await records.submit(document(episode(1))), await records.submit(document(episode(2), "b"))
    own = access_context_pb2.AccessContext(
        purpose=access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST,
        legal_basis=access_context_pb2.LEGAL_BASIS_OWN_DATA,
    )
    async with records.running.as_citizen(mine.person) as channel:
        stub = document_service_pb2_grpc.DocumentServiceStub(channel)
        records.consent.permissions = EVERYTHING
        response = await said(stub.GetDocument(pb.GetDocumentRequest(name=mine.document, context=own), timeout=5))
        assert response.signed_content.content == episode(1).content
        records.consent.permissions = ()
        with pytest.raises(LienthongError) as refused:
            await said(stub.GetDocument(pb.GetDocumentRequest(name=other.document, context=own), timeout=5))
    assert reason(refused.value) == ("NOT_FOUND", "DOCUMENT_NOT_FOUND")
    # The attempt went through consent, which puts it on the other person's ledger.
    assert f"persons/{records.consent.queries[-1].person}" == other.person


async def test_requests_that_say_too_little_or_nonsense(records: Records) -> None:
    with pytest.raises(LienthongError) as refused:
        await records.read("GetDocument", pb.GetDocumentRequest(), READER)
    assert {one.field for one in refused.value.violations} == {"name", "context"}
    context = access_context_pb2.AccessContext()
    with pytest.raises(LienthongError) as refused:
        await records.read("GetHealthBook", pb.GetHealthBookRequest(person="persons/1", context=context), READER)
    assert {one.field for one in refused.value.violations} == {"context.purpose", "context.legal_basis"}
    with pytest.raises(LienthongError) as refused:
        await records.read("GetHealthBook", pb.GetHealthBookRequest(person="persons/1", context=CONSENT), READER)
    assert [one.field for one in refused.value.violations] == ["person"]
    backwards = period_pb2.Period()
    backwards.start_time.seconds, backwards.end_time.seconds = 10, 5
    request = pb.ListDocumentsRequest(
        person="persons/00000000-0000-7000-8000-000000000000", context=CONSENT, period=backwards
    )
    with pytest.raises(LienthongError) as refused:
        await records.read("ListDocuments", request, READER)
    assert [one.field for one in refused.value.violations] == ["period"]
    assert records.consent.queries == []
