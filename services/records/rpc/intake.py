"""`IntakeService`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc, submission_pb2

from services.chassis.call import Call, current_call
from services.chassis.clock import Clock
from services.chassis.errors import DomainError, FieldViolation, InvalidArgument
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.chassis.status import incident, status_of
from services.chassis.telemetry import traceparent
from services.records.convert import intake as convert
from services.records.convert.scalars import resource_id
from services.records.model import Incoming
from services.records.rpc.caller import calling_facility
from services.records.service import IntakeService, SubmissionService

_API = "records"
MOST_DOCUMENTS = 100
LARGEST_MESSAGE = 16 * 1024 * 1024


class IntakeServicer(intake_service_pb2_grpc.IntakeServiceServicer):
    """`lienthong.records.v1.IntakeService`."""

    def __init__(
        self, intake: IntakeService, submissions: SubmissionService, clock: Clock, stream_documents: int
    ) -> None:
        """`stream_documents` is how many one stream may have in flight before it is read no further."""
        self._intake = intake
        self._submissions = submissions
        self._clock = clock
        self._window = stream_documents

    async def SubmitDocument(
        self, request: intake_service_pb2.SubmitDocumentRequest, context: RpcContext
    ) -> intake_service_pb2.SubmitDocumentResponse:
        """Takes one document in."""
        document = self._incoming(request.document, "document", current_call())
        (answer,) = await self._intake.submit(document.facility, [document])
        return intake_service_pb2.SubmitDocumentResponse(submission=convert.answer_message(await answer))

    async def SubmitDocuments(
        self, request_iterator: AsyncIterator[intake_service_pb2.SubmitDocumentsRequest], context: RpcContext
    ) -> AsyncIterator[intake_service_pb2.SubmitDocumentsResponse]:
        """Takes many in: reads on while answers are under way, as far as the window goes."""
        call = current_call()
        answers: asyncio.Queue[intake_service_pb2.SubmitDocumentsResponse | None] = asyncio.Queue()
        window = _Window(self._window)

        async def answer(request: intake_service_pb2.SubmitDocumentsRequest) -> None:
            try:
                results = await self._results(request.documents, call)
                answers.put_nowait(intake_service_pb2.SubmitDocumentsResponse(results=results))
            finally:
                window.leave(len(request.documents))

        async def read() -> None:
            failure: DomainError | None = None
            try:
                async with asyncio.TaskGroup() as under_way:
                    try:
                        async for request in request_iterator:
                            _check_message(request)
                            await window.enter(len(request.documents))
                            under_way.create_task(answer(request))
                    except DomainError as error:
                        # What came before the bad message is answered all the same.
                        failure = error
                if failure is not None:
                    raise failure
            finally:
                answers.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (response := await answers.get()) is not None:
                yield response
            await reader
        finally:
            reader.cancel()

    async def ValidateDocument(
        self, request: intake_service_pb2.ValidateDocumentRequest, context: RpcContext
    ) -> intake_service_pb2.ValidateDocumentResponse:
        """Checks one document and stores nothing."""
        submission = await self._intake.validate(self._incoming(request.document, "document", current_call()))
        message = convert.submission_message(submission)
        message.ClearField("name")
        return intake_service_pb2.ValidateDocumentResponse(submission=message)

    async def GetSubmission(
        self, request: intake_service_pb2.GetSubmissionRequest, context: RpcContext
    ) -> intake_service_pb2.GetSubmissionResponse:
        """Returns one submission of the caller."""
        id = resource_id(request.name, "submissions", "name")
        record = await self._submissions.get(calling_facility(current_call()), id)
        return intake_service_pb2.GetSubmissionResponse(submission=convert.record_message(record))

    async def ListSubmissions(
        self, request: intake_service_pb2.ListSubmissionsRequest, context: RpcContext
    ) -> intake_service_pb2.ListSubmissionsResponse:
        """Lists the caller's submissions."""
        facility, limit = calling_facility(current_call()), page_limit(request.page_size)
        state = convert.state_in(request.state, "state")
        bound = f"ListSubmissions|{facility}|{request.state}|{request.document_id}"
        last = decode_token(request.page_token, bound)
        before = UUID(last[0]) if last else None
        found = await self._submissions.list(facility, before, state, request.document_id, limit + 1)
        return intake_service_pb2.ListSubmissionsResponse(
            submissions=[convert.summary_message(record) for record in found[:limit]],
            next_page_token=encode_token((str(found[limit - 1].id),), bound) if len(found) > limit else "",
        )

    def _incoming(self, document: submission_pb2.DocumentSubmission, field: str, call: Call) -> Incoming:
        return convert.document_in(
            document,
            field,
            facility=calling_facility(call),
            received_at=self._clock(),
            trace_id=call.trace_id,
            trace=traceparent(),
        )

    async def _results(
        self, documents: Sequence[submission_pb2.DocumentSubmission], call: Call
    ) -> list[intake_service_pb2.SubmissionResult]:
        """A result per document: what fails is the answer to its document, and the stream goes on."""
        results: list[intake_service_pb2.SubmissionResult] = []
        incoming: list[Incoming] = []
        for at, document in enumerate(documents):
            try:
                incoming.append(self._incoming(document, f"documents[{at}]", call))
            except InvalidArgument as error:
                results.append(_failed(document.document_id, error, call))
        if not incoming:
            return results
        try:
            answers = await self._intake.submit(calling_facility(call), incoming)
        except DomainError as error:
            return [*results, *(_failed(sent.document_id, error, call) for sent in incoming)]
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
        for sent, outcome in zip(incoming, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                results.append(_failed(sent.document_id, outcome, call))
            else:
                submission = convert.answer_message(outcome)
                results.append(intake_service_pb2.SubmissionResult(document_id=sent.document_id, submission=submission))
        return results


class _Window:
    """Bounds the documents a stream has in flight; a message larger than the window goes alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0
        self._room = asyncio.Event()

    async def enter(self, documents: int) -> None:
        while self._inside and self._inside + documents > self._most:
            self._room.clear()
            await self._room.wait()
        self._inside += documents

    def leave(self, documents: int) -> None:
        self._inside -= documents
        self._room.set()


def _check_message(request: intake_service_pb2.SubmitDocumentsRequest) -> None:
    if len(request.documents) > MOST_DOCUMENTS:
        raise InvalidArgument.of(FieldViolation("documents", f"1 to {MOST_DOCUMENTS} documents", "COUNT_OUT_OF_RANGE"))
    if sum(len(document.content) for document in request.documents) > LARGEST_MESSAGE:
        raise InvalidArgument.of(FieldViolation("documents", f"at most {LARGEST_MESSAGE} bytes together", "TOO_LARGE"))


def _failed(document_id: str, error: BaseException, call: Call) -> intake_service_pb2.SubmissionResult:
    known = error if isinstance(error, DomainError) else incident(error, call.trace_id)
    status = status_of(known, _API, call.trace_id)
    return intake_service_pb2.SubmissionResult(document_id=document_id, error=status)
