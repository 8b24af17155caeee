"""The identity store in memory. It passes the same suite as the PostgreSQL store:
`tests/store/test_identity_store.py`.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from services.chassis.errors import RequestIdReused
from services.chassis.identifiers import uuid7
from services.identity.areas import present_code
from services.identity.candidates import MOST_PER_KEY, Candidate, Candidates, indexed
from services.identity.check_ins import KeptCheckIn
from services.identity.links import ChangeKind, FiledRecord, PersonChange
from services.identity.matching.blocks import BlockKey, stored_keys
from services.identity.model import (
    LOCAL,
    Demographics,
    Filing,
    FilingKey,
    Holder,
    IdentifierKey,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
    Provisional,
    Statement,
    WaitingCount,
)
from services.identity.population import PopulationLoad, RowFault
from services.identity.ports import IdentifierTaken, Transaction
from services.identity.registers import (
    Organization,
    OrganizationFilter,
    OrganizationState,
    Practitioner,
    RegistryEvent,
)
from tests.fakes.identity_desk_memory import DeskState, MemoryDesk

T = TypeVar("T")


@dataclass
class _State(DeskState):
    persons: dict[UUID, Person] = field(default_factory=dict)
    events: list[PersonEvent] = field(default_factory=list)
    filings: dict[FilingKey, Filing] = field(default_factory=dict)
    organizations: dict[str, Organization] = field(default_factory=dict)
    practitioners: dict[UUID, Practitioner] = field(default_factory=dict)
    statements: dict[UUID, tuple[Statement, ...]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], tuple[UUID, datetime]] = field(default_factory=dict)
    requests: dict[tuple[str, str], tuple[bytes, bytes]] = field(default_factory=dict)
    check_ins: dict[UUID, KeptCheckIn] = field(default_factory=dict)
    untold: list[UUID] = field(default_factory=list)
    changes: list[PersonChange] = field(default_factory=list)
    loads: dict[str, tuple[PopulationLoad, bytes]] = field(default_factory=dict)
    load_faults: dict[tuple[str, RowFault], None] = field(default_factory=dict)
    places: dict[str, UUID] = field(default_factory=dict)
    registry_events: list[RegistryEvent] = field(default_factory=list)


def _line(person: Person) -> Person:
    local = tuple(one for one in person.identifiers if one.identifier.type in LOCAL)
    return replace(person, demographics=Demographics(), identifiers=local)


class _MemoryTransaction(MemoryDesk):
    def __init__(self, state: _State) -> None:
        super().__init__(state)
        self._state = state

    async def holders(self, keys: Collection[IdentifierKey]) -> Sequence[Holder]:
        found = []
        for person in self._state.persons.values():
            matched = frozenset(one.key for one in person.identifiers) & frozenset(keys)
            if matched:
                active = frozenset(one.key for one in person.identifiers if one.valid_to is None)
                former = frozenset(key for key in matched - active if key.exclusive)
                found.append(
                    Holder(
                        person.id,
                        person.state,
                        person.demographics,
                        person.facility,
                        matched,
                        frozenset(key.type for key in active),
                        former,
                        person.protected,
                        self._state.redirects.get(person.id),
                    )
                )
        return found

    async def candidates(self, keys: Collection[BlockKey]) -> Candidates:
        found = []
        for person in self._state.persons.values():
            compared = indexed(person)
            by = frozenset(keys) & frozenset(stored_keys(compared)) if compared else frozenset()
            root = self._state.redirects.get(person.id, person.id)
            if compared and by and (root == person.id or indexed(self._state.persons[root])):
                found.append(Candidate(person.id, root, compared, by))
        numbers = Counter(key for one in found for key in one.keys)
        return Candidates(tuple(found), frozenset(key for key, number in numbers.items() if number > MOST_PER_KEY))

    async def population(self) -> int:
        return sum(indexed(person) is not None for person in self._state.persons.values())

    async def person(self, id: UUID) -> Person | None:
        return self._state.persons.get(id)

    async def add_persons(self, persons: Sequence[Person], events: Sequence[PersonEvent]) -> None:
        for person in persons:
            self._claim(person.id, person.identifiers)
            self._state.persons[person.id] = person
        self._state.events += events
        self._tell(ChangeKind.CREATED, events)

    async def add_identifiers(
        self, identifiers: Mapping[UUID, Sequence[PersonIdentifier]], events: Sequence[PersonEvent]
    ) -> None:
        for id, added in identifiers.items():
            self._claim(id, added)
            person = self._state.persons[id]
            self._state.persons[id] = replace(
                person, identifiers=person.identifiers + tuple(added), version=person.version + 1
            )
        self._state.events += events
        self._tell(ChangeKind.UPDATED, events)

    def _tell(self, kind: ChangeKind, events: Sequence[PersonEvent]) -> None:
        for event in events:
            current = self._state.redirects.get(event.person, event.person)
            provisional = self._state.persons[current].state is PersonState.PROVISIONAL
            self._state.changes.append(PersonChange(event.id, event.person, kind, current, provisional, event.at))

    def _claim(self, id: UUID, identifiers: Sequence[PersonIdentifier]) -> None:
        taken = {
            (one.key, person.id, one.valid_to is None and one.key.exclusive)
            for person in self._state.persons.values()
            for one in person.identifiers
        }
        for one in identifiers:
            if any(key == one.key and (exclusive or holder == id) for key, holder, exclusive in taken):
                raise IdentifierTaken
            taken.add((one.key, id, one.key.exclusive))

    async def take_alias(self, facility: str, alias: str, id: UUID, now: datetime, until: datetime) -> bool:
        holder, end = self._state.aliases.get((facility, alias), (id, now))
        if holder != id and end > now:
            return False
        self._state.aliases[facility, alias] = (id, until)
        return True

    async def used_aliases(self, facility: str, now: datetime) -> frozenset[str]:
        used = self._state.aliases.items()
        return frozenset(alias for (owner, alias), (_, until) in used if owner == facility and until > now)

    async def come(self, id: UUID, came: Provisional, events: Sequence[PersonEvent]) -> None:
        self._state.persons[id] = replace(self._state.persons[id], provisional=came)
        self._state.events += events

    async def note_notice(self, id: UUID, at: datetime, events: Sequence[PersonEvent]) -> bool:
        person = self._state.persons[id]
        if person.provisional is None or person.provisional.notice_at is not None:
            return False
        self._state.persons[id] = replace(person, provisional=replace(person.provisional, notice_at=at))
        self._state.events += events
        return True

    async def waiting(
        self,
        facility: str | None,
        arrived_until: datetime | None,
        notice_due_until: datetime | None,
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Person]:
        found = []
        for person in self._state.persons.values():
            came = person.provisional
            if person.id in self._state.redirects:
                continue
            if came is None or person.state is not PersonState.PROVISIONAL or facility not in {None, came.facility}:
                continue
            if arrived_until is not None and came.arrival_at > arrived_until:
                continue
            due = came.notice_due_at if came.notice_at is None else None
            if notice_due_until is not None and (due is None or due > notice_due_until):
                continue
            if after is None or (came.arrival_at, person.id) > after:
                found.append((came.arrival_at, person.id))
        return [_line(self._state.persons[id]) for _, id in sorted(found)[:limit]]

    async def waiting_counts(self, now: datetime) -> Sequence[WaitingCount]:
        counts: dict[str, list[int]] = {}
        for person in await self.waiting(None, None, None, None, len(self._state.persons)):
            came = person.provisional
            assert came is not None
            numbers = counts.setdefault(came.facility, [0, 0, 0, 0])
            for at, days in enumerate((1, 7, 30)):
                numbers[at] += now - came.arrival_at >= timedelta(days=days)
            due = came.notice_due_at
            numbers[3] += came.notice_at is None and due is not None and due <= now
        return [WaitingCount(facility, *numbers) for facility, numbers in sorted(counts.items())]

    async def children(self, mothers: Collection[UUID], order: int) -> Sequence[Person]:
        return [
            _line(person)
            for person in sorted(self._state.persons.values(), key=lambda one: one.id)
            if person.provisional is not None
            and person.provisional.mother in mothers
            and person.provisional.birth_order == order
        ]

    async def change_person(self, changed: Person, kind: ChangeKind, events: Sequence[PersonEvent]) -> bool:
        before = self._state.persons[changed.id]
        if before.version != changed.version:
            return False
        self._state.persons[changed.id] = replace(changed, identifiers=before.identifiers, version=before.version + 1)
        self._state.events += events
        self._tell(kind, events[:1])
        return True

    async def statements(self, id: UUID) -> Sequence[Statement]:
        return sorted(self._state.statements.get(id, ()), key=lambda one: (one.at, one.id))

    async def add_statements(self, id: UUID, statements: Sequence[Statement]) -> None:
        self._state.statements[id] = (*self._state.statements.get(id, ()), *statements)

    async def end_identifiers(self, id: UUID, keys: Collection[IdentifierKey], at: datetime | None) -> None:
        for other in self._state.persons.values():
            current = {one.key for one in other.identifiers if one.valid_to is None and one.key.exclusive}
            if at is None and other.id != id and current & set(keys):
                raise IdentifierTaken
        person = self._state.persons[id]
        numbers = tuple(replace(one, valid_to=at) if one.key in keys else one for one in person.identifiers)
        self._state.persons[id] = replace(person, identifiers=numbers)

    async def known_at(self, ids: Collection[UUID], facility: str) -> bool:
        registered = any(
            event.person in ids and event.kind.endswith("_REGISTERED") and event.actor.endswith(f"/{facility}")
            for event in self._state.events
        )
        return registered or any(
            key.facility == facility and filing.person in ids for key, filing in self._state.filings.items()
        )

    async def lock(self, id: UUID) -> None:
        """One writer at a time writes anyway."""

    async def history(self, id: UUID) -> Sequence[PersonEvent]:
        return [event for event in self._state.events if event.person == id]

    async def filings(self, keys: Collection[FilingKey]) -> Mapping[FilingKey, Filing]:
        filed = {one.key: one.person for one in self._state.records.values()}
        return {key: replace(self._state.filings[key], person=filed[key]) for key in keys if key in self._state.filings}

    async def add_filings(self, filings: Mapping[FilingKey, Filing], at: datetime) -> None:
        if filings.keys() & self._state.filings.keys():
            raise IdentifierTaken
        self._state.filings |= filings
        for key, filing in filings.items():
            id = uuid7()
            self._state.records[id] = FiledRecord(id, key, filing.person, filing.outcome, at)

    async def currents(self, ids: Collection[UUID]) -> Mapping[UUID, UUID]:
        return {id: self._state.redirects.get(id, id) for id in ids}

    async def members(self, roots: Collection[UUID]) -> Mapping[UUID, Sequence[UUID]]:
        others = sorted(self._state.redirects.items())
        return {root: [root, *(id for id, current in others if current == root)] for root in roots}

    async def add_changes(self, changes: Sequence[PersonChange]) -> None:
        self._state.changes += changes

    async def organization(self, code: str) -> Organization | None:
        return self._state.organizations.get(code)

    async def organization_state(self, code: str) -> OrganizationState | None:
        found = self._state.organizations.get(code)
        return found.state if found else None

    async def known_organizations(self, codes: Collection[str]) -> frozenset[str]:
        return frozenset(codes) & self._state.organizations.keys()

    async def organizations_of(self, codes: Collection[str]) -> Mapping[str, Organization]:
        return {code: self._state.organizations[code] for code in codes if code in self._state.organizations}

    async def hierarchy(self) -> Mapping[str, str | None]:
        return {code: one.parent for code, one in self._state.organizations.items()}

    async def organizations(self, wanted: OrganizationFilter, after: str, limit: int) -> Sequence[Organization]:
        known = self._state.organizations

        def above(code: str) -> list[str]:
            parent = known[code].parent
            return [parent, *above(parent)] if parent in known and parent else []

        ordered = sorted(known.values(), key=lambda one: one.code)
        return [
            one
            for one in ordered
            if one.code > after
            and wanted.level in {None, one.care_level}
            and wanted.state in {None, one.state}
            and (not wanted.capability or wanted.capability in one.capabilities)
            and wanted.province_code in {"", present_code(one.province)}
            and (not wanted.ancestor or wanted.ancestor in above(one.code))
        ][:limit]

    async def add_organization(self, organization: Organization) -> Organization:
        return self._state.organizations.setdefault(organization.code, organization)

    async def put_organization(self, changed: Organization) -> bool:
        found = self._state.organizations.get(changed.code)
        if found is None or found.version != changed.version - 1:
            return False
        self._state.organizations[changed.code] = changed
        return True

    async def put_organizations(self, changed: Sequence[Organization]) -> None:
        self._state.organizations |= {one.code: one for one in changed}

    async def add_load(self, load: PopulationLoad) -> PopulationLoad:
        return self._state.loads.setdefault(load.source, (load, b""))[0]

    async def load(self, source: str, *, hold: bool = False) -> PopulationLoad | None:
        found = self._state.loads.get(source)
        return found[0] if found else None

    async def is_last_part(self, source: str, digest: bytes) -> bool:
        return self._state.loads[source][1] == digest

    async def put_load(self, load: PopulationLoad, digest: bytes, faults: Collection[RowFault]) -> None:
        self._state.loads[load.source] = (load, digest)
        self._state.load_faults |= {(load.source, one): None for one in faults}

    async def load_faults(self, source: str, after: RowFault | None, limit: int) -> Sequence[RowFault]:
        ordered = sorted(one for of, one in self._state.load_faults if of == source)
        return [one for one in ordered if after is None or one > after][:limit]

    async def place(self, version: str) -> UUID | None:
        return self._state.places.get(version)

    async def put_place(self, version: str, last: UUID, at: datetime) -> None:
        self._state.places[version] = last

    async def entries_after(self, after: UUID | None, limit: int) -> Sequence[UUID]:
        return [id for id in sorted(self._state.persons) if after is None or id > after][:limit]

    async def practitioner(self, id: UUID) -> Practitioner | None:
        return self._state.practitioners.get(id)

    async def practitioners(self, code: str, after: UUID | None, limit: int) -> Sequence[Practitioner]:
        ordered = sorted(self._state.practitioners.values(), key=lambda one: one.id)
        return [one for one in ordered if code in one.organizations and (after is None or one.id > after)][:limit]

    async def add_practitioner(self, practitioner: Practitioner) -> Practitioner:
        for one in self._state.practitioners.values():
            if one.licence == practitioner.licence:
                return one
        self._state.practitioners[practitioner.id] = practitioner
        return practitioner

    async def put_practitioner(self, changed: Practitioner) -> bool:
        found = self._state.practitioners.get(changed.id)
        if found is None or found.version != changed.version - 1:
            return False
        self._state.practitioners[changed.id] = changed
        return True

    async def add_registry_events(self, events: Sequence[RegistryEvent]) -> None:
        self._state.registry_events += events

    async def once(self, scope: str, request_id: str, digest: bytes, work: Callable[[], Awaitable[bytes]]) -> bytes:
        known = self._state.requests.get((scope, request_id))
        if known is None:
            known = (digest, await work())
            self._state.requests[scope, request_id] = known
        if known[0] != digest:
            raise RequestIdReused("this request id was used for another request")
        return known[1]

    async def keep_check_in(self, one: KeptCheckIn, *, told: bool) -> None:
        self._state.check_ins[one.id] = one
        if not told:
            self._state.untold.append(one.id)

    async def check_ins(self, ids: Sequence[UUID]) -> Mapping[UUID, KeptCheckIn]:
        return {id: self._state.check_ins[id] for id in ids if id in self._state.check_ins}


class MemoryStore:
    """One writer at a time; a failed write leaves no trace."""

    def __init__(self) -> None:
        self._state = _State()
        self._lock = asyncio.Lock()

    @property
    def changes(self) -> Sequence[PersonChange]:
        """The feed."""
        return tuple(self._state.changes)

    @property
    def registry(self) -> Sequence[RegistryEvent]:
        """The histories of the registers."""
        return tuple(self._state.registry_events)

    @property
    def untold(self) -> Sequence[UUID]:
        """Check-ins that wait to be told."""
        return tuple(self._state.untold)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await work(_MemoryTransaction(self._state))

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._lock:
            draft = _State(**{name: copy.copy(value) for name, value in vars(self._state).items()})
            result = await work(_MemoryTransaction(draft))
            self._state = draft
            return result
