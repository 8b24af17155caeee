"""One pass of a monitor: the newest checkpoint against what was seen before, every new entry against the checkpoint, every receipt against both."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from lienthong.client.ledger import is_anchor
from lienthong.client.tlog.checkpoint import Checkpoint, cosignatures, open_checkpoint
from lienthong.client.tlog.merkle import CompactRange, MerkleProofInvalid, leaf_hash, verify_consistency
from lienthong.client.tlog.note import NoteError, OpenedNote
from lienthong.client.tlog.policy import NO_QUORUM, TrustPolicy
from lienthong.client.tlog.proof import TlogProof
from lienthong.client.tlog.receipt import (
    Receipt,
    ReceiptError,
    ReceiptMalformed,
    ReceiptReport,
    ReceiptState,
    parse_entry,
    verify_receipt,
)
from lienthong.client.tlog.sequence import FacilitySequences, NumberFault
from lienthong.monitor.alarms import Alarm, Raised
from lienthong.monitor.source import LogSource
from lienthong.monitor.state import Followed, MonitorState

_PAGE = 1000
_LARGEST_RECEIPT = 1024 * 1024
_MOST_ALARMS = 1000
STAGE = 100_000
"""Entries after which what was read is verified and kept."""
PATIENCE = timedelta(hours=4)
"""How long the quorum may be missing before it is an alarm; the log itself completes receipts without it after as long."""


class Monitor:
    """Follows one log. `facilities` are those whose entries it collects, to hold promises against; their receipts are in `receipts`."""

    def __init__(
        self,
        source: LogSource,
        policy: TrustPolicy,
        state: MonitorState,
        clock: Callable[[], datetime],
        *,
        facilities: Sequence[str],
        receipts: Path | None = None,
        patience: timedelta = PATIENCE,
        start: int | None = 1,
    ) -> None:
        """`start` is the first number of a facility, None where the log carries on from another year's. Raises StateInvalid."""
        state.belongs(facilities)
        self._source = source
        self._policy = policy
        self._state = state
        self._clock = clock
        self._facilities = frozenset(facilities)
        self._receipts = receipts
        self._patience = patience
        self._start = start

    async def check(self) -> list[Raised]:
        """One pass. An alarm about an entry is raised by the pass that reads it, every other one for as long as it lasts.

        What was verified is kept; after an alarm about the tree, what was verified before stays as it was. Raises what the source raises when the
        log cannot be read: that alone proves nothing.
        """
        # Deadlines are held against a checkpoint that is asked for after they passed.
        asked_at = self._clock()
        before = self._state.followed(asked_at)
        note = await self._source.checkpoint()
        try:
            checkpoint, opened = open_checkpoint(note, self._policy.logs)
        except NoteError as error:
            return [Raised(Alarm.CHECKPOINT_INVALID, str(error))]
        raised = self._witnesses(opened, before, asked_at)
        if broken := await self._extends(before, checkpoint, note):
            return [*raised, broken]
        found = [one async for one in self._follow(before, checkpoint, note)]
        raised += found
        if any(one.alarm is Alarm.ENTRIES_MISMATCH for one in found):
            return raised
        raised += [one async for one in self._hold_receipts(checkpoint, asked_at)]
        return raised

    def _witnesses(self, opened: OpenedNote, before: Followed, now: datetime) -> list[Raised]:
        if self._policy.quorum == NO_QUORUM:
            return []
        try:
            seen = {one.key for one in cosignatures(opened, self._policy.witnesses.values())}
        except NoteError as error:
            return [Raised(Alarm.COSIGNATURE_INVALID, str(error))]
        if self._policy.satisfied(seen):
            before.witnessed_at = now
        elif now - before.witnessed_at >= self._patience:
            return [Raised(Alarm.WITNESS_QUORUM_MISSING, f"since {before.witnessed_at.isoformat(timespec='seconds')}")]
        return []

    async def _extends(self, before: Followed, checkpoint: Checkpoint, note: str) -> Raised | None:
        """An alarm unless the checkpoint extends the one before."""
        root = CompactRange(before.size, before.edge).root()
        text = f"from {before.size} to {checkpoint.size}"
        alarm = None
        if before.note and checkpoint.size < before.size:
            alarm = Alarm.LOG_SHRANK
        elif checkpoint.size == before.size and checkpoint.root != root:
            alarm = Alarm.LOG_FORKED
        elif before.size and not await self._consistent(before.size, root, checkpoint):
            alarm = Alarm.CONSISTENCY_BROKEN
        if alarm is None:
            return None
        self._state.keep_evidence([before.note, note])
        return Raised(alarm, text)

    async def _consistent(self, size: int, root: bytes, checkpoint: Checkpoint) -> bool:
        if size == checkpoint.size:
            return root == checkpoint.root
        try:
            path = await self._source.consistency(size, checkpoint.size)
            verify_consistency(size, checkpoint.size, root, checkpoint.root, path)
        except MerkleProofInvalid:
            return False
        return True

    async def _follow(self, before: Followed, checkpoint: Checkpoint, note: str) -> AsyncIterator[Raised]:
        """Reads every new entry. The state moves on only to a tree that is proven to be the signed one, or its beginning; so a long way is gone in
        stages, and an interrupted pass goes on where it was.
        """
        tree = CompactRange(before.size, before.edge)
        numbers = FacilitySequences(self._start)
        numbers.load(before.numbers)
        while tree.size < checkpoint.size:
            start, end = tree.size, min(tree.size + STAGE, checkpoint.size)
            own: list[tuple[bytes, int]] = []
            alarms: list[Raised] = []
            while tree.size < end:
                page = await self._source.entries(tree.size, min(_PAGE, end - tree.size))
                if not page:
                    break
                for entry in page[: end - tree.size]:
                    leaf = leaf_hash(entry)
                    alarms += self._number(entry, tree.size, leaf, numbers, own)
                    tree.append(leaf)
                del alarms[_MOST_ALARMS:]
            if tree.size < end or not await self._consistent(tree.size, tree.root(), checkpoint):
                self._state.keep_evidence([note])
                yield Raised(Alarm.ENTRIES_MISMATCH, f"entries {start} to {end - 1}")
                return
            followed = Followed(tree.size, list(tree.edge), note, numbers.dump(), before.witnessed_at)
            self._state.advance(followed, own)
            for alarm in alarms:
                yield alarm
        if tree.size == before.size:
            followed = Followed(tree.size, list(tree.edge), note, numbers.dump(), before.witnessed_at)
            self._state.advance(followed, [])
        for gap in numbers.gaps(self._clock()):
            yield _numbered(gap)

    def _number(
        self, entry: bytes, index: int, leaf: bytes, numbers: FacilitySequences, own: list[tuple[bytes, int]]
    ) -> list[Raised]:
        try:
            said = parse_entry(entry)
        except ReceiptMalformed:
            if is_anchor(entry):
                return []
            return [Raised(Alarm.ENTRY_UNREADABLE, f"entry {index}")]
        if said.facility in self._facilities:
            own.append((leaf, index))
        fault = numbers.add(said.facility, said.sequence, said.received_at)
        return [_numbered(fault)] if fault else []

    async def _hold_receipts(self, checkpoint: Checkpoint, asked_at: datetime) -> AsyncIterator[Raised]:
        if self._receipts is None:
            return
        for path in sorted(self._receipts.rglob("*.json")):
            content = path.read_bytes()[: _LARGEST_RECEIPT + 1]
            digest = hashlib.sha256(content).digest()
            if self._state.settled(digest):
                continue
            try:
                receipt = Receipt.from_json(content.decode("utf-8", "replace"))
                report = verify_receipt(receipt, self._policy, document=None, now=self._clock())
            except ReceiptError as error:
                yield Raised(Alarm.RECEIPT_INVALID, f"{error.reason} {path.name}")
                continue
            if report.state is ReceiptState.PROMISED:
                if alarm := self._promise(report, receipt, path.name, asked_at):
                    yield alarm
                continue
            known, alarm = await self._in_history(receipt, checkpoint, path.name)
            if alarm:
                yield alarm
            elif known:
                self._state.settle(digest)

    def _promise(self, report: ReceiptReport, receipt: Receipt, name: str, asked_at: datetime) -> Raised | None:
        if report.entry.facility not in self._facilities:
            return Raised(Alarm.RECEIPT_INVALID, f"OTHER_FACILITY {name}")
        if report.deadline >= asked_at or self._state.index_of(leaf_hash(receipt.entry)) is not None:
            return None
        return Raised(Alarm.PROMISE_BROKEN, f"{name} was due {report.deadline.isoformat(timespec='seconds')}")

    async def _in_history(self, receipt: Receipt, newest: Checkpoint, name: str) -> tuple[bool, Raised | None]:
        """Whether the receipt's checkpoint is known to be part of the log's history, and an alarm when it is not part of it. One that is newer
        than the newest checkpoint of this pass is left to the next."""
        note = TlogProof.parse(receipt.tlog_proof or "").checkpoint
        theirs, _ = open_checkpoint(note, self._policy.logs)
        if theirs.origin != newest.origin or theirs.size > newest.size:
            return False, None
        if await self._consistent(theirs.size, theirs.root, newest):
            return True, None
        self._state.keep_evidence([note])
        return False, Raised(Alarm.RECEIPT_FORKED, f"{name} under size {theirs.size}")


def _numbered(fault: NumberFault) -> Raised:
    return Raised(Alarm[fault.fault.value], f"facility {fault.facility} numbers {fault.first}-{fault.last}")
