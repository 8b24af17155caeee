"""Filing what documents say: every source record ends under exactly one person, whatever its quality, in one batch of
statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.principal import Principal
from services.identity.crosscheck import NameAgreement, compare_births, compare_names
from services.identity.errors import IdentificationConflict, LinkRefused, PersonLinkState
from services.identity.links import LinkMethod, NewReviewTask, ReviewReason
from services.identity.model import (
    FOUNDING,
    LOCAL,
    Agreement,
    Assurance,
    Demographics,
    Filing,
    FilingKey,
    FilingOutcome,
    Holder,
    IdentifierKey,
    IdentifierType,
    Outcome,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
    Sex,
    SourceRecord,
    invalid,
)
from services.identity.normalise.identifiers import NormalIdentifier, facility_code, normalise
from services.identity.normalise.names import name as normal_name
from services.identity.ports import NewId, Store, Transaction
from services.identity.resolution import Asked, HolderIndex, ask, contested
from services.identity.service.actors import actor
from services.identity.service.entries import Entries, local_mrn, write
from services.identity.service.links import LinkService
from services.identity.service.matching import Matcher
from services.identity.service.recognition import MOST_CANDIDATES, NOBODY, Recognised, Recogniser, Unknown
from services.identity.service.resolving import Holders, holders_with

BIRTH_DATE_IN_FUTURE = "BIRTH_DATE_IN_FUTURE"
DEMOGRAPHICS_INSUFFICIENT = "DEMOGRAPHICS_INSUFFICIENT"
TEMPORARY_OF_OTHER_FACILITY = "TEMPORARY_OF_OTHER_FACILITY"
SCORE = "SCORE"
"""Reason of links that a search made."""
_HELD = frozenset({FilingOutcome.PROVISIONAL, FilingOutcome.REVIEW})
"""Outcomes whose documents are held."""


@dataclass(frozen=True)
class _Read:
    """A source record in canonical form: `asked` are its national identifiers, `local` those the facility gave out,
    wristband first.
    """

    key: FilingKey
    asked: Asked
    local: tuple[NormalIdentifier, ...]
    warnings: tuple[str, ...]

    @property
    def keys(self) -> frozenset[IdentifierKey]:
        return self.asked.keys | {one.key for one in self.local if one.key is not None}

    @property
    def founding(self) -> bool:
        """True when one of the numbers can found a person."""
        return any(key.type in FOUNDING for key in self.asked.keys)


@dataclass
class _Batch:
    """The index as the batch sees it: the holders found, and on top what earlier records of the batch have added."""

    holders: Holders
    # Of those who came provisional and are identified by now: what is known of the person who answers for the entry.
    identified: Mapping[UUID, Demographics] = field(default_factory=dict)
    persons: list[Person] = field(default_factory=list)
    events: list[PersonEvent] = field(default_factory=list)
    added: dict[UUID, tuple[PersonIdentifier, ...]] = field(default_factory=dict)
    matched: dict[UUID, Recognised] = field(default_factory=dict)
    """New entries whose person a search has found."""
    tasks: dict[tuple[UUID, ReviewReason], NewReviewTask] = field(default_factory=dict)

    @property
    def index(self) -> HolderIndex:
        return self.holders.index

    def mint(self, person: Person, event: PersonEvent) -> UUID:
        keys = frozenset(one.key for one in person.identifiers)
        types = frozenset(key.type for key in keys)
        self.index.put(Holder(person.id, person.state, person.demographics, person.facility, keys, types))
        self.persons.append(person)
        self.events.append(event)
        return person.id

    def add(self, id: UUID, identifiers: tuple[PersonIdentifier, ...]) -> None:
        if not identifiers:
            return
        holder = self.index[id]
        keys = frozenset(one.key for one in identifiers)
        types = frozenset(key.type for key in keys)
        self.index.put(replace(holder, matched=holder.matched | keys, held=holder.held | types))
        self.added[id] = self.added.get(id, ()) + identifiers

    def review(self, person: UUID, reason: ReviewReason, record: _Read, seen: Recognised, documents: int = 1) -> None:
        known = self.tasks.get((person, reason))
        candidates = {one.person: one for one in (*(known.candidates if known else ()), *seen.candidates)}
        best = sorted(candidates.values(), key=lambda one: -one.score)[:MOST_CANDIDATES]
        waiting = documents + (known.documents if known else 0)
        self.tasks[person, reason] = NewReviewTask(
            person, reason, tuple(best), record.key.facility, seen.model_version, waiting
        )


class FilingService:
    """Files source records for the records role."""

    def __init__(
        self, store: Store, clock: Clock, new_id: NewId, links: LinkService, matcher: Matcher | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._links = links
        self._recogniser = Recogniser(matcher or Matcher(clock))

    async def file(self, principal: Principal, records: Sequence[SourceRecord]) -> Sequence[Filing]:
        """Files each record, in order. The same record gives the same filing for as long as no steward changes it. A
        fixed number of statements, whatever the number of records; safe against other batches with the same new
        identifiers.
        """
        now = self._clock()
        read = [_read(at, record, now.date()) for at, record in enumerate(records)]

        async def work(transaction: Transaction) -> Sequence[Filing]:
            known = await _as_identified(transaction, await transaction.filings({one.key for one in read}))
            fresh = [one for one in read if one.key not in known]
            if fresh:
                known |= await self._file(transaction, principal, fresh)
            return [known[one.key] for one in read]

        return await write(self._store, work)

    async def _file(
        self, transaction: Transaction, principal: Principal, records: Iterable[_Read]
    ) -> Mapping[FilingKey, Filing]:
        entries = Entries(self._clock, self._new_id, principal)
        wanted = {one.key: one for one in records}
        holders = await holders_with(transaction, frozenset(key for one in wanted.values() for key in one.keys))
        batch = _Batch(holders, await _identified(transaction, holders.index))
        unsettled = {key: _unknown(batch, one) for key, one in wanted.items() if _unsettled(batch, one)}
        answers = await self._recogniser.recognise(transaction, list(unsettled.values()), holders)
        seen = dict(zip(unsettled, answers, strict=True))
        filings = {key: _decide(entries, batch, one, seen.get(key, NOBODY)) for key, one in wanted.items()}
        minted = {person.id: person for person in batch.persons}
        # What later records of the batch say of a person it made itself belongs to the first entry.
        persons = [
            replace(person, identifiers=person.identifiers + batch.added.get(id, ())) for id, person in minted.items()
        ]
        added = {id: identifiers for id, identifiers in batch.added.items() if id not in minted}
        if persons:
            await transaction.add_persons(persons, batch.events)
        if added:
            await transaction.add_identifiers(added, entries.added(added))
        linked = await self._link(transaction, principal, batch)
        filings = {
            key: replace(one, outcome=FilingOutcome.MATCHED) if one.person in linked else one
            for key, one in filings.items()
        }
        if batch.tasks:
            await transaction.add_review_tasks({self._new_id(): task for task in batch.tasks.values()}, entries.now)
        await transaction.add_filings(filings, entries.now)
        return filings

    async def _link(self, transaction: Transaction, principal: Principal, batch: _Batch) -> frozenset[UUID]:
        """Links new entries with those whom the search found: an entry of its own, so that a steward can take it back whole. Where stewards have
        refused it, or verified data speak against it, they look.
        """
        linked = set()
        # In one order, so that batches wait for each other instead of locking each other out.
        for entry, seen in sorted(batch.matched.items(), key=lambda item: item[1].candidates[0].person):
            (best,) = seen.candidates
            try:
                await self._links.link(
                    transaction,
                    person=entry,
                    target=best.person,
                    method=LinkMethod.MODEL,
                    evidence=None,
                    actor=actor(principal),
                    reason=SCORE,
                    score=best.score,
                    model_version=seen.model_version,
                )
                linked.add(entry)
            except (LinkRefused, IdentificationConflict, PersonLinkState):
                task = NewReviewTask(entry, ReviewReason.SCORE_BAND, seen.candidates, "", seen.model_version, 0)
                batch.tasks[entry, ReviewReason.SCORE_BAND] = task
        return frozenset(linked)


def _unsettled(batch: _Batch, record: _Read) -> bool:
    """True when a search has to say whom the record is about, or whom it may be about."""
    holders = batch.index.holding(record.asked.keys)
    if batch.holders.resolve(record.asked).outcome is Outcome.MATCH:
        return False
    if contested(record.asked, holders):
        return True
    name = normal_name(record.asked.demographics.name)
    return not name.empty and not name.newborn and (record.founding or _identified_by(batch, record) is None)


def _unknown(batch: _Batch, record: _Read) -> Unknown:
    """Whose numbers contradict, who wears a wristband, or waits at the facility for an identification, is matched by no search."""
    local = {one.key for one in record.local if one.key is not None}
    waiting = any(one.state is PersonState.PROVISIONAL for one in batch.index.holding(local))
    waiting |= any(key.type is IdentifierType.TEMPORARY for key in local)
    return Unknown(record.asked, waiting or contested(record.asked, batch.index.holding(record.asked.keys)))


def _decide(entries: Entries, batch: _Batch, record: _Read, seen: Recognised) -> Filing:
    asked = record.asked
    holders = batch.index.holding(asked.keys)
    resolution = batch.holders.resolve(asked)
    if resolution.person is not None and resolution.entry is not None:
        known = batch.holders.matched(asked, resolution.person)
        batch.add(resolution.entry, entries.identifiers(asked.identifiers, Assurance.TYPED, known))
        return Filing(FilingOutcome.MATCHED, resolution.entry, record.warnings)
    if contested(asked, holders):
        entry = _provisional(entries, batch, record)
        several = len(batch.holders.exclusive(asked)) > 1
        reason = ReviewReason.SEVERAL_HOLDERS if several else ReviewReason.IDENTIFIER_CONFLICT
        batch.review(entry, reason, record, seen)
        return Filing(FilingOutcome.REVIEW, entry, record.warnings)
    if record.founding and _sufficient(asked.demographics):
        identifiers = entries.identifiers(asked.identifiers, Assurance.TYPED)
        person = entries.active(asked.demographics, identifiers)
        batch.mint(person, entries.registered(person))
        if seen.matched is not None:
            batch.matched[person.id] = seen
        elif seen.candidates:
            # Its documents wait for nobody: the number carries them.
            batch.review(person.id, ReviewReason.SCORE_BAND, record, seen, documents=0)
        return Filing(FilingOutcome.REGISTERED, person.id, record.warnings)
    warnings = (*record.warnings, DEMOGRAPHICS_INSUFFICIENT) if record.founding else record.warnings
    if not record.founding:
        known_entry = _identified_by(batch, record)
        if known_entry is not None:
            batch.add(known_entry, tuple(one for one in _local(entries, record) if not batch.index.holding({one.key})))
            return Filing(FilingOutcome.MATCHED, known_entry, warnings)
        if seen.matched is not None:
            return Filing(FilingOutcome.MATCHED, seen.matched.entry, warnings)
    entry = _provisional(entries, batch, record)
    if not seen.candidates:
        return Filing(FilingOutcome.PROVISIONAL, entry, warnings)
    batch.review(entry, ReviewReason.SCORE_BAND, record, seen)
    return Filing(FilingOutcome.REVIEW, entry, warnings)


async def _as_identified(transaction: Transaction, filings: Mapping[FilingKey, Filing]) -> dict[FilingKey, Filing]:
    """What was filed before, under people who may be identified by now: the same statement under the same wristband is held no more then."""
    waiting = {one.person for one in filings.values() if one.outcome in _HELD}
    if not waiting:
        return dict(filings)
    roots = await transaction.currents(waiting)
    persons = await transaction.persons(set(roots.values()))
    confirmed = {
        id for id, root in roots.items() if root in persons and persons[root].state is not PersonState.PROVISIONAL
    }
    return {
        key: replace(one, outcome=FilingOutcome.MATCHED) if one.outcome in _HELD and one.person in confirmed else one
        for key, one in filings.items()
    }


async def _identified(transaction: Transaction, holders: HolderIndex) -> Mapping[UUID, Demographics]:
    """Whoever of these is confirmed, or answers with somebody who is, with what is known of that person."""
    known = {one.person: one.demographics for one in holders if one.state is PersonState.ACTIVE}
    waiting = {one.person for one in holders} - known.keys()
    roots = {id: root for id, root in (await transaction.currents(waiting)).items() if id != root} if waiting else {}
    persons = await transaction.persons(set(roots.values())) if roots else {}
    confirmed = {id: persons[root] for id, root in roots.items() if root in persons}
    return known | {id: one.demographics for id, one in confirmed.items() if one.state is PersonState.ACTIVE}


def _identified_by(batch: _Batch, record: _Read) -> UUID | None:
    """The entry of the facility's own number, when its person is identified and the document says nothing else of that person: what comes
    late under a wristband is not held for ever.
    """
    keys = {one.key for one in record.local if one.key is not None}
    for holder in batch.index.holding(keys):
        known = batch.identified.get(holder.person)
        if known is not None and not _another(record.asked.demographics, known):
            return holder.person
    return None


def _another(said: Demographics, known: Demographics) -> bool:
    name = compare_names(normal_name(said.name), normal_name(known.name))
    sexes = {said.sex, known.sex}
    return (
        name in {NameAgreement.OTHER, NameAgreement.GIVEN_MARKS}
        or compare_births(said.birth, known.birth) is Agreement.DISAGREES
        or sexes == {Sex.MALE, Sex.FEMALE}
    )


def _local(entries: Entries, record: _Read) -> tuple[PersonIdentifier, ...]:
    return entries.identifiers(record.local, Assurance.TYPED)


def _provisional(entries: Entries, batch: _Batch, record: _Read) -> UUID:
    """The facility's provisional person: the one of the wristband, else the one of the patient number, else a new
    one.
    """
    identifiers = _local(entries, record)
    holder = next((one for identifier in identifiers for one in batch.index.holding({identifier.key})), None)
    if holder is None:
        person = entries.provisional(record.key.facility, record.asked.demographics, identifiers)
        return batch.mint(person, entries.registered(person))
    batch.add(holder.person, tuple(one for one in identifiers if not batch.index.holding({one.key})))
    return holder.person


def _sufficient(demographics: Demographics) -> bool:
    """True when name and birth date can carry the cross-check of every later document."""
    name = normal_name(demographics.name)
    return not name.empty and not name.newborn and demographics.birth is not None


def _read(at: int, record: SourceRecord, today: date) -> _Read:
    if not facility_code(record.facility):
        raise invalid(f"records[{at}].facility", "a facility code of 5 characters", "FACILITY_CODE_INVALID")
    mrn = normalise(local_mrn(record.facility, record.local_mrn), record.demographics)
    if mrn.key is None:
        raise invalid(f"records[{at}].local_mrn", "1 to 100 characters", mrn.warnings[0])
    demographics, faults = record.demographics, list(record.faults)
    birth = demographics.birth
    if birth is not None and date(birth.year, birth.month or 1, birth.day or 1) > today:
        demographics = replace(demographics, birth=None)
        faults.append(BIRTH_DATE_IN_FUTURE)
    asked = ask([one for one in record.identifiers if one.type not in LOCAL], demographics)
    local: list[NormalIdentifier] = []
    for one in record.identifiers:
        if one.type is IdentifierType.TEMPORARY:
            normal = normalise(one, demographics)
            faults += normal.warnings
            if normal.key is not None and normal.identifier.assigner != record.facility:
                faults.append(TEMPORARY_OF_OTHER_FACILITY)
            elif normal.key is not None:
                local.append(normal)
    local.append(mrn)
    key = FilingKey(record.facility, record.local_mrn, _said(record))
    return _Read(key, asked, tuple(local), tuple(dict.fromkeys([*faults, *asked.warning_codes])))


def _said(record: SourceRecord) -> bytes:
    """What the document said, in one canonical spelling. It is as sent, not normalised, so that better rules do not
    file it a second time.
    """
    demographics = record.demographics
    birth, residence = demographics.birth, demographics.residence
    said = [
        sorted([one.type.value, one.value, one.assigner] for one in record.identifiers),
        demographics.name,
        None if birth is None else [birth.year, birth.month, birth.day],
        None if demographics.sex is None else demographics.sex.value,
        demographics.phone,
        None if residence is None else [residence.era.value, residence.province_code],
        sorted(record.faults),
    ]
    # Only where they are said, so that what was filed before they could be said stays the same statement.
    said += [
        [key, value]
        for key, value in (
            ("mother", demographics.mother_name),
            ("nationality", demographics.nationality),
            ("ward", None if residence is None else residence.ward_code),
        )
        if value
    ]
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
