"""The records store in memory. It passes the same suite as the PostgreSQL store: `tests/store/test_records_store.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.records.formats.document import ContentKind
from services.records.model import (
    Accepted,
    DocumentEntry,
    Event,
    Finished,
    Incoming,
    Key,
    Known,
    Rejected,
    Selection,
    StateChange,
    StoredContent,
    SubmissionRecord,
    SubmissionState,
    readable_kinds,
)
from services.records.ports import Finish, KeysTaken
from services.records.service.parts import cut

Place = tuple[str, UUID]


@dataclass
class _Row:
    incoming: Incoming
    id: UUID
    answer: bytes
    state: SubmissionState
    rejection: str = ""
    accepted: Accepted | None = None


@dataclass
class _Progress:
    state: int = 0
    leaf_index: int | None = None
    proof: str = ""
    changes: list[StateChange] = field(default_factory=list)


class MemoryStore:
    """`Store`. `events` is what the outbox would hold."""

    def __init__(self) -> None:
        self._rows: dict[Place, _Row] = {}
        self._progress: dict[Place, _Progress] = {}
        self._counters: dict[str, int] = {}
        self._entries: dict[UUID, DocumentEntry] = {}
        self._parts: dict[UUID, dict[ContentKind, bytes]] = {}
        self.events: list[Event] = []

    async def known(self, documents: Sequence[Incoming]) -> Mapping[Key, Sequence[Known]]:
        found: dict[Key, list[Known]] = {}
        for one in documents:
            for row in self._rows.values():
                same = row.incoming.sha256 == one.sha256
                if row.incoming.key == one.key and (not row.rejection or same):
                    known = Known(row.id, row.incoming.sha256, row.rejection, row.answer)
                    found.setdefault(one.key, []).append(known)
        return found

    async def store(self, accepted: Sequence[Accepted], rejected: Sequence[Rejected], finish: Finish) -> list[Finished]:
        stored = {row.incoming.key for row in self._rows.values() if not row.rejection}
        taken = {one.incoming.key for one in accepted} & stored
        if taken:
            raise KeysTaken(taken)
        counters = dict(self._counters)
        numbered = []
        for one in accepted:
            counters[one.incoming.facility] = counters.get(one.incoming.facility, 0) + 1
            numbered.append((one, counters[one.incoming.facility]))
        finished = list(finish(numbered))
        self._counters = counters
        for document, done in zip(accepted, finished, strict=True):
            self._add(document, done)
        for one_rejected in rejected:
            incoming = one_rejected.incoming
            self._rows[incoming.facility, one_rejected.id] = _Row(
                incoming,
                one_rejected.id,
                one_rejected.answer,
                SubmissionState.REJECTED,
                one_rejected.rejection.reason,
            )
        return finished

    def _add(self, document: Accepted, done: Finished) -> None:
        incoming, filing = document.incoming, document.filing
        state = SubmissionState.HELD if filing.held else SubmissionState.RETRIEVABLE
        row = _Row(incoming, document.id, done.answer, state, accepted=document)
        self._rows[incoming.facility, document.id] = row
        self._entries[document.id] = DocumentEntry(
            id=document.id,
            person=filing.person,
            facility=incoming.facility,
            format=document.parsed.format,
            kinds=document.parsed.kinds,
            care_start=document.care[0],
            care_end=document.care[1],
            sha256=incoming.sha256,
            size=len(incoming.content),
            received_at=incoming.received_at,
            held=filing.held,
        )
        parts = cut(document.parsed)
        if parts:
            self._parts[document.id] = parts
        self.events.extend(done.events)

    async def submission(self, facility: str, id: UUID) -> SubmissionRecord | None:
        row = self._rows.get((facility, id))
        return None if row is None else self._record(row, whole=True)

    def _record(self, row: _Row, *, whole: bool) -> SubmissionRecord:
        progress = self._progress.get((row.incoming.facility, row.id), _Progress())
        final = row.state in (SubmissionState.REJECTED, SubmissionState.HELD)
        state = row.state if final else SubmissionState(max(row.state, progress.state))
        changes = tuple(sorted(progress.changes, key=lambda change: (change.at, change.state))) if whole else ()
        return SubmissionRecord(row.id, row.answer, state, changes, progress.proof if whole else "")

    async def submissions(
        self, facility: str, before: UUID | None, state: SubmissionState | None, document_id: str, limit: int
    ) -> Sequence[SubmissionRecord]:
        rows = [row for (owner, _), row in self._rows.items() if owner == facility]
        rows.sort(key=lambda row: row.id, reverse=True)
        found = [
            self._record(row, whole=False)
            for row in rows
            if (before is None or row.id < before) and document_id in ("", row.incoming.document_id)
        ]
        return [record for record in found if state in (None, record.state)][:limit]

    async def place(self, places: Mapping[Place, int]) -> None:
        for place, index in places.items():
            self._progress.setdefault(place, _Progress()).leaf_index = index

    async def unproven(self, limit: int) -> Sequence[tuple[str, UUID, int]]:
        found = [
            (*place, progress.leaf_index)
            for place, progress in self._progress.items()
            if progress.leaf_index is not None and not progress.proof
        ]
        return sorted(found, key=lambda one: one[2])[:limit]

    async def prove(self, proofs: Mapping[Place, str], at: datetime) -> None:
        for place, proof in proofs.items():
            progress = self._progress.get(place)
            if progress is not None and not progress.proof:
                progress.proof = proof
                self._advance(place, StateChange(SubmissionState.LOGGED, at))

    async def advance(self, facility: str, id: UUID, changes: Sequence[StateChange]) -> None:
        for change in changes:
            self._advance((facility, id), change)

    def _advance(self, place: Place, change: StateChange) -> None:
        progress = self._progress.setdefault(place, _Progress())
        progress.state = max(progress.state, change.state)
        if all((one.state, one.destination) != (change.state, change.destination) for one in progress.changes):
            progress.changes.append(change)

    async def original(self, facility: str, id: UUID) -> StoredContent | None:
        row = self._rows.get((facility, id))
        if row is None or row.accepted is None:
            return None
        record = self._record(row, whole=True)
        bare = SubmissionRecord(record.id, record.answer, record.state, (), record.tlog_proof)
        return StoredContent(row.incoming.content, row.incoming.signatures, bare)

    async def document(self, id: UUID) -> DocumentEntry | None:
        return self._entries.get(id)

    async def documents(self, selection: Selection) -> Sequence[DocumentEntry]:
        found = [
            entry
            for entry in self._entries.values()
            if entry.person == selection.person
            and (not entry.held if selection.facility is None else entry.facility == selection.facility)
            and selection.span.holds(entry.care_start, entry.care_end)
            and readable_kinds(entry, selection.permissions)
            and (selection.after is None or (entry.care_end, entry.id) < (selection.after.care_end, selection.after.id))
        ]
        found.sort(key=lambda entry: (entry.care_end, entry.id), reverse=True)
        return found[: selection.limit]

    async def own_document(self, person: UUID, facility: str) -> UUID | None:
        own = (entry.id for entry in self._entries.values() if (entry.person, entry.facility) == (person, facility))
        return next(own, None)

    async def health_book(self, selection: Selection) -> Sequence[tuple[DocumentEntry, Mapping[ContentKind, bytes]]]:
        whole = Selection(
            selection.person, selection.permissions, selection.span, selection.facility, selection.after, 10**9
        )
        found = [(entry, self._parts[entry.id]) for entry in await self.documents(whole) if entry.id in self._parts]
        return [
            (
                entry,
                {kind: part for kind, part in parts.items() if kind in readable_kinds(entry, selection.permissions)},
            )
            for entry, parts in found[: selection.limit]
        ]
