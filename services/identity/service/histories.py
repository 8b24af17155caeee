"""Looking back: the history of links, a person as it was known at a time, and who read what a link made readable."""

from __future__ import annotations

from collections.abc import Sequence
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
from services.identity.model import Person, PersonEvent, PersonState
from services.identity.ports import Store, Transaction
from services.identity.service.links import existing_link
from services.identity.service.trees import MOST_MEMBERS
from services.identity.service.updates import DEATH_RECORDED, PROTECTION_CHANGED
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
        """Permitted accesses within a time that stand on the entry's own ledger, not on those of entries that answer with it; at most so many."""


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
        """The history of links of the person that an entry answers with, and of all entries that do, oldest first. Raises PersonNotFound."""

        async def work(transaction: Transaction) -> Sequence[LinkEvent]:
            if person not in await transaction.persons([person]):
                raise PersonNotFound("no such person")
            root = (await transaction.currents([person]))[person]
            members = (await transaction.members([root]))[root]
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
        """Who read the person while the link was in force, oldest first, one for each access; `person` is the entry of the other side, whose data
        the link made readable. The ledger does not say under which name of a person somebody asked: readings of the one who answered for both
        name the entry that the link brought, and the mistake has to be told to both persons. Raises PersonLinkNotFound, PersonLinkState when
        the link was never in force, or so many readings that they cannot be listed.
        """
        spans = await self._store.read(lambda transaction: self._spans(transaction, id))
        found: dict[UUID, Reading] = {}
        for span in spans:
            lines = await self._ledger.readings(span.entry, span.since, span.until, MOST_READINGS - len(found) + 1)
            for line in lines:
                found.setdefault(line.id, replace(line, person=span.other))
            if len(found) > MOST_READINGS:
                raise PersonLinkState("too many readings to list", metadata={"allowed": str(MOST_READINGS)})
        ordered = sorted(found.values(), key=lambda one: (one.at, one.id))
        return [one for one in ordered if after is None or (one.at, one.id) > after][:limit]

    async def _spans(self, transaction: Transaction, id: UUID) -> Sequence[_Span]:
        """On whose ledger the readings stand that a link made possible: of everybody who answered for both while it was in force, and, as the
        ledger follows links a moment later, of the entries that it joined.
        """
        link = await existing_link(transaction, id)
        events = {one.kind: one for one in await transaction.events_of_link(id)}
        began, ended = events.get(LinkEventKind.LINKED), events.get(LinkEventKind.UNLINKED)
        if began is None:
            raise PersonLinkState("the link was never in force", metadata={"allowed": "ACTIVE,UNLINKED"})
        until = ended.at if ended else self._clock()
        entries, history = await _joined(transaction, link.person, until)
        ordered = sorted(history, key=lambda one: (one.at, one.id))
        first = next(at for at, one in enumerate(ordered) if one.id == began.id)
        before = fold(ordered[:first]).redirects
        spans = []
        since, root = began.at, link.target
        for at, event in enumerate(ordered[first + 1 :], first + 2):
            now = fold(ordered[:at]).redirects.get(link.target, link.target)
            if event.at <= until and now != root:
                spans.append(_Span(root, link.person, since, event.at))
                since, root = event.at, now
        spans.append(_Span(root, link.person, since, until))
        sides = {link.person: link.target, link.target: link.person}
        for one in sorted(entries):
            other = sides.get(before.get(one, one))
            if other is not None:
                spans.append(_Span(one, other, began.at, until))
        return spans


@dataclass(frozen=True)
class _Span:
    """Readings on the ledger of `entry` within a time made data of `other` readable."""

    entry: UUID
    other: UUID
    since: datetime
    until: datetime


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
    stewarded = await transaction.stewarded(list(persons), at)
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
        protected=_protected(person, history, at),
    )


def _protected(person: Person, history: Sequence[PersonEvent], at: datetime) -> bool:
    """Whether the person was protected: as the last change before said, and before the first one not."""
    changes = [one for one in history if one.kind == PROTECTION_CHANGED]
    before = [one for one in changes if one.at <= at]
    return before[-1].detail["protected"] == "true" if before else person.protected and not changes
