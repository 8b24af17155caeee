"""The records store in memory. It passes the same suite as the PostgreSQL store: `tests/store/test_records_store.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.chassis.feed import Entries
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
from services.records.proof import (
    MOST_VERDICTS,
    Compromise,
    Due,
    Ending,
    Judgement,
    Occasion,
    Reader,
    RecordedVerdict,
    Renewal,
    TouchedCursor,
    TouchedDocument,
    next_look,
)
from services.records.sensitivity import classes_of
from services.records.service.parts import cut

Place = tuple[str, UUID]
FOREVER = datetime(9999, 12, 30, tzinfo=UTC)


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
    protected_until: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(days=365))


class MemoryStore:
    """`Store`. `events` is what the outbox would hold."""

    def __init__(self) -> None:
        self._rows: dict[Place, _Row] = {}
        self._progress: dict[Place, _Progress] = {}
        self._counters: dict[str, int] = {}
        self._entries: dict[UUID, DocumentEntry] = {}
        self._parts: dict[UUID, dict[ContentKind, bytes]] = {}
        self.events: list[Event] = []
        self._verdicts: dict[Place, list[RecordedVerdict]] = {}
        self._due: dict[Place, tuple[datetime, Occasion, int]] = {}
        self._compromises: set[Compromise] = set()
        self._renewals: dict[Place, list[Renewal]] = {}
        self._disclosures: dict[tuple[Place, str], Reader] = {}

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
            classes=classes_of(document.parsed.diagnosis_codes, document.parsed.kinds),
        )
        parts = cut(document.parsed)
        if parts:
            self._parts[document.id] = parts
        self.events.extend(done.events)
        look = next_look(document.verdict, document.verified_at, 0)
        if look is not None:
            self._due[incoming.facility, document.id] = (*look, 0)

    async def submission(self, facility: str, id: UUID) -> SubmissionRecord | None:
        row = self._rows.get((facility, id))
        return None if row is None else self._record(row, whole=True)

    def _record(self, row: _Row, *, whole: bool) -> SubmissionRecord:
        progress = self._progress.get((row.incoming.facility, row.id), _Progress())
        final = row.state in (SubmissionState.REJECTED, SubmissionState.HELD)
        state = row.state if final else SubmissionState(max(row.state, progress.state))
        changes = tuple(sorted(progress.changes, key=lambda change: (change.at, change.state))) if whole else ()
        newest = self._verdicts.get((row.incoming.facility, row.id), ())
        verdict = newest[-1].encoded if newest else b""
        return SubmissionRecord(row.id, row.answer, state, changes, progress.proof if whole else "", verdict)

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
        bare = replace(record, changes=())
        return StoredContent(row.incoming.content, row.incoming.signatures, bare)

    async def document(self, id: UUID) -> DocumentEntry | None:
        return self._entries.get(id)

    async def documents(self, selection: Selection) -> Sequence[DocumentEntry]:
        found = [
            entry
            for entry in self._entries.values()
            if entry.person in selection.persons
            and (not entry.held if selection.facility is None else entry.facility == selection.facility)
            and selection.span.holds(entry.care_start, entry.care_end)
            and readable_kinds(entry, selection.permissions)
            and (selection.after is None or (entry.care_end, entry.id) < (selection.after.care_end, selection.after.id))
        ]
        found.sort(key=lambda entry: (entry.care_end, entry.id), reverse=True)
        return found[: selection.limit]

    async def entries(self, person: UUID) -> Entries:
        return Entries.alone(person)

    async def own_document(self, persons: Sequence[UUID], facility: str) -> UUID | None:
        entries = self._entries.values()
        own = (entry.id for entry in entries if entry.person in persons and entry.facility == facility)
        return next(own, None)

    async def health_book(self, selection: Selection) -> Sequence[tuple[DocumentEntry, Mapping[ContentKind, bytes]]]:
        whole = Selection(
            selection.persons, selection.permissions, selection.span, selection.facility, selection.after, 10**9
        )
        found = [(entry, self._parts[entry.id]) for entry in await self.documents(whole) if entry.id in self._parts]
        return [
            (
                entry,
                {kind: part for kind, part in parts.items() if kind in readable_kinds(entry, selection.permissions)},
            )
            for entry, parts in found[: selection.limit]
        ]

    async def verdicts(self, facility: str, id: UUID) -> Sequence[RecordedVerdict]:
        return list(self._verdicts.get((facility, id), ()))

    async def take_due(self, now: datetime, until: datetime, limit: int) -> Sequence[Due]:
        due = sorted((at, place) for place, (at, _, _) in self._due.items() if at <= now)[:limit]
        found = []
        for _, place in due:
            _, occasion, attempts = self._due[place]
            self._due[place] = (until, occasion, attempts)
            found.append(Due(*place, occasion, attempts))
        return found

    async def received(self, places: Sequence[Place]) -> Mapping[Place, Incoming]:
        rows = {place: self._rows[place] for place in places if place in self._rows}
        return {place: replace(row.incoming, trace="") for place, row in rows.items() if row.accepted is not None}

    async def judged(self, judgements: Sequence[Judgement]) -> None:
        for one in judgements:
            place = (one.due.facility, one.due.submission)
            kept = self._verdicts.setdefault(place, [])
            if one.verdict is not None and len(kept) + 1 < MOST_VERDICTS:
                kept.append(RecordedVerdict(len(kept) + 2, one.due.occasion, one.at, one.verdict.encoded))
            if place not in self._due or self._due[place][1] is not one.due.occasion:
                continue
            if one.again is None:
                del self._due[place]
            else:
                self._due[place] = (*one.again, one.attempts)

    async def judge_signed_by(
        self, certificate_sha256: str, since: datetime, after: TouchedCursor | None, at: datetime, limit: int
    ) -> TouchedCursor | None:
        page = await self.touched(certificate_sha256, since, after, limit)
        for one in page:
            self._due[one.facility, one.submission] = (at, Occasion.KEY_COMPROMISED, 0)
        return TouchedCursor(page[-1].received_at, page[-1].submission) if page else None

    async def compromises(self) -> Collection[Compromise]:
        return set(self._compromises)

    async def remember(self, compromise: Compromise, at: datetime) -> None:
        self._compromises.add(compromise)

    async def disclose(self, reader: str, documents: Sequence[Place], at: datetime) -> None:
        for place in documents:
            before = self._disclosures.get((place, reader), Reader(reader, at, at))
            self._disclosures[place, reader] = Reader(reader, before.first_at, max(before.last_at, at))

    async def touched(
        self, certificate_sha256: str, since: datetime, after: TouchedCursor | None, limit: int
    ) -> Sequence[TouchedDocument]:
        found = []
        for (facility, id), row in self._rows.items():
            signers = dict(row.accepted.verdict.signers) if row.accepted else {}
            at = row.incoming.received_at
            if certificate_sha256 not in signers or at < since:
                continue
            if after is not None and (at, id) <= (after.received_at, after.id):
                continue
            given = [one for (place, _), one in self._disclosures.items() if place == (facility, id)]
            readers = tuple(sorted(given, key=lambda one: (one.first_at, one.facility)))
            found.append(TouchedDocument(id, facility, at, signers[certificate_sha256], readers))
        return sorted(found, key=lambda one: (one.received_at, one.submission))[:limit]

    async def renewals(self, facility: str, id: UUID) -> Sequence[Renewal]:
        return list(self._renewals.get((facility, id), ()))

    async def renew(self, renewals: Sequence[Renewal]) -> None:
        for one in renewals:
            kept = self._renewals.setdefault((one.facility, one.document), [])
            if one.number not in {other.number for other in kept}:
                kept.append(one)
                self._progress[one.facility, one.document].protected_until = one.protected_until

    async def ending(self, before: datetime, after: Ending | None, limit: int) -> Sequence[Ending]:
        found = [
            Ending(*place, progress.protected_until)
            for place, progress in self._progress.items()
            if progress.proof and progress.protected_until < before
        ]
        found.sort(key=lambda one: (one.protected_until, one.document))
        last = None if after is None else (after.protected_until, after.document)
        return [one for one in found if last is None or (one.protected_until, one.document) > last][:limit]

    async def release(self, places: Sequence[Place]) -> None:
        for place in places:
            self._progress[place].protected_until = FOREVER

    async def end_protection(self, renewed_before: datetime, at: datetime, limit: int) -> int:
        found = 0
        for place, progress in self._progress.items():
            last = max((one.renewed_at for one in self._renewals.get(place, ())), default=None)
            due = last is None or last < renewed_before
            if progress.proof and at < progress.protected_until < FOREVER and due and found < limit:
                progress.protected_until = at
                found += 1
        return found
