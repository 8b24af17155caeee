"""Looking back: the history of links, a person as it was known at a time, and who read what a link made readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.principal import Principal, PrincipalKind
from services.identity.desk import Place
from services.identity.errors import PersonLinkState, PersonNotFound
from services.identity.fold import fold
from services.identity.golden import GoldenPerson, golden
from services.identity.links import FiledRecord, LinkEvent, LinkEventKind, PersonLink
from services.identity.model import Person, PersonState
from services.identity.ports import Store, Transaction
from services.identity.service.links import existing_link
from services.identity.service.trees import MOST_MEMBERS
from services.identity.service.updates import DEATH_RECORDED
from services.identity.service.views import masked
from services.identity.statements import current

MOST_EVENTS = 10_000
MOST_READINGS = 10_000
IDENTIFIED = "PERSON_IDENTIFIED"


@dataclass(frozen=True)
class Reading:
    """One permitted access to a person's data, as the access ledger has it; `facility` empty for a citizen or an officer."""

    id: UUID
    person: UUID
    at: datetime
    facility: str


class AccessLedger(Protocol):
    """The access ledger of the consent role."""

    async def readings(self, person: UUID, since: datetime, until: datetime, limit: int) -> Sequence[Reading]:
        """Permitted accesses on the ledger of an entry within a time, at most so many."""


class HistoryService:
    """Use cases that look back."""

    def __init__(self, store: Store, clock: Clock, ledger: AccessLedger) -> None:
        self._store = store
        self._clock = clock
        self._ledger = ledger

    async def link(self, id: UUID) -> PersonLink:
        """A link. Raises PersonLinkNotFound."""
        return await self._store.read(lambda transaction: existing_link(transaction, id))

    async def events(self, person: UUID, after: Place | None, limit: int) -> Sequence[LinkEvent]:
        """The history of links of an entry and of those that answer with it, oldest first. Raises PersonNotFound."""

        async def work(transaction: Transaction) -> Sequence[LinkEvent]:
            if person not in await transaction.persons([person]):
                raise PersonNotFound("no such person")
            members = (await transaction.members([person]))[person]
            return await transaction.link_events(members, after, limit)

        return await self._store.read(work)

    async def filed_under(self, person: UUID, after: Place | None, limit: int) -> Sequence[FiledRecord]:
        """The source records of an entry, oldest first. Raises PersonNotFound."""

        async def work(transaction: Transaction) -> Sequence[FiledRecord]:
            if person not in await transaction.persons([person]):
                raise PersonNotFound("no such person")
            return await transaction.filed_under(person, after, limit)

        return await self._store.read(work)

    async def as_of(self, principal: Principal, id: UUID, at: datetime) -> GoldenPerson:
        """A person as it was known at a time: who answered for the entry, with which numbers and values. An auditor sees numbers masked. Raises
        PersonNotFound for an entry that was not there yet.
        """
        found = await self._store.read(lambda transaction: _as_of(transaction, id, at))
        if principal.kind is PrincipalKind.STEWARD:
            return found
        return replace(found, person=masked(found.person))

    async def consequences(self, id: UUID, after: Place | None, limit: int) -> Sequence[Reading]:
        """Who read one side while it answered with the other, oldest first; `person` of each is the entry of the other side, whose data were
        readable to somebody who asked for this one. Raises PersonLinkNotFound, PersonLinkState when the link was never in force, or so many
        readings that they cannot be listed.
        """
        began, ended, sides = await self._store.read(lambda transaction: self._sides(transaction, id))
        found: list[Reading] = []
        for entry, other in sorted(sides.items()):
            lines = await self._ledger.readings(entry, began, ended, MOST_READINGS - len(found) + 1)
            found += [replace(line, person=other) for line in lines]
            if len(found) > MOST_READINGS:
                raise PersonLinkState("too many readings to list", metadata={"allowed": str(MOST_READINGS)})
        found.sort(key=lambda one: (one.at, one.id))
        return [one for one in found if after is None or (one.at, one.id) > after][:limit]

    async def _sides(self, transaction: Transaction, id: UUID) -> tuple[datetime, datetime, Mapping[UUID, UUID]]:
        """From when until when a link was in force, and of each entry that it joined the entry of the other side."""
        link = await existing_link(transaction, id)
        events = {one.kind: one for one in await transaction.events_of_link(id)}
        began, ended = events.get(LinkEventKind.LINKED), events.get(LinkEventKind.UNLINKED)
        if began is None:
            raise PersonLinkState("the link was never in force", metadata={"allowed": "ACTIVE,UNLINKED"})
        entries, history = await _joined(transaction, link.person, began.at)
        before = fold(one for one in history if (one.at, one.id) < (began.at, began.id)).redirects
        roots = {one: before.get(one, one) for one in entries | {link.person, link.target}}
        sides = {one: link.target for one, root in roots.items() if root == link.person}
        sides |= {one: link.person for one, root in roots.items() if root == link.target}
        return began.at, ended.at if ended else self._clock(), sides


async def _joined(transaction: Transaction, id: UUID, until: datetime) -> tuple[frozenset[UUID], Sequence[LinkEvent]]:
    """All entries that links ever joined with an entry until a time, and the events that name them. Raises PersonLinkState when they are too
    many for one human being.
    """
    entries: frozenset[UUID] = frozenset({id})
    while True:
        events = await transaction.link_events(entries, None, MOST_EVENTS + 1, until)
        joined = {one for event in events if event.kind is LinkEventKind.LINKED for one in (event.person, event.target)}
        if joined <= entries:
            return entries, [one for one in events if one.link is not None]
        entries |= joined
        if len(entries) > MOST_MEMBERS or len(events) > MOST_EVENTS:
            raise PersonLinkState("too many entries for one person", metadata={"allowed": str(MOST_MEMBERS)})


async def _as_of(transaction: Transaction, id: UUID, at: datetime) -> GoldenPerson:
    entries, events = await _joined(transaction, id, at)
    roots = fold(events).redirects
    root = roots.get(id, id)
    members = [one for one in entries if roots.get(one, one) == root]
    known = await transaction.persons(members)
    persons = {one.id: await _dated(transaction, one, at) for one in known.values() if one.created_at <= at}
    if id not in persons or root not in persons:
        raise PersonNotFound("no such person at that time")
    others = [one for one in persons.values() if one.id != root]
    stewarded = await transaction.stewarded(list(persons))
    found = golden(persons[root], others, stewarded, None if id == root else id)
    # Nothing can be changed in the past.
    return replace(found, etag="")


async def _dated(transaction: Transaction, person: Person, at: datetime) -> Person:
    """An entry as it was known at a time."""
    said = [one for one in await transaction.statements(person.id) if one.at <= at]
    history = await transaction.history(person.id)
    later = any(one.kind == IDENTIFIED and one.at > at for one in history)
    came = person.provisional
    waited = later and came is not None
    return replace(
        person,
        state=PersonState.PROVISIONAL if waited else person.state,
        facility=came.facility if waited and came is not None else person.facility,
        demographics=current(said) if said else person.demographics,
        identifiers=tuple(
            replace(held, valid_to=None if held.valid_to is None or held.valid_to > at else held.valid_to)
            for held in person.identifiers
            if held.valid_from <= at
        ),
        death=person.death if any(one.kind == DEATH_RECORDED and one.at <= at for one in history) else None,
    )
