"""Checks a person's ledger offline. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import groupby
from typing import Any
from uuid import UUID

from lienthong.client.ledger.anchor import AnchorEntry, AnchorMalformed, head_leaf
from lienthong.client.ledger.proof import Anchor, LedgerProof, Line
from lienthong.client.tlog.checkpoint import cosignatures, open_checkpoint
from lienthong.client.tlog.merkle import MerkleProofInvalid, leaf_hash, verify_inclusion
from lienthong.client.tlog.note import NoteError
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.proof import ProofMalformed, TlogProof

_START = bytes(32)


class LedgerFault(Enum):
    """What is wrong with a ledger."""

    LINE_MISSING = "LEDGER_LINE_MISSING"
    """A number is missing, twice there, or out of order."""
    LINE_ALTERED = "LEDGER_LINE_ALTERED"
    """A line is not the one that the line after it, or the anchored head, was made from."""
    LINE_FOREIGN = "LEDGER_LINE_FOREIGN"
    """A line says another person or number than its place."""
    ANCHOR_INVALID = "LEDGER_ANCHOR_INVALID"
    """A head does not lead to the root that stands in the log."""
    LOG_PROOF_INVALID = "LEDGER_LOG_PROOF_INVALID"
    """The anchor's entry is not shown to be in a log that is trusted."""
    WITNESS_MISSING = "LEDGER_WITNESS_MISSING"
    """Too few witnesses cosigned the checkpoint."""
    SHORTENED = "LEDGER_SHORTENED"
    """The earlier copy holds lines that this one lacks, or others."""


class LedgerError(Exception):
    """The ledger does not hold; `fault` says how, `reason` is its stable name."""

    def __init__(self, fault: LedgerFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault

    @property
    def reason(self) -> str:
        """Stable upper-case name."""
        return self.fault.value


@dataclass(frozen=True)
class LedgerReport:
    """What was shown: `lines` form unbroken chains; the first `anchored` of them (over all entries) stand in the log since `witnessed_at` at the
    latest (None where the trust policy asks for no witness); those after them can still be shown to be complete only by a later copy.
    """

    lines: int
    anchored: int
    witnessed_at: datetime | None

    @property
    def complete(self) -> bool:
        """Whether every line is anchored."""
        return self.anchored == self.lines

    def __str__(self) -> str:
        seen = f", seen by witnesses at {self.witnessed_at.isoformat(timespec='seconds')}" if self.witnessed_at else ""
        rest = "" if self.complete else f"; {self.lines - self.anchored} newest not anchored yet: ask again in a minute"
        return f"{self.lines} lines unbroken, {self.anchored} of them anchored in the transparency log{seen}{rest}"


def verify_ledger(proof: LedgerProof, trust: TrustPolicy, *, earlier: LedgerProof | None = None) -> LedgerReport:
    """Checks chains, anchors and their places in the log; raises LedgerError.

    A server that withholds the newest lines together with their anchor shows an older ledger, which is whole in itself: hold it against an
    `earlier` copy, or against the decisions named in what was read.
    """
    chains = {
        entry: _chain(entry, list(lines))
        for entry, lines in groupby(sorted(proof.lines, key=_place), key=lambda line: line.entry)
    }
    seen: list[datetime] = []
    anchored = 0
    for anchor in proof.anchors:
        if not anchor.tlog_proof:
            continue
        witnessed_at = _anchored(anchor, chains.get(anchor.entry, ()), trust)
        anchored += anchor.sequence
        if witnessed_at is not None:
            seen.append(witnessed_at)
    if earlier is not None:
        _extends(proof.lines, earlier.lines)
    return LedgerReport(len(proof.lines), anchored, max(seen, default=None))


def _place(line: Line) -> tuple[UUID, int]:
    return line.entry, line.sequence


def _chain(entry: UUID, lines: Sequence[Line]) -> Sequence[bytes]:
    """The lines' hashes, number 1 first."""
    hashes: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        if line.sequence != number:
            raise LedgerError(LedgerFault.LINE_MISSING, f"number {number} is not there")
        said = _members(line.canonical)
        if said.get("person") != str(entry) or said.get("sequence") != number:
            raise LedgerError(LedgerFault.LINE_FOREIGN, f"the line in place {number} belongs elsewhere")
        if said.get("previous_hash") != (hashes[-1] if hashes else _START).hex():
            raise LedgerError(LedgerFault.LINE_ALTERED, f"line {number} does not follow line {number - 1}")
        hashes.append(hashlib.sha256(line.canonical).digest())
    return hashes


def _members(line: bytes) -> Mapping[str, Any]:
    """A line's members, none of them twice: what a reader is shown is what was hashed."""
    try:
        said = json.loads(line, object_pairs_hook=_unique)
    except ValueError as error:
        raise LedgerError(LedgerFault.LINE_ALTERED, "a line is not JSON") from error
    if not isinstance(said, dict):
        raise LedgerError(LedgerFault.LINE_ALTERED, "a line is not an object")
    return said


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) != len(pairs):
        raise LedgerError(LedgerFault.LINE_ALTERED, "a member occurs twice")
    return said


def _anchored(anchor: Anchor, hashes: Sequence[bytes], trust: TrustPolicy) -> datetime | None:
    if not 1 <= anchor.sequence <= len(hashes):
        raise LedgerError(LedgerFault.LINE_MISSING, f"the anchored line {anchor.sequence} is not there")
    if hashes[anchor.sequence - 1] != anchor.head:
        raise LedgerError(LedgerFault.LINE_ALTERED, f"line {anchor.sequence} is not the one that was anchored")
    return verify_anchor(anchor, trust)


def verify_anchor(anchor: Anchor, trust: TrustPolicy) -> datetime | None:
    """Shows an anchored head in the log; the time by which the quorum of witnesses had seen it. Raises LedgerError."""
    try:
        entry = AnchorEntry.parse(anchor.log_entry)
        leaf = leaf_hash(head_leaf(anchor.entry, anchor.sequence, anchor.head, anchor.salt))
        if entry.size != anchor.tree_size:
            raise LedgerError(LedgerFault.ANCHOR_INVALID, "the entry speaks of another tree")
        verify_inclusion(anchor.leaf_index, entry.size, leaf, anchor.path, entry.root)
    except (AnchorMalformed, MerkleProofInvalid, ValueError) as error:
        raise LedgerError(LedgerFault.ANCHOR_INVALID, str(error)) from error
    return _logged(anchor, trust)


def _logged(anchor: Anchor, trust: TrustPolicy) -> datetime | None:
    try:
        proof = TlogProof.parse(anchor.tlog_proof)
        checkpoint, opened = open_checkpoint(proof.checkpoint, trust.logs)
        # The proof's own copy of the entry is not authenticated: the leaf is made of the bytes that were just checked.
        verify_inclusion(proof.index, checkpoint.size, leaf_hash(anchor.log_entry), proof.path, checkpoint.root)
        found = sorted(cosignatures(opened, trust.witnesses.values()), key=lambda one: one.seen_at)
    except (ProofMalformed, NoteError, MerkleProofInvalid) as error:
        raise LedgerError(LedgerFault.LOG_PROOF_INVALID, str(error)) from error
    if not trust.satisfied({one.key for one in found}):
        raise LedgerError(LedgerFault.WITNESS_MISSING, "too few witnesses cosigned the checkpoint")
    for count in range(1, len(found) + 1):
        if trust.satisfied({one.key for one in found[:count]}):
            return found[count - 1].seen_at
    return None


def _extends(lines: Iterable[Line], earlier: Iterable[Line]) -> None:
    known = {_place(line): line.canonical for line in lines}
    for line in earlier:
        if known.get(_place(line)) != line.canonical:
            raise LedgerError(LedgerFault.SHORTENED, f"line {line.sequence} of the earlier copy is gone or another")
