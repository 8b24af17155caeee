"""Submitting over the wire: answers, refusals with their fields, idempotency, streams, and limits."""

from __future__ import annotations

import asyncio

import pytest
from google.rpc import error_details_pb2
from lienthong.client.errors import LienthongError, from_status
from lienthong.client.tlog.policy import load_policy
from lienthong.client.tlog.receipt import Receipt, ReceiptState, verify_receipt
from lienthong.records.v1 import intake_service_pb2, submission_pb2
from lienthong.signing.v1 import verdict_pb2

from services.chassis.errors import PeerUnavailable
from services.chassis.principal import PrincipalKind
from services.records.__main__ import _promise_signer
from services.records.config import IntakeSettings, Settings
from tests.fakes.records_samples import FACILITY, episode, unidentified
from tests.integration.records.conftest import Records, StartRecords, document, reason, sha256

pb = intake_service_pb2
STATE = submission_pb2.SubmissionState


async def test_a_document_gets_a_receipt_that_verifies_offline_and_completes(
    records: Records, settings: Settings
) -> None:
    sample = episode(1)
    first = await records.submit(document(sample))
    assert first.state == submission_pb2.SUBMISSION_STATE_RETRIEVABLE
    assert first.content_sha256 == sha256(sample)
    receipt = first.receipt
    policy = load_policy(f"#!promise {_promise_signer(settings).verifier_key.encode()}\nquorum none\n")
    portable = Receipt(receipt.entry, receipt.salt, receipt.promise, None, receipt.trace_id)
    report = verify_receipt(portable, policy, document=sample.content)
    assert report.state is ReceiptState.PROMISED
    assert report.entry.submission == first.name.removeprefix("submissions/")
    later = await records.until_logged(first.name)
    assert later.state == submission_pb2.SUBMISSION_STATE_LOGGED
    assert records.signing.log == [receipt.entry]
    # Sent again it gets the first answer, not the present state.
    assert await records.submit(document(sample)) == first


async def test_a_refusal_names_reason_field_and_evidence(records: Records) -> None:
    with pytest.raises(LienthongError) as refused:
        await records.submit(document(b"<GIAMDINHHS><THONGTINDONVI/></GIAMDINHHS>"))
    error = refused.value
    assert reason(error) == ("INVALID_ARGUMENT", "DOCUMENT_REJECTED")
    assert error.metadata["rejection"] == "STRUCTURE_INVALID"
    assert error.violations[0].field == "GIAMDINHHS/THONGTINDONVI/MACSKCB"
    assert len(error.trace_id) == 32
    request = pb.GetSubmissionRequest(name=error.metadata["submission"])
    kept = (await records.intake("GetSubmission", request)).submission
    assert kept.state == submission_pb2.SUBMISSION_STATE_REJECTED
    assert kept.rejection.reason == "STRUCTURE_INVALID"
    assert not kept.HasField("receipt")
    with pytest.raises(LienthongError) as foreign:
        await records.intake("GetSubmission", request, "79001")
    assert reason(foreign.value) == ("NOT_FOUND", "SUBMISSION_NOT_FOUND")


async def test_other_bytes_under_one_id(records: Records) -> None:
    await records.submit(document(episode(1)))
    with pytest.raises(LienthongError) as refused:
        await records.submit(document(episode(2)))
    assert reason(refused.value) == ("ALREADY_EXISTS", "DOCUMENT_ID_REUSED")
    assert refused.value.metadata == {"first_sha256": sha256(episode(1)), "this_sha256": sha256(episode(2))}


async def test_all_missing_fields_are_named_at_once(records: Records) -> None:
    with pytest.raises(LienthongError) as refused:
        await records.submit(submission_pb2.DocumentSubmission(signatures=[submission_pb2.DetachedSignature()]))
    assert {one.field for one in refused.value.violations} == {
        "document.document_id",
        "document.format",
        "document.content",
        "document.signatures[0].format",
        "document.signatures[0].content",
    }


async def test_too_large_a_document(records: Records) -> None:
    with pytest.raises(LienthongError) as refused:
        await records.submit(document(b"x" * (8 * 1024 * 1024 + 1)))
    assert [one.field for one in refused.value.violations] == ["document.content"]


async def test_a_facility_that_does_not_take_part(records: Records) -> None:
    records.identity.inactive.add(FACILITY)
    with pytest.raises(LienthongError) as refused:
        await records.submit(document(episode(1)))
    assert reason(refused.value) == ("FAILED_PRECONDITION", "FACILITY_NOT_ACTIVE")
    (result,) = await records.stream([document(episode(1))])
    assert from_status(result.error).reason == "FACILITY_NOT_ACTIVE"


async def test_a_stream_answers_every_document(records: Records) -> None:
    forged = episode(50)
    records.signing.forged.add(sha256(forged))
    messages = [[document(episode(n * 10 + m), f"d{n}-{m}") for m in range(10)] for n in range(4)]
    messages[1][3] = document(b"junk", "junk")
    messages[2][4] = document(forged, "forged")
    messages[3][5] = document(episode(60), "x" * 200)
    results = {result.document_id: result for result in await records.stream(*messages)}
    assert len(results) == 40
    failed = {id: from_status(result.error) for id, result in results.items() if result.HasField("error")}
    assert failed.keys() == {"junk", "forged", "x" * 200}
    assert failed["junk"].metadata["rejection"] == "NOT_XML"
    assert failed["forged"].metadata["rejection"] == "DIGEST_MISMATCH"
    assert failed["x" * 200].violations[0].field == "documents[5].document_id"
    sequences = sorted(result.submission.sequence for result in results.values() if result.HasField("submission"))
    assert sequences == list(range(1, 38))
    # Fewer calls than documents: they went in batches.
    assert len(records.signing.batches) < 20


async def test_a_stream_outlives_a_peer_that_is_down(records: Records) -> None:
    records.signing.fault = PeerUnavailable("signing")
    (result,) = await records.stream([document(episode(1))])
    error = from_status(result.error)
    assert reason(error) == ("UNAVAILABLE", "PEER_UNAVAILABLE")
    assert error.retry_after is not None
    records.signing.fault = None
    (result,) = await records.stream([document(episode(1))])
    assert result.submission.sequence == 1


async def test_a_bad_message_ends_the_stream_after_the_answers_before_it(records: Records) -> None:
    results: list[intake_service_pb2.SubmissionResult] = []
    with pytest.raises(LienthongError) as refused:
        results += await records.stream([document(episode(1))], [document(episode(2), "")])
    assert refused.value.violations[0].field == "documents[0].document_id"
    (kept,) = (await records.intake("ListSubmissions", pb.ListSubmissionsRequest())).submissions
    assert kept.document_id == "HS-1"


async def test_one_streams_backlog_waits_and_anothers_is_refused(start_records: StartRecords) -> None:
    records = await start_records(intake=IntakeSettings(facility_documents=8))
    records.signing.gate = asyncio.Event()
    long = asyncio.create_task(records.stream(*([document(episode(n), f"d{n}")] for n in range(12))))
    await asyncio.sleep(0.5)
    # The stream holds half of the share and reads no further; beside it the other half is free.
    (error,) = {
        from_status(result.error).reason
        for result in await records.stream([document(episode(n), f"e{n}") for n in range(5)])
    }
    assert error == "INTAKE_BUSY"
    with_info = (await records.stream([document(episode(n), f"e{n}") for n in range(5)]))[0].error
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Is(retry.DESCRIPTOR) for detail in with_info.details)
    records.signing.gate.set()
    assert all(result.HasField("submission") for result in await long)


async def test_concurrent_doubles_are_stored_once(records: Records) -> None:
    answers = await asyncio.gather(*(records.submit(document(episode(1))) for _ in range(6)))
    assert len({answer.name for answer in answers}) == 1
    listed = await records.intake("ListSubmissions", pb.ListSubmissionsRequest())
    assert len(listed.submissions) == 1


async def test_detached_signatures_go_to_signing_and_come_back(records: Records) -> None:
    signature = submission_pb2.DetachedSignature(format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, content=b"der")
    answer = await records.submit(document(episode(1), signatures=[signature]))
    assert answer.verdict.acceptable


async def test_a_dry_run(records: Records) -> None:
    good = await records.intake("ValidateDocument", pb.ValidateDocumentRequest(document=document(episode(1))))
    assert good.submission.state == submission_pb2.SUBMISSION_STATE_STORED
    assert not good.submission.name
    assert not good.submission.HasField("receipt")
    bad = await records.intake("ValidateDocument", pb.ValidateDocumentRequest(document=document(b"<x/>")))
    assert bad.submission.state == submission_pb2.SUBMISSION_STATE_REJECTED
    assert bad.submission.rejection.reason == "ROOT_UNKNOWN"
    assert not bad.submission.name
    assert not (await records.intake("ListSubmissions", pb.ListSubmissionsRequest())).submissions


async def test_lists_of_submissions_page_and_filter(records: Records) -> None:
    await records.stream([document(episode(n), f"d{n}") for n in range(5)])
    await records.submit(document(unidentified(9), "held"))
    found: list[str] = []
    token = ""
    while True:
        page = await records.intake("ListSubmissions", pb.ListSubmissionsRequest(page_size=4, page_token=token))
        found += [one.document_id for one in page.submissions]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == ["d0", "d1", "d2", "d3", "d4", "held"]
    assert found[0] == "held"
    held = pb.ListSubmissionsRequest(state=submission_pb2.SUBMISSION_STATE_HELD)
    assert [one.document_id for one in (await records.intake("ListSubmissions", held)).submissions] == ["held"]
    one = await records.intake("ListSubmissions", pb.ListSubmissionsRequest(document_id="d3"))
    assert [one.document_id for one in one.submissions] == ["d3"]
    assert not (await records.intake("ListSubmissions", pb.ListSubmissionsRequest(), "79001")).submissions
    with pytest.raises(LienthongError):
        await records.intake("ListSubmissions", pb.ListSubmissionsRequest(page_token="x"))


async def test_a_citizen_cannot_submit(records: Records) -> None:
    from lienthong.records.v1 import intake_service_pb2_grpc

    from tests.integration.records.conftest import said

    async with records.running.as_citizen("persons/00000000-0000-7000-8000-000000000000") as channel:
        stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        with pytest.raises(LienthongError) as refused:
            await said(stub.SubmitDocument(pb.SubmitDocumentRequest(document=document(episode(1))), timeout=5))
    assert reason(refused.value) == ("PERMISSION_DENIED", "PRINCIPAL_NOT_ALLOWED")


async def test_practitioners_submit_for_their_facility(records: Records) -> None:
    from lienthong.records.v1 import intake_service_pb2_grpc

    async with records.running.as_facility(FACILITY, PrincipalKind.PRACTITIONER) as channel:
        stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        answer = await stub.SubmitDocument(pb.SubmitDocumentRequest(document=document(episode(1))), timeout=10)
    assert answer.submission.organization == f"organizations/{FACILITY}"
