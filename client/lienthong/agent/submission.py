"""Streaming documents in: chunked messages, a bounded window, and resending whatever got no answer.

The intake promises that a document with a result is durable, and that the same bytes under the same id get the first answer again. So the sender
keeps what is unanswered and sends it anew on a fresh stream after any break; nothing is lost and nothing counted twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc

from lienthong.agent.sidecars import Sidecar, SidecarInvalid, sidecars
from lienthong.client.errors import LienthongError, from_rpc_error, from_status
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc, submission_pb2
from lienthong.signing.v1 import verdict_pb2, verification_service_pb2

CHUNK_DOCUMENTS = 25
CHUNK_BYTES = 2 * 1024 * 1024
WINDOW_CHUNKS = 8
LARGEST_DOCUMENT = 8 * 1024 * 1024
ATTEMPTS = 8
STREAM_SECONDS = 3600.0
_RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED)


class Sendable(Protocol):
    """A signed document that waits somewhere."""

    @property
    def document_id(self) -> str:
        """The facility's id."""

    @property
    def content_sha256(self) -> str:
        """SHA-256 of the exact bytes, 64 hex digits."""

    @property
    def size(self) -> int:
        """Length of the document and its signatures in bytes, about."""

    def load(self) -> submission_pb2.DocumentSubmission:
        """The message; reads the document."""


@dataclass(frozen=True)
class Outgoing:
    """A signed document on disk. `signatures` are the files beside it; empty for an enveloped signature."""

    document_id: str
    path: Path
    content_sha256: str
    signatures: tuple[Sidecar, ...] = ()

    @property
    def size(self) -> int:
        """Length of the files in bytes, 0 where they are gone."""
        files = (self.path, *(one.path for one in self.signatures))
        return sum(file.stat().st_size for file in files if file.exists())

    def load(self) -> submission_pb2.DocumentSubmission:
        """The message; reads the files. Raises OSError or SidecarInvalid."""
        return message(self)


@dataclass(frozen=True)
class Outcome:
    """What became of a document: exactly one of `submission` and `error` is set."""

    outgoing: Sendable
    submission: submission_pb2.Submission | None
    error: LienthongError | None


def outgoing(path: Path, document_id: str = "", names: Sequence[str] | None = None) -> Outgoing:
    """Describes a file for sending; the id defaults to its name without the ending. `names` are the files beside it, read where they are not
    given. Raises OSError or SidecarInvalid.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Outgoing(document_id or path.stem, path, digest, sidecars(path, names))


def message(document: Outgoing) -> submission_pb2.DocumentSubmission:
    """The proto of a document; reads the files. Raises OSError or SidecarInvalid."""
    return submission_pb2.DocumentSubmission(
        document_id=document.document_id,
        format=submission_pb2.DOCUMENT_FORMAT_XML130,
        content=document.path.read_bytes(),
        signatures=[_signature(one) for one in document.signatures],
    )


def membership_of(sidecar: Sidecar) -> verification_service_pb2.BatchMembership | None:
    """The place in a batch that goes with a signature, if it is one over a batch. Raises SidecarInvalid."""
    if sidecar.place is None:
        return None
    return verification_service_pb2.BatchMembership(
        manifest=sidecar.manifest, index=sidecar.place.index, path=sidecar.place.path
    )


def _signature(sidecar: Sidecar) -> submission_pb2.DetachedSignature:
    return submission_pb2.DetachedSignature(
        format=verdict_pb2.SignatureFormat.Value(f"SIGNATURE_FORMAT_{sidecar.form}"),
        content=sidecar.content,
        part=sidecar.part,
        batch=membership_of(sidecar),
    )


class Submitter:
    """Sends documents over one channel. `on_outcome` is called once per document, as answers arrive."""

    def __init__(self, channel: grpc.aio.Channel, *, on_outcomes: Callable[[Sequence[Outcome]], None]) -> None:
        self._stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        self._on_outcomes = on_outcomes

    async def submit(self, documents: Sequence[Sendable]) -> None:
        """Sends all; returns when each has its outcome. Raises the last error when the gateway stays unreachable for all attempts."""
        waiting = {document.document_id: document for document in documents}
        if len(waiting) != len(documents):
            raise ValueError("two documents share one document id")
        attempt = 0
        while waiting:
            before = len(waiting)
            try:
                await self._stream(waiting)
                fault: LienthongError | None = None
            except grpc.aio.AioRpcError as error:
                fault = from_rpc_error(error)
                # A stream that broke below the service carries no reason of ours: the gateway lost its role, or we the gateway.
                broken = not fault.reason and error.code() in _BROKEN
                if error.code() not in _RETRYABLE and not broken:
                    raise fault from error
                if broken:
                    fault = LienthongError.of_code("UNAVAILABLE", "the stream broke")
            if not waiting:
                return
            attempt = 1 if len(waiting) < before else attempt + 1
            if attempt >= ATTEMPTS:
                raise fault or LienthongError.of_code("UNAVAILABLE", f"{len(waiting)} documents got no answer")
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, 5.0))  # noqa: S311 - jitter, not a secret

    async def _stream(self, waiting: dict[str, Sendable]) -> None:
        flight = _Flight()
        # Outside the generator: an exception in there would show as a cancelled call.
        chunks = _chunks(list(waiting.values()))

        async def requests() -> AsyncIterator[intake_service_pb2.SubmitDocumentsRequest]:
            for chunk in chunks:
                await flight.window.acquire()
                loaded, lost = await asyncio.to_thread(_load, chunk)
                for outcome in lost:
                    del waiting[outcome.outgoing.document_id]
                if lost:
                    self._on_outcomes(lost)
                if flight.depart([one.document_id for one in loaded]):
                    yield intake_service_pb2.SubmitDocumentsRequest(documents=loaded)

        async for response in self._stub.SubmitDocuments(requests(), timeout=STREAM_SECONDS):
            outcomes = [
                outcome for result in response.results if (outcome := _settled(result, waiting, flight)) is not None
            ]
            if outcomes:
                self._on_outcomes(outcomes)


class _Flight:
    """What is on its way on one stream: at most WINDOW_CHUNKS chunks without all their answers."""

    def __init__(self) -> None:
        self.window = asyncio.Semaphore(WINDOW_CHUNKS)
        self._chunk_of: dict[str, int] = {}
        self._unanswered: dict[int, int] = {}

    def depart(self, names: Sequence[str]) -> bool:
        """Counts a chunk for which the window was acquired; False, and nothing is acquired, when it is empty."""
        if not names:
            self.window.release()
            return False
        number = len(self._unanswered)
        self._unanswered[number] = len(names)
        self._chunk_of.update(dict.fromkeys(names, number))
        return True

    def land(self, name: str) -> bool:
        """Counts an answer; False for one that nothing waits for."""
        number = self._chunk_of.pop(name, None)
        if number is None:
            return False
        self._unanswered[number] -= 1
        if self._unanswered[number] == 0:
            self.window.release()
        return True


def _settled(
    result: intake_service_pb2.SubmissionResult, waiting: dict[str, Sendable], flight: _Flight
) -> Outcome | None:
    """The outcome of a document, which waits no more; None for an answer that settles nothing."""
    document = waiting.get(result.document_id)
    if document is None or not flight.land(result.document_id):
        return None
    error = from_status(result.error) if result.HasField("error") else None
    # A transient refusal leaves the document waiting: the next round sends it again.
    if error is not None and error.code in _RETRYABLE:
        return None
    del waiting[result.document_id]
    return Outcome(document, None if error else result.submission, error)


def _load(chunk: Sequence[Sendable]) -> tuple[list[submission_pb2.DocumentSubmission], list[Outcome]]:
    """The messages of a chunk, and an outcome for each document that cannot be read any more."""
    loaded, lost = [], []
    for document in chunk:
        try:
            loaded.append(document.load())
        except (OSError, SidecarInvalid) as error:
            text = str(error) if isinstance(error, SidecarInvalid) else f"cannot be read: {type(error).__name__}"
            lost.append(Outcome(document, None, LienthongError.of_code("INVALID_ARGUMENT", text)))
    return loaded, lost


def _chunks(documents: Sequence[Sendable]) -> list[list[Sendable]]:
    chunks: list[list[Sendable]] = []
    size = 0
    for document in documents:
        weight = document.size
        if not chunks or size + weight > CHUNK_BYTES or len(chunks[-1]) >= CHUNK_DOCUMENTS:
            chunks.append([])
            size = 0
        chunks[-1].append(document)
        size += weight
    return chunks
