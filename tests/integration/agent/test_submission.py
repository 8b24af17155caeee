"""Streaming to an intake that breaks, refuses and forgets, over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from lienthong.agent import submission
from lienthong.agent.submission import Outcome, Outgoing, Submitter, outgoing
from lienthong.client.errors import LienthongError
from lienthong.records.v1 import intake_service_pb2, submission_pb2

Requests = AsyncIterator[intake_service_pb2.SubmitDocumentsRequest]
Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[str, int], grpc.StatusCode | int | None]
"""By document id and times it was seen: None accepts, a number is the code of a result, a StatusCode breaks the stream."""


class Intake:
    """Accepts what it is told to; `seen` counts how often each document arrived."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.seen: dict[str, int] = {}
        self.largest = 0

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        method = grpc.stream_stream_rpc_method_handler(
            self.submit_documents,
            intake_service_pb2.SubmitDocumentsRequest.FromString,
            intake_service_pb2.SubmitDocumentsResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler("lienthong.records.v1.IntakeService", {"SubmitDocuments": method})

    async def submit_documents(
        self, request_iterator: Requests, context: Context
    ) -> AsyncIterator[intake_service_pb2.SubmitDocumentsResponse]:
        async for request in request_iterator:
            self.largest = max(self.largest, len(request.documents))
            results: list[intake_service_pb2.SubmissionResult] = []
            for document in request.documents:
                name = document.document_id
                self.seen[name] = self.seen.get(name, 0) + 1
                found = self.answer(name, self.seen[name])
                if isinstance(found, grpc.StatusCode):
                    if results:
                        yield intake_service_pb2.SubmitDocumentsResponse(results=results)
                    await context.abort(found, "broken on purpose")
                result = intake_service_pb2.SubmissionResult(document_id=name)
                if found is None:
                    result.submission.CopyFrom(submission_pb2.Submission(name=f"submissions/{name}"))
                else:
                    result.error.CopyFrom(status_pb2.Status(code=found, message="on purpose"))
                results.append(result)
            yield intake_service_pb2.SubmitDocumentsResponse(results=results)


@pytest.fixture
def documents(tmp_path: Path) -> list[Outgoing]:
    for number in range(60):
        (tmp_path / f"d{number:02}.xml").write_bytes(b"<G/>" * (number + 1))
    return [outgoing(path) for path in sorted(tmp_path.iterdir())]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None:
        assert 0 < seconds <= 5

    monkeypatch.setattr(asyncio, "sleep", at_once)


async def submit(documents: Sequence[Outgoing], answer: Answer) -> tuple[Intake, list[Outcome], LienthongError | None]:
    intake, outcomes = Intake(answer), list[Outcome]()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((intake.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    raised = None
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            await Submitter(channel, on_outcomes=outcomes.extend).submit(documents)
        except LienthongError as error:
            raised = error
    await server.stop(None)
    return intake, outcomes, raised


def ids(outcomes: Sequence[Outcome]) -> list[str]:
    return sorted(one.outgoing.document_id for one in outcomes)


async def test_every_document_is_sent_once(documents: list[Outgoing]) -> None:
    intake, outcomes, raised = await submit(documents, lambda *_: None)
    assert raised is None
    assert ids(outcomes) == sorted(intake.seen) == sorted(one.document_id for one in documents)
    assert (set(intake.seen.values()), intake.largest) == ({1}, submission.CHUNK_DOCUMENTS)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    ],
)
async def test_a_broken_stream_goes_on_where_it_broke(documents: list[Outgoing], code: grpc.StatusCode) -> None:
    intake, outcomes, raised = await submit(
        documents, lambda name, times: code if name in ("d10", "d40") and times == 1 else None
    )
    assert raised is None
    assert ids(outcomes) == [one.document_id for one in documents]
    # What was answered before the break is never sent again.
    assert {name for name in intake.seen if name < "d10" and intake.seen[name] > 1} == set()
    assert intake.seen["d40"] == 2


async def test_a_document_that_is_refused_for_the_moment_is_sent_again(documents: list[Outgoing]) -> None:
    def busy(name: str, times: int) -> int | None:
        return code_pb2.UNAVAILABLE if name == "d07" and times < 4 else None

    intake, outcomes, raised = await submit(documents, busy)
    assert (raised, intake.seen["d07"], intake.seen["d08"]) == (None, 4, 1)
    assert all(one.submission is not None for one in outcomes)


async def test_a_document_that_is_refused_for_good_is_sent_once(documents: list[Outgoing]) -> None:
    intake, outcomes, raised = await submit(
        documents, lambda name, _: code_pb2.FAILED_PRECONDITION if name == "d07" else None
    )
    assert (raised, intake.seen["d07"], len(outcomes)) == (None, 1, 60)
    (refused,) = [one.error for one in outcomes if one.error is not None]
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_an_outage_ends_in_the_last_error_and_keeps_what_was_answered(documents: list[Outgoing]) -> None:
    def down(name: str, _: int) -> grpc.StatusCode | None:
        return grpc.StatusCode.UNAVAILABLE if name >= "d25" else None

    # Two chunks: gRPC forgets the server's code when the server ends a stream into which the client is writing.
    intake, outcomes, raised = await submit(documents[:50], down)
    assert raised is not None
    assert (raised.code, len(outcomes)) == (grpc.StatusCode.UNAVAILABLE, 25)
    assert intake.seen["d25"] == submission.ATTEMPTS
    intake, outcomes, raised = await submit(documents, lambda *_: code_pb2.RESOURCE_EXHAUSTED)
    assert (raised is not None, outcomes, intake.seen["d00"]) == (True, [], submission.ATTEMPTS)


async def test_a_refusal_of_the_caller_is_not_tried_again(documents: list[Outgoing]) -> None:
    intake, _, raised = await submit(documents[:5], lambda *_: grpc.StatusCode.PERMISSION_DENIED)
    assert raised is not None
    assert (raised.code, intake.seen["d00"]) == (grpc.StatusCode.PERMISSION_DENIED, 1)


async def test_a_document_that_vanished_is_an_outcome_of_its_own(documents: list[Outgoing]) -> None:
    for document in documents[:26]:
        document.path.unlink()
    intake, outcomes, raised = await submit(documents, lambda *_: None)
    assert (raised, len(outcomes), len(intake.seen)) == (None, 60, 34)
    lost = [one.error for one in outcomes if one.error is not None]
    assert {str(one) for one in lost} == {"INVALID_ARGUMENT: cannot be read: FileNotFoundError"}
    assert len(lost) == 26


async def test_an_empty_document_is_sent_too(tmp_path: Path) -> None:
    (tmp_path / "empty.xml").write_bytes(b"")
    intake, outcomes, _ = await submit([outgoing(tmp_path / "empty.xml")], lambda *_: code_pb2.INVALID_ARGUMENT)
    assert (intake.seen, len(outcomes)) == ({"empty": 1}, 1)


async def test_two_documents_with_one_id(documents: list[Outgoing]) -> None:
    with pytest.raises(ValueError, match="share one document id"):
        await submit([documents[0], documents[0]], lambda *_: None)
