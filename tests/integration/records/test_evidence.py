"""Evidence over the wire: verdicts over time, what a key touched, and packages, each for whom it is meant."""

from __future__ import annotations

import asyncio
import io
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from lienthong.client.errors import LienthongError
from lienthong.records.v1 import document_service_pb2, evidence_service_pb2, evidence_service_pb2_grpc
from lienthong.signing.v1 import verdict_pb2

from services.chassis.principal import PrincipalKind
from services.records.model import Verdict
from services.records.proof import Compromise
from tests.fakes.records_ports import BAD, CERTIFICATE, GOOD, verdict
from tests.fakes.records_samples import FACILITY, NOW, episode
from tests.integration.records.conftest import BY_LAW, CONSENT, EVERYTHING, Records, document, reason, said

pb = evidence_service_pb2
READER = "79001"


async def evidence(records: Records, method: str, request: Any, facility: str = FACILITY) -> Any:
    async with records.running.as_facility(facility) as channel:
        stub = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
        return await said(getattr(stub, method)(request, timeout=10))


async def touched(records: Records, **fields: Any) -> pb.ListTouchedDocumentsResponse:
    request = pb.ListTouchedDocumentsRequest(signer_certificate_sha256=CERTIFICATE, **fields)
    if not request.HasField("since_time"):
        request.since_time.FromDatetime(NOW.replace(year=2020))
    async with records.running.as_officer(PrincipalKind.AUDITOR) as channel:
        stub = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
        response: pb.ListTouchedDocumentsResponse = await said(stub.ListTouchedDocuments(request, timeout=10))
    return response


def signed(judged: Verdict) -> Verdict:
    return replace(judged, signers=((CERTIFICATE, None),))


async def verdicts(records: Records, name: str) -> list[tuple[str, verdict_pb2.Verdict]]:
    answer = await evidence(records, "ListVerdicts", pb.ListVerdictsRequest(parent=name))
    return [(one.occasion, one.verdict) for one in answer.verdicts]


async def test_a_compromised_key_brings_a_new_verdict_and_the_first_one_stays(records: Records) -> None:
    records.signing.verdicts["HS-1"] = signed(verdict())
    answer = await records.submit(document(episode(1)))
    assert await verdicts(records, answer.name) == [("RECEIVED", GOOD)]
    records.signing.verdicts["HS-1"] = signed(verdict(good=False))
    records.signing.compromises = [Compromise(CERTIFICATE, NOW.replace(year=2020))]
    for _ in range(100):
        found = await verdicts(records, answer.name)
        if len(found) > 1:
            break
        await asyncio.sleep(0.05)
    assert found == [("RECEIVED", GOOD), ("KEY_COMPROMISED", BAD)]
    records.consent.permissions = EVERYTHING
    assert (await records.get(answer.document, READER)).signed_content.verdict == BAD
    with pytest.raises(LienthongError) as foreign:
        await evidence(records, "ListVerdicts", pb.ListVerdictsRequest(parent=answer.name), READER)
    assert reason(foreign.value) == ("NOT_FOUND", "SUBMISSION_NOT_FOUND")


async def test_what_a_key_touched_and_who_was_given_it(records: Records) -> None:
    names = []
    for number in range(3):
        records.signing.verdicts[f"d{number}"] = signed(verdict())
        answer = await records.submit(document(episode(number + 1), f"d{number}"))
        names.append(answer.document)
    records.consent.permissions = EVERYTHING
    await records.get(names[0], READER)
    await records.get(names[0], READER)
    await records.get(names[1], FACILITY, BY_LAW)
    # A page of the health book gives parts of documents out.
    book = document_service_pb2.GetHealthBookRequest(person=answer.person, context=CONSENT)
    await records.read("GetHealthBook", book, READER)
    first = await touched(records, page_size=2)
    second = await touched(records, page_size=2, page_token=first.next_page_token)
    documents = [*first.documents, *second.documents]
    assert [one.document for one in documents] == names
    assert second.next_page_token == ""
    assert [[reader.organization for reader in one.readers] for one in documents] == [
        [f"organizations/{READER}"],
        [f"organizations/{FACILITY}"],
        [f"organizations/{READER}"],
    ]
    (reader,) = documents[0].readers
    assert reader.first_time.ToDatetime() < reader.last_time.ToDatetime()
    assert {one.organization for one in documents} == {f"organizations/{FACILITY}"}
    assert "persons/" not in str(documents)
    with pytest.raises(LienthongError) as wrong:
        await touched(records, page_token=first.next_page_token, since_time=first.documents[1].receive_time)
    assert [one.field for one in wrong.value.violations] == ["page_token"]


async def test_a_package_is_a_read_like_any_other(records: Records) -> None:
    # The scripted log has no real proofs.
    records.signing.covered = 0
    sample = episode(1)
    answer = await records.submit(document(sample))
    request = pb.GetEvidencePackageRequest(name=answer.document, context=CONSENT)
    with pytest.raises(LienthongError) as refused:
        await evidence(records, "GetEvidencePackage", request, READER)
    assert reason(refused.value) == ("PERMISSION_DENIED", "READ_NOT_PERMITTED")
    records.consent.permissions = EVERYTHING
    package = await evidence(records, "GetEvidencePackage", request, READER)
    assert package.disclosure.decision == "decisions/2"
    assert records.consent.queries[-1].method == "lienthong.records.v1.EvidenceService/GetEvidencePackage"
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        assert archive.read("document.xml") == sample.content
        assert archive.namelist()[0] == "mimetype"
