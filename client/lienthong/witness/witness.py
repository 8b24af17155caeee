"""The decisions of a witness (C2SP tlog-witness): what it cosigns, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lienthong.client.tlog.checkpoint import Checkpoint, Cosigner, open_checkpoint
from lienthong.client.tlog.merkle import EMPTY_ROOT, MerkleProofInvalid, verify_consistency
from lienthong.client.tlog.note import (
    NoteError,
    NoteKeyUnknown,
    NoteMalformed,
    NoteSignatureInvalid,
    SignedNote,
    VerifierKey,
)
from lienthong.client.tlog.witness import SIZE_TYPE, AddCheckpoint, RequestMalformed
from lienthong.witness.store import Seen, WitnessStore


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, body, content type, and a stable name of what was decided."""

    status: int
    body: str
    reason: str
    content_type: str = "text/plain"


class _Refused(Exception):
    def __init__(self, answer: Answer, *, fork: bool = False) -> None:
        super().__init__(answer.reason)
        self.answer = answer
        self.fork = fork


class Witness:
    """Cosigns checkpoints of the logs it knows. Not for several threads at once."""

    def __init__(
        self,
        cosigner: Cosigner,
        logs: Mapping[str, Sequence[VerifierKey]],
        store: WitnessStore,
        clock: Callable[[], datetime],
    ) -> None:
        self._cosigner = cosigner
        self._logs = logs
        self._store = store
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answers a request. A cosignature is made after the checkpoint is on disk, and only if it extends the last one."""
        try:
            request = AddCheckpoint.parse(body)
            checkpoint = self._opened(request.checkpoint)
        except (RequestMalformed, NoteMalformed):
            return Answer(400, "malformed\n", "MALFORMED")
        except _Refused as refused:
            return refused.answer
        try:
            self._store.advance(checkpoint.origin, lambda seen: _extended(seen, request, checkpoint))
        except _Refused as refused:
            if refused.fork:
                self._store.keep_fork(checkpoint.origin, request.checkpoint)
            return refused.answer
        return Answer(200, self._cosigner.signature(checkpoint.encode(), self._clock()).encode(), "COSIGNED")

    def _opened(self, note: str) -> Checkpoint:
        origin = Checkpoint.parse(SignedNote.parse(note).text).origin
        keys = self._logs.get(origin)
        if keys is None:
            raise _Refused(Answer(404, "unknown log\n", "LOG_UNKNOWN"))
        try:
            return open_checkpoint(note, keys)[0]
        except (NoteKeyUnknown, NoteSignatureInvalid):
            raise _Refused(Answer(403, "no valid signature of a known key\n", "KEY_UNKNOWN")) from None
        except NoteError as error:
            raise RequestMalformed(str(error)) from error


def _extended(seen: Seen | None, request: AddCheckpoint, checkpoint: Checkpoint) -> Seen:
    """The new state; raises _Refused unless the checkpoint extends the last one."""
    size, root = (seen.size, seen.root) if seen else (0, EMPTY_ROOT)
    if request.old_size > checkpoint.size:
        raise _Refused(Answer(400, "the old size is above the checkpoint's\n", "OLD_SIZE_TOO_LARGE"))
    if request.old_size != size:
        raise _Refused(Answer(409, f"{size}\n", "OLD_SIZE_STALE", SIZE_TYPE))
    if checkpoint.size == size and checkpoint.root != root:
        raise _Refused(Answer(409, f"{size}\n", "FORK", SIZE_TYPE), fork=True)
    try:
        verify_consistency(size, checkpoint.size, root, checkpoint.root, request.path)
    except MerkleProofInvalid:
        raise _Refused(Answer(422, "the consistency proof does not hold\n", "PROOF_INVALID")) from None
    return Seen(checkpoint.size, checkpoint.root, request.checkpoint)
