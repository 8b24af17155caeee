"""What hospitals really send: every kind of broken document through the gateway gets a named reason and a place, is kept as evidence, and harms nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from lienthong.agent.submission import Outgoing, message
from lienthong.client.errors import LienthongError, from_rpc_error
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc, submission_pb2
from lienthong.samples.broken import KINDS
from lienthong.samples.generator import Generator

from deploy.local.suite import LocalStack
from tests.system.stack_access import channel_of, signed_documents

pytestmark = pytest.mark.xdist_group("stack")
FACILITY = "01001"


def submission(document_id: str, content: bytes) -> intake_service_pb2.SubmitDocumentRequest:
    return intake_service_pb2.SubmitDocumentRequest(
        document=submission_pb2.DocumentSubmission(
            document_id=document_id, format=submission_pb2.DOCUMENT_FORMAT_XML130, content=content
        )
    )


async def refused(stack: LocalStack, request: Any, facility: str = FACILITY, timeout: float = 20) -> LienthongError:
    """What the facility learns of a submission that must not be taken."""
    channel = channel_of(stack, facility)
    try:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await intake_service_pb2_grpc.IntakeServiceStub(channel).SubmitDocument(request, timeout=timeout)
    finally:
        await channel.close(None)
    error = from_rpc_error(caught.value)
    # What is too large is refused before it is sent, so nothing on the other side knows of it.
    assert len(error.trace_id) == 32 or error.reason == "REQUEST_TOO_LARGE"
    assert "Traceback" not in str(error)
    return error


async def test_every_kind_of_broken_document_is_refused_by_name_and_kept(stack: LocalStack) -> None:
    kinds = [kind for kind in KINDS if kind not in ("oversize", "empty")]
    reasons = {}
    for kind in kinds:
        error = await refused(stack, submission(f"broken/{kind}", Generator(3).broken(kind)))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DOCUMENT_REJECTED"), kind
        (violation,) = error.violations
        assert violation.field, kind
        assert violation.reason.isupper(), kind
        reasons[kind] = violation.reason
    assert len(set(reasons.values())) > len(kinds) // 2, reasons
    channel = channel_of(stack, FACILITY)
    stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
    wanted = intake_service_pb2.ListSubmissionsRequest(page_size=500, state=submission_pb2.SUBMISSION_STATE_REJECTED)
    kept = {one.document_id for one in (await stub.ListSubmissions(wanted, timeout=20)).submissions}
    await channel.close(None)
    assert {f"broken/{kind}" for kind in kinds} <= kept


async def test_an_empty_and_an_enormous_document_do_not_come_in(stack: LocalStack) -> None:
    empty = await refused(stack, submission("empty", b""))
    assert [violation.field for violation in empty.violations] == ["document.content"]
    enormous = await refused(stack, submission("enormous", Generator(3).broken("oversize")))
    assert (enormous.code, enormous.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE")


async def test_the_same_id_with_other_bytes_names_both_hashes(stack: LocalStack, folder: Path) -> None:
    first, second = signed_documents(stack, folder, FACILITY, 2, 31)
    request = intake_service_pb2.SubmitDocumentRequest(document=message(first))
    channel = channel_of(stack, FACILITY)
    stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
    taken = (await stub.SubmitDocument(request, timeout=20)).submission
    again = (await stub.SubmitDocument(request, timeout=20)).submission
    await channel.close(None)
    assert (again.name, again.receipt.promise) == (taken.name, taken.receipt.promise)
    other = Outgoing(first.document_id, second.path, second.content_sha256)
    error = await refused(stack, intake_service_pb2.SubmitDocumentRequest(document=message(other)))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "DOCUMENT_ID_REUSED")
    assert {first.content_sha256, second.content_sha256} <= set(error.metadata.values())


@pytest.mark.parametrize("peer", ["signing", "identity"])
async def test_a_peer_that_is_down_is_unavailable_and_nothing_is_kept(
    stack: LocalStack, folder: Path, peer: str
) -> None:
    (document,) = signed_documents(stack, folder, FACILITY, 1, 41 if peer == "signing" else 42)
    request = intake_service_pb2.SubmitDocumentRequest(document=message(document))
    stack.keep_down()
    stack.kill(peer)
    try:
        error = await refused(stack, request, timeout=5)
    finally:
        stack.bring_up()
        await asyncio.to_thread(stack.wait_serving)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "PEER_UNAVAILABLE")
    channel = channel_of(stack, FACILITY)
    stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
    taken = (await stub.SubmitDocument(request, timeout=20)).submission
    await channel.close(None)
    assert taken.state == submission_pb2.SUBMISSION_STATE_RETRIEVABLE
