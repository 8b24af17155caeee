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

import grpc

from lienthong.client.errors import LienthongError, from_rpc_error, from_status
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc, submission_pb2
from lienthong.signing.v1 import verdict_pb2

CHUNK_DOCUMENTS = 25
CHUNK_BYTES = 2 * 1024 * 1024
WINDOW_CHUNKS = 8
LARGEST_DOCUMENT = 8 * 1024 * 1024
ATTEMPTS = 8
STREAM_SECONDS = 3600.0
_RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED)


@dataclass(frozen=True)
class Outgoing:
    """A signed document on disk. `signature` is the detached CMS file, None for an enveloped signature."""

    document_id: str
    path: Path
    content_sha256: str
    signature: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a document: exactly one of `submission` and `error` is set."""

    outgoing: Outgoing
    submission: submission_pb2.Submission | None
    error: LienthongError | None


def outgoing(path: Path, document_id: str = "") -> Outgoing:
    """Describes a file for sending; the id defaults to its name without the ending, a sibling `.p7s` is its detached signature."""
    signature = path.with_name(path.name + ".p7s")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Outgoing(document_id or path.stem, path, digest, signature if signature.exists() else None)


def message(document: Outgoing) -> submission_pb2.DocumentSubmission:
    """The proto of a document; reads the file."""
    signatures = []
    if document.signature is not None:
        signatures.append(
            submission_pb2.DetachedSignature(
                format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, content=document.signature.read_bytes()
            )
        )
    return submission_pb2.DocumentSubmission(
        document_id=document.document_id,
        format=submission_pb2.DOCUMENT_FORMAT_XML130,
        content=document.path.read_bytes(),
        signatures=signatures,
    )


class Submitter:
    """Sends documents over one channel. `on_outcome` is called once per document, as answers arrive."""

    def __init__(self, channel: grpc.aio.Channel, *, on_outcomes: Callable[[Sequence[Outcome]], None]) -> None:
        self._stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        self._on_outcomes = on_outcomes

    async def submit(self, documents: Sequence[Outgoing]) -> None:
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
            if not waiting:
                return
            attempt = 1 if len(waiting) < before else attempt + 1
            if attempt >= ATTEMPTS:
                raise fault or LienthongError.of_code("UNAVAILABLE", f"{len(waiting)} documents got no answer")
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, 5.0))  # noqa: S311 - jitter, not a secret

    async def _stream(self, waiting: dict[str, Outgoing]) -> None:
        window = asyncio.Semaphore(WINDOW_CHUNKS)
        sizes: dict[str, int] = {}
        answered: dict[int, int] = {}
        queue = list(waiting.values())

        async def requests() -> AsyncIterator[intake_service_pb2.SubmitDocumentsRequest]:
            for number, chunk in enumerate(_chunks(queue)):
                await window.acquire()
                answered[number] = len(chunk)
                sizes.update(dict.fromkeys((document.document_id for document in chunk), number))
                yield await asyncio.to_thread(_request, chunk)

        call = self._stub.SubmitDocuments(requests(), timeout=STREAM_SECONDS)
        async for response in call:
            outcomes = []
            for result in response.results:
                document = waiting.get(result.document_id)
                number = sizes.pop(result.document_id, None)
                if document is None or number is None:
                    continue
                answered[number] -= 1
                if answered[number] == 0:
                    window.release()
                error = from_status(result.error) if result.HasField("error") else None
                # A transient refusal leaves the document waiting: the next round sends it again.
                if error is not None and error.code in _RETRYABLE:
                    continue
                del waiting[result.document_id]
                outcomes.append(Outcome(document, None if error else result.submission, error))
            if outcomes:
                self._on_outcomes(outcomes)


def _request(chunk: Sequence[Outgoing]) -> intake_service_pb2.SubmitDocumentsRequest:
    return intake_service_pb2.SubmitDocumentsRequest(documents=[message(document) for document in chunk])


def _chunks(documents: Sequence[Outgoing]) -> list[list[Outgoing]]:
    chunks: list[list[Outgoing]] = []
    size = CHUNK_BYTES
    for document in documents:
        weight = document.path.stat().st_size
        if size + weight > CHUNK_BYTES or len(chunks[-1]) >= CHUNK_DOCUMENTS:
            chunks.append([])
            size = 0
        chunks[-1].append(document)
        size += weight
    return chunks
