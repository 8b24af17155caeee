"""The portable receipt of an accepted document and its verification, offline and with public keys only.

A receipt is complete once it carries the log's proof; until then the signed promise and its deadline stand for it.
Every failure has its own class, and no statement of the entry is used before the signatures and the path that cover it
hold.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, ClassVar

from lienthong.client.tlog.checkpoint import Checkpoint, Cosignature, cosignatures, open_checkpoint
from lienthong.client.tlog.merkle import MerkleProofInvalid, leaf_hash, verify_inclusion
from lienthong.client.tlog.note import (
    NoteError,
    NoteKeyUnknown,
    NoteMalformed,
    NoteSignatureInvalid,
    OpenedNote,
    SignedNote,
    decode64,
    encode64,
)
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.promise import MERGE_DELAY, Promise, format_time, open_promise, parse_time
from lienthong.client.tlog.proof import ProofMalformed, ProofPart, TlogProof

RECEIPT_VERSION = 1
"""Value of `lienthong_receipt` in the portable file."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a time of receipt may lie ahead of the verifier's clock."""

_LONGEST = 1024 * 1024
_FIELDS = {"lienthong_receipt", "entry", "salt", "promise", "tlog_proof", "trace_id"}
_TRACE = re.compile(r"([0-9a-f]{32})?")


class ReceiptError(Exception):
    """A receipt does not hold. The class and its `reason` (a stable UPPER_SNAKE name) say why; the text names no person."""

    reason: ClassVar[str] = "RECEIPT_INVALID"


class ReceiptMalformed(ReceiptError):
    """Not a receipt file, or an entry that is not one of ours."""

    reason = "RECEIPT_MALFORMED"


class ReceiptDocumentMismatch(ReceiptError):
    """The receipt is for another document, or its salt was changed."""

    reason = "DOCUMENT_MISMATCH"


class ReceiptLeafMismatch(ReceiptError):
    """The entry is not the one that was promised, or not the one that was logged."""

    reason = "LEAF_MISMATCH"


class ReceiptPathInvalid(ReceiptError):
    """The path does not lead from the entry to the root of the checkpoint."""

    reason = "PATH_INVALID"


class ReceiptCheckpointInvalid(ReceiptError):
    """The checkpoint is malformed, or its log's or a witness's signature is wrong."""

    reason = "CHECKPOINT_INVALID"


class ReceiptKeyUnknown(ReceiptError):
    """The promise or the checkpoint is signed by no key of the trust policy."""

    reason = "KEY_UNKNOWN"


class ReceiptPromiseInvalid(ReceiptError):
    """The promise is malformed or its signature is wrong."""

    reason = "PROMISE_INVALID"


class ReceiptTimeInvalid(ReceiptError):
    """The times of entry and promise differ, the deadline is impossible, the time of receipt or of a witness lies in the future, or a witness saw
    the entry before it was received.
    """

    reason = "TIME_INVALID"


class ReceiptCosignatureInvalid(ReceiptCheckpointInvalid):
    """The cosignature of a witness of the policy is wrong."""

    reason = "COSIGNATURE_INVALID"


class ReceiptWitnessMissing(ReceiptError):
    """Too few witnesses cosigned the checkpoint for the policy's quorum."""

    reason = "WITNESS_QUORUM_MISSING"


class ReceiptState(Enum):
    """How much a valid receipt proves."""

    PROMISED = "PROMISED"
    """Receipt is acknowledged; the entry is to be in the log by the deadline."""

    LOGGED = "LOGGED"
    """The entry is in the log."""


@dataclass(frozen=True)
class Receipt:
    """A receipt. `entry` are the exact bytes that were hashed, `salt` 32 bytes, `promise` a signed note, `tlog_proof` a
    tlog-proof@v1 or None while the entry is not merged, `trace_id` 32 hex digits or empty.
    """

    entry: bytes
    salt: bytes
    promise: str
    tlog_proof: str | None
    trace_id: str = ""

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """Reads the portable file; raises ReceiptMalformed."""
        raw = _json_object(text)
        if (
            raw.keys() != _FIELDS
            or type(raw["lienthong_receipt"]) is not int
            or raw["lienthong_receipt"] != RECEIPT_VERSION
        ):
            raise ReceiptMalformed("not a receipt of version 1 with exactly its fields")
        wrong = [name for name in ("entry", "salt", "promise", "trace_id") if not isinstance(raw[name], str)]
        if wrong or not isinstance(raw["tlog_proof"], str | None):
            raise ReceiptMalformed("not a text: " + ", ".join(wrong or ["tlog_proof"]))
        try:
            entry, salt = decode64(raw["entry"]), decode64(raw["salt"])
        except NoteMalformed as error:
            raise ReceiptMalformed("entry or salt is not base64") from error
        return cls(entry, salt, raw["promise"], raw["tlog_proof"], raw["trace_id"])

    def to_json(self) -> str:
        """The portable file's text."""
        value = {
            "lienthong_receipt": RECEIPT_VERSION,
            "entry": encode64(self.entry),
            "salt": encode64(self.salt),
            "promise": self.promise,
            "tlog_proof": self.tlog_proof,
            "trace_id": self.trace_id,
        }
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class LoggedEntry:
    """What an entry states about the accepted document; `commitment` is HMAC-SHA256(salt, SHA-256(document))."""

    kind: str
    facility: str
    sequence: int
    submission: str
    commitment: bytes
    signer_certificate_sha256: str
    indication: str
    received_at: datetime


@dataclass(frozen=True)
class ReceiptReport:
    """What a valid receipt proves. Index, size, origin and witnesses are set when the state is LOGGED; `overdue` says
    that a promise was not kept by its deadline, as far as this receipt shows.
    """

    state: ReceiptState
    entry: LoggedEntry
    deadline: datetime
    document_checked: bool
    overdue: bool
    leaf_index: int | None = None
    tree_size: int | None = None
    origin: str = ""
    witnesses: tuple[str, ...] = ()
    witnessed_at: datetime | None = None
    trace_id: str = ""

    def __str__(self) -> str:
        lines = [
            f"{self.state.value}: document {self.entry.sequence} of facility {self.entry.facility}, {self.entry.kind}",
            f"  submission   {self.entry.submission}",
            f"  received     {format_time(self.entry.received_at)}",
            f"  verdict      {self.entry.indication}, certificate {self.entry.signer_certificate_sha256}",
            f"  document     {'matches' if self.document_checked else 'not given, not checked'}",
        ]
        if self.state is ReceiptState.LOGGED:
            lines.append(f"  log          {self.origin}, entry {self.leaf_index} of {self.tree_size}")
            seen = f", seen by {format_time(self.witnessed_at)}" if self.witnessed_at else ""
            lines.append(f"  witnesses    {', '.join(self.witnesses) or 'none asked for'}{seen}")
        else:
            lines.append(f"  log          due by {format_time(self.deadline)}{', OVERDUE' if self.overdue else ''}")
        if self.trace_id:
            lines.append(f"  trace        {self.trace_id}")
        return "\n".join(lines)


def commitment(salt: bytes, document: bytes) -> bytes:
    """What an entry says of a document: HMAC-SHA256(salt, SHA-256(document)); guessing the document needs the salt."""
    return hmac.digest(salt, hashlib.sha256(document).digest(), "sha256")


def verify_receipt(
    receipt: Receipt, trust: TrustPolicy, *, document: bytes | None, now: datetime | None = None
) -> ReceiptReport:
    """Verifies a receipt and, where given, that it is for `document` (its exact bytes). `now` defaults to the clock.

    Raises the ReceiptError whose class names the first thing found wrong.
    """
    at = now or datetime.now(UTC)
    if len(receipt.salt) != 32 or not receipt.entry or not _TRACE.fullmatch(receipt.trace_id):
        raise ReceiptMalformed("salt, entry or trace id is not of its length")
    promise = _promise(receipt, trust)
    proof = checkpoint = None
    seen: tuple[Cosignature, ...] = ()
    if receipt.tlog_proof is not None:
        proof = _proof(receipt.tlog_proof)
        if proof.extra != receipt.entry:
            raise ReceiptLeafMismatch("the entry is not the one in the proof")
        checkpoint, opened = _checkpoint(proof, trust)
        _path(proof, checkpoint)
        seen = _witnesses(opened, trust)
    entry = parse_entry(receipt.entry)
    _times(entry, promise, at, seen)
    if document is not None and not hmac.compare_digest(commitment(receipt.salt, document), entry.commitment):
        raise ReceiptDocumentMismatch("the receipt is not for this document")
    return ReceiptReport(
        state=ReceiptState.PROMISED if proof is None else ReceiptState.LOGGED,
        entry=entry,
        deadline=promise.deadline,
        document_checked=document is not None,
        overdue=proof is None and at > promise.deadline,
        leaf_index=proof.index if proof else None,
        tree_size=checkpoint.size if checkpoint else None,
        origin=checkpoint.origin if checkpoint else "",
        witnesses=tuple(sorted({one.key.name for one in seen})),
        witnessed_at=_witnessed_at(seen, trust),
        trace_id=receipt.trace_id,
    )


def parse_entry(entry: bytes) -> LoggedEntry:
    """Reads an entry's JSON (version 1; further members are allowed, duplicate names are not). Raises
    ReceiptMalformed.
    """
    try:
        raw = _json_object(entry.decode())
        if type(raw["v"]) is not int or raw["v"] != 1 or type(raw["sequence"]) is not int or raw["sequence"] < 0:
            raise ReceiptMalformed("not an entry of version 1")
        texts = {
            name: str(raw[name])
            for name in ("kind", "facility", "submission", "indication")
            if isinstance(raw[name], str)
        }
        received_at = parse_time(str(raw["received_at"]))
        if len(texts) != 4 or received_at is None:
            raise ReceiptMalformed("the entry has a member of the wrong type")
        return LoggedEntry(
            kind=texts["kind"],
            facility=texts["facility"],
            sequence=raw["sequence"],
            submission=texts["submission"],
            commitment=_sha256_hex(raw["commitment"]),
            signer_certificate_sha256=_sha256_hex(raw["signer_certificate_sha256"]).hex(),
            indication=texts["indication"],
            received_at=received_at,
        )
    except (UnicodeDecodeError, KeyError) as error:
        raise ReceiptMalformed("not an entry of ours") from error


def _promise(receipt: Receipt, trust: TrustPolicy) -> Promise:
    entry_hash = hashlib.sha256(receipt.entry).digest()
    try:
        promise = open_promise(receipt.promise, trust.promise_keys)
    except NoteKeyUnknown as error:
        raise ReceiptKeyUnknown("the promise is signed by no key of the trust policy") from error
    except NoteSignatureInvalid as error:
        if _times_altered(receipt, entry_hash):
            raise ReceiptTimeInvalid("a time of the promise was changed") from error
        raise ReceiptPromiseInvalid(str(error)) from error
    except NoteError as error:
        raise ReceiptPromiseInvalid(str(error)) from error
    if promise.entry_hash != entry_hash:
        raise ReceiptLeafMismatch("the entry is not the one that was promised")
    return promise


def _times_altered(receipt: Receipt, entry_hash: bytes) -> bool:
    """Whether a promise whose signature is wrong is this entry's and has times that it cannot have. It only picks the
    name of a failure that is certain already, so it may read text that nothing vouches for.
    """
    lines = SignedNote.parse(receipt.promise).text.split("\n")
    if len(lines) != 5 or lines[1] != encode64(entry_hash):
        return False
    received_at, deadline = parse_time(lines[2]), parse_time(lines[3])
    try:
        entry = parse_entry(receipt.entry)
    except ReceiptMalformed:
        return False
    return (
        received_at is None
        or deadline is None
        or received_at != entry.received_at
        or deadline - received_at != MERGE_DELAY
    )


_PROOF_FAILURES: Mapping[ProofPart, type[ReceiptError]] = {
    ProofPart.HEADER: ReceiptMalformed,
    ProofPart.EXTRA: ReceiptLeafMismatch,
    ProofPart.INDEX: ReceiptPathInvalid,
    ProofPart.PATH: ReceiptPathInvalid,
    ProofPart.CHECKPOINT: ReceiptCheckpointInvalid,
}


def _proof(text: str) -> TlogProof:
    try:
        return TlogProof.parse(text)
    except ProofMalformed as error:
        raise _PROOF_FAILURES[error.part](str(error)) from error


def _checkpoint(proof: TlogProof, trust: TrustPolicy) -> tuple[Checkpoint, OpenedNote]:
    try:
        return open_checkpoint(proof.checkpoint, trust.logs)
    except NoteKeyUnknown as error:
        raise ReceiptKeyUnknown("the checkpoint is signed by no log of the trust policy") from error
    except NoteError as error:
        raise ReceiptCheckpointInvalid(str(error)) from error


def _path(proof: TlogProof, checkpoint: Checkpoint) -> None:
    # Size and root come from the verified checkpoint only; the leaf from the entry bytes that the proof carries.
    leaf = leaf_hash(proof.extra or b"")
    try:
        verify_inclusion(proof.index, checkpoint.size, leaf, proof.path, checkpoint.root)
    except MerkleProofInvalid as error:
        raise ReceiptPathInvalid(str(error)) from error


def _witnesses(opened: OpenedNote, trust: TrustPolicy) -> tuple[Cosignature, ...]:
    try:
        found = cosignatures(opened, trust.witnesses.values())
    except NoteError as error:
        raise ReceiptCosignatureInvalid(str(error)) from error
    if not trust.satisfied({cosignature.key for cosignature in found}):
        raise ReceiptWitnessMissing("too few witnesses cosigned the checkpoint")
    return tuple(sorted(found, key=lambda cosignature: cosignature.seen_at))


def _witnessed_at(seen: Sequence[Cosignature], trust: TrustPolicy) -> datetime | None:
    """By when the quorum had seen the checkpoint: proof of existence that does not rest on the log's own clock."""
    for count in range(1, len(seen) + 1):
        if trust.satisfied({one.key for one in seen[:count]}):
            return seen[count - 1].seen_at
    return None


def _times(entry: LoggedEntry, promise: Promise, at: datetime, seen: Sequence[Cosignature]) -> None:
    if promise.received_at != entry.received_at:
        raise ReceiptTimeInvalid("entry and promise differ in the time of receipt")
    if not timedelta(0) < promise.deadline - promise.received_at <= MERGE_DELAY:
        raise ReceiptTimeInvalid("the deadline is not within 60 s after receipt")
    if promise.received_at > at + CLOCK_TOLERANCE:
        raise ReceiptTimeInvalid("the time of receipt lies in the future")
    if any(one.seen_at > at + CLOCK_TOLERANCE for one in seen):
        raise ReceiptTimeInvalid("the time of a witness lies in the future")
    if any(one.seen_at + CLOCK_TOLERANCE < entry.received_at for one in seen):
        raise ReceiptTimeInvalid("a witness saw the entry before its time of receipt")


def _sha256_hex(value: Any) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ReceiptMalformed("a digest is not 64 hex digits")
    return bytes.fromhex(value)


def _json_object(text: str) -> dict[str, Any]:
    """A JSON object without duplicate names at any depth and without NaN or Infinity."""
    if len(text) > _LONGEST:
        raise ReceiptMalformed("too long")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ReceiptMalformed("not JSON") from error
    if not isinstance(value, dict):
        raise ReceiptMalformed("not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ReceiptMalformed("a name occurs twice")
    return value


def _refuse(constant: str) -> Any:
    raise ReceiptMalformed(f"{constant} is not JSON")
