"""Loading an existing population, in numbered parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.principal import Principal
from services.chassis.turns import in_turns
from services.identity.errors import PopulationLoadNotFound, PopulationPartOutOfOrder
from services.identity.links import NewReviewTask, ReviewCandidate, ReviewReason
from services.identity.model import (
    FOUNDING,
    Demographics,
    Holder,
    Person,
    PersonEvent,
    PersonIdentifier,
    invalid,
)
from services.identity.normalise.dates import day_in_viet_nam
from services.identity.normalise.names import name as normal_name
from services.identity.population import PopulationEntry, PopulationLoad, RowFault
from services.identity.ports import NewId, Store, Transaction
from services.identity.resolution import Asked, ask, contested, identifier_evidence
from services.identity.service.actors import actor
from services.identity.service.entries import Entries, write
from services.identity.service.persons import birth_violations, number_violations
from services.identity.service.resolving import Holders, holders_of

MAX_ENTRIES = 2_000
_SOURCE = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True)
class _Row:
    entry: PopulationEntry
    asked: Asked


@dataclass
class _Part:
    """What one part does, on top of the holders that were found."""

    holders: Holders
    persons: list[Person] = field(default_factory=list)
    events: list[PersonEvent] = field(default_factory=list)
    added: dict[UUID, tuple[PersonIdentifier, ...]] = field(default_factory=dict)
    tasks: list[NewReviewTask] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)
    known: int = 0

    def mint(self, entries: Entries, demographics: Demographics, identifiers: tuple[PersonIdentifier, ...]) -> Person:
        made = entries.active(demographics, identifiers)
        keys = frozenset(one.key for one in identifiers)
        types = frozenset(key.type for key in keys)
        self.holders.index.put(Holder(made.id, made.state, demographics, None, keys, types))
        self.persons.append(made)
        self.events.append(entries.registered(made))
        return made

    def add(self, id: UUID, identifiers: tuple[PersonIdentifier, ...]) -> None:
        if identifiers:
            holder = self.holders.index[id]
            keys = frozenset(one.key for one in identifiers)
            types = frozenset(key.type for key in keys)
            self.holders.index.put(replace(holder, matched=holder.matched | keys, held=holder.held | types))
            self.added[id] = self.added.get(id, ()) + identifiers


class PopulationService:
    """Loads populations. Of demographics nobody is searched for here: what two rows of one person have in common, the proposals find."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def create(self, principal: Principal, source: str, request_id: str, digest: bytes) -> PopulationLoad:
        """Starts a load, or returns the one of this source as it stands."""
        if not _SOURCE.fullmatch(source):
            raise invalid("source", "1 to 40 of a-z, 0-9 and -", "SOURCE_INVALID")
        now = self._clock()

        async def work(transaction: Transaction) -> PopulationLoad:
            async def first_time() -> bytes:
                await transaction.add_load(PopulationLoad(source, now, now))
                return b""

            await transaction.once(f"{actor(principal)}/CreatePopulationLoad", request_id, digest, first_time)
            return await _existing(transaction, source)

        return await self._store.write(work)

    async def get(self, source: str) -> PopulationLoad:
        """A load. Raises PopulationLoadNotFound."""
        return await self._store.read(lambda transaction: _existing(transaction, source))

    async def faults(self, source: str, after: RowFault | None, limit: int) -> Sequence[RowFault]:
        """Wrong fields by row. Raises PopulationLoadNotFound."""

        async def work(transaction: Transaction) -> Sequence[RowFault]:
            await _existing(transaction, source)
            return await transaction.load_faults(source, after, limit)

        return await self._store.read(work)

    async def load(
        self, principal: Principal, source: str, part: int, rows: Sequence[PopulationEntry], digest: bytes
    ) -> PopulationLoad:
        """Loads one part in one transaction, with a number of statements that does not grow with its rows. The part that came last is answered again
        and changes nothing. Raises PopulationLoadNotFound, PopulationPartOutOfOrder.
        """
        now = self._clock()
        today = day_in_viet_nam(now)
        read = [_Row(one, ask(one.identifiers, one.demographics)) async for one in in_turns(rows)]

        async def work(transaction: Transaction) -> PopulationLoad:
            load = await _existing(transaction, source, hold=True)
            if part == load.parts - 1 and await transaction.is_last_part(source, digest):
                return load
            if part != load.parts:
                raise PopulationPartOutOfOrder(load.parts)
            entries = Entries(self._clock, self._new_id, principal)
            made = _Part(await holders_of(transaction, [one.asked for one in read]))
            rejected = 0
            async for one in in_turns(read):
                rejected += not _file(made, entries, one, today)
            await self._write(transaction, made, entries)
            conflicts = len(made.tasks)
            load = replace(
                load,
                updated_at=now,
                parts=part + 1,
                entries=load.entries + len(read),
                created=load.created + len(read) - made.known - rejected - conflicts,
                known=load.known + made.known,
                rejected=load.rejected + rejected,
                conflicts=load.conflicts + conflicts,
            )
            await transaction.put_load(load, digest, made.faults)
            return load

        return await write(self._store, work)

    async def _write(self, transaction: Transaction, made: _Part, entries: Entries) -> None:
        minted = {one.id for one in made.persons}
        persons = [replace(one, identifiers=one.identifiers + made.added.get(one.id, ())) for one in made.persons]
        added = {id: identifiers for id, identifiers in made.added.items() if id not in minted}
        if persons:
            await transaction.add_persons(persons, made.events)
        if added:
            await transaction.add_identifiers(added, entries.added(added))
        if made.tasks:
            await transaction.add_review_tasks({self._new_id(): task for task in made.tasks}, entries.now)


def _file(part: _Part, entries: Entries, row: _Row, today: date) -> bool:
    """Files one row; False when it cannot be used."""
    faults = _faults(row, today)
    if faults:
        part.faults += faults
        return False
    asked, assurance = row.asked, row.entry.assurance
    resolution = part.holders.resolve(asked)
    if resolution.person is not None and resolution.entry is not None:
        part.known += 1
        known = part.holders.matched(asked, resolution.person)
        part.add(resolution.entry, entries.identifiers(asked.identifiers, assurance, known))
        return True
    holders = part.holders.of(asked)
    if not contested(asked, holders):
        part.mint(entries, asked.demographics, entries.identifiers(asked.identifiers, assurance))
        return True
    # Nothing is lost: the row becomes an entry with the numbers that nobody else has, and a steward says whose the others are.
    taken = frozenset().union(*(one.matched for one in holders))
    made = part.mint(entries, asked.demographics, entries.identifiers(asked.identifiers, assurance, taken))
    candidates = [
        ReviewCandidate(id, 0.0, identifier_evidence(asked, holder))
        for id, holder in {part.holders.answering.get(one.person, one.person): one for one in holders}.items()
    ]
    part.tasks.append(NewReviewTask(made.id, ReviewReason.IDENTIFIER_CONFLICT, tuple(candidates), documents=0))
    part.faults += [
        RowFault(row.entry.row, f"identifiers[{at}]", "IDENTIFIER_CONFLICT")
        for at, one in enumerate(asked.identifiers)
        if one.key in taken
    ]
    return True


def _faults(row: _Row, today: date) -> list[RowFault]:
    """What keeps a row out: every wrong field."""
    said = row.entry.demographics
    wrong = [*row.entry.faults]
    wrong += [
        (one.field, one.reason)
        for one in (
            *birth_violations(said, "demographics.birth_date", today),
            *number_violations(row.asked, "identifiers"),
        )
    ]
    if not any(key.type in FOUNDING for key in row.asked.keys):
        wrong.append(("identifiers", "NATIONAL_IDENTIFIER_MISSING"))
    # Of demographics that could not be read at all nothing is known to be missing.
    if not any(where.startswith("demographics.") for where, _ in row.entry.faults):
        name = normal_name(said.name)
        if name.empty or name.newborn:
            wrong.append(("demographics.human_name", "NAME_MISSING"))
        if said.birth is None:
            wrong.append(("demographics.birth_date", "BIRTH_DATE_MISSING"))
    return [RowFault(row.entry.row, where, reason) for where, reason in dict.fromkeys(wrong)]


async def _existing(transaction: Transaction, source: str, *, hold: bool = False) -> PopulationLoad:
    found = await transaction.load(source, hold=hold)
    if found is None:
        raise PopulationLoadNotFound("no load of that source")
    return found
