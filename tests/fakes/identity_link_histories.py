"""Random histories of links over any identity store, and what must be true after every step.

A history is made by the real service: stewards, facilities and machines link, unlink, refuse, withdraw and move source records, much of which is
refused. What the stores hold is then held against a naive model of its own and against the fold of the events.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.chassis.clock import FrozenClock
from services.chassis.errors import DomainError
from services.chassis.principal import Principal, PrincipalKind
from services.identity.fold import Folded, fold
from services.identity.links import LinkEvent, LinkMethod, LinkState, PersonLink
from services.identity.model import (
    Assurance,
    BirthDate,
    Demographics,
    Filing,
    FilingKey,
    FilingOutcome,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
    Provisional,
    ProvisionalKind,
)
from services.identity.ports import Store, Transaction
from services.identity.service.links import LinkService, Wish

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
STEWARDS = tuple(Principal(PrincipalKind.STEWARD, f"steward-{number}") for number in (1, 2, 3))
MACHINES = (LinkMethod.RULE, LinkMethod.MODEL, LinkMethod.FACILITY)
WIDE = 10_000


@dataclass(frozen=True)
class Seen:
    """Everything that a store holds of these entries, but the history itself."""

    persons: Mapping[UUID, Person]
    currents: Mapping[UUID, UUID]
    members: Mapping[UUID, tuple[UUID, ...]]
    edges: Mapping[UUID, UUID]
    refusals: Mapping[tuple[UUID, UUID], UUID]
    filed: Mapping[UUID, UUID]
    links: Mapping[UUID, PersonLink]
    events: tuple[LinkEvent, ...]

    @property
    def restored(self) -> tuple[Any, ...]:
        """What taking a link back has to give again: all but the history, the links that are over, and refusals."""
        return self.persons, self.currents, self.members, self.edges, self.filed


class History:
    """One random history of a few persons."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)  # noqa: S311 - a test repeats itself
        self.clock = FrozenClock(NOW)
        self.links = LinkService(store, self.clock, self._new_id)
        self.ids: list[UUID] = []
        self.records: list[UUID] = []
        # The naive model: edges in force by link, and nothing else.
        self.edges: dict[UUID, tuple[UUID, UUID]] = {}
        self.done: dict[str, int] = {}

    async def begin(self, persons: int = 6) -> None:
        made = [self._person(number) for number in range(persons)]
        self.ids = [one.id for one in made]
        events = [PersonEvent(one.id, self._new_id(), "PERSON_REGISTERED", NOW, "FACILITY/01001", {}) for one in made]
        await self.store.write(lambda transaction: transaction.add_persons(made, events))
        said = b'[[["LOCAL_MRN","1","01001"]]]'
        filings = {
            FilingKey("01001", f"{one.id}-{number}", said): Filing(FilingOutcome.MATCHED, one.id)
            for number in range(2)
            for one in made[:3]
        }
        await self.store.write(lambda transaction: transaction.add_filings(filings, NOW))

        async def names(transaction: Transaction) -> list[UUID]:
            found = [await transaction.filed_under(id, None, WIDE) for id in self.ids]
            records = sorted((one for some in found for one in some), key=lambda one: one.key.local_mrn)
            return [one.id for one in records]

        self.records = await self.store.read(names)

    def _new_id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def _person(self, number: int) -> Person:
        held = []
        if self.random.random() < 0.5:
            value = f"0011850{self.random.randrange(10**5):05d}"
            assurance = self.random.choice([Assurance.TYPED, Assurance.CHIP_OR_APP, Assurance.REGISTRY])
            key = IdentifierKey(IdentifierType.CITIZEN_ID.value, f"{value[:-1]}{number}")
            held.append(PersonIdentifier(Identifier(IdentifierType.CITIZEN_ID, key.value), key, assurance, NOW))
        demographics = Demographics(f"Nguyễn Thị {number}", BirthDate(1985, 1 + self.random.randrange(2), 2))
        person = Person(self._new_id(), PersonState.ACTIVE, demographics, tuple(held), None, NOW)
        if held or self.random.random() < 0.5:
            return person
        came = Provisional("01001", ProvisionalKind.EMERGENCY, NOW)
        return replace(person, state=PersonState.PROVISIONAL, facility="01001", provisional=came)

    async def step(self) -> str:
        """One attempt; its name, and how it ended."""
        name, work = self.random.choice(
            [
                ("link", self._link),
                ("link", self._link),
                ("link", self._link),
                ("machine", self._machine),
                ("unlink", self._unlink),
                ("unlink", self._unlink),
                ("refuse", self._refuse),
                ("withdraw", self._withdraw),
                ("move", self._move),
            ]
        )
        if self.random.random() < 0.5:
            self.clock.advance(timedelta(seconds=1 + self.random.randrange(100)))
        try:
            await work()
        except DomainError as error:
            name = f"{name}: {error.reason}"
        self.done[name] = self.done.get(name, 0) + 1
        return name

    def _two(self) -> tuple[UUID, UUID]:
        one, other = self.random.sample(self.ids, 2)
        return one, other

    def _linked(self, link: PersonLink) -> None:
        if link.state is LinkState.ACTIVE:
            self.edges[link.id] = (link.person, link.target)

    async def _link(self) -> None:
        one, other = self._two()
        wish = Wish(one, other, "SAME_NUMBER", override_refusal=self.random.random() < 0.3)
        first, second = self.random.sample(STEWARDS, 2)
        before = await self.seen()
        link = await self.links.link_persons(first, wish, str(self._new_id()), b"")
        if link.state is LinkState.PROPOSED and self.random.random() < 0.7:
            link = await self.links.link_persons(second, wish, str(self._new_id()), b"")
        if link.state is LinkState.ACTIVE and self.random.random() < 0.3:
            await self.links.unlink_persons(second, link.id, link.etag, "WRONG", str(self._new_id()), b"")
            now = await self.seen()
            assert now.restored == before.restored, "unlinking gives back what was"
            return
        self._linked(link)

    async def _machine(self) -> None:
        one, other = self._two()
        method = self.random.choice(MACHINES)

        async def work(transaction: Transaction) -> PersonLink:
            return await self.links.link(
                transaction,
                person=one,
                target=other,
                method=method,
                evidence=None,
                actor="machine",
                reason="SCORE",
                score=12.5,
                model_version="fs-2026-11",
            )

        before = await self.seen()
        link = await self.store.write(work)
        trees = [before.members[before.currents[id]] for id in (one, other)]
        crossed = [pair for pair in before.refusals if set(pair) & set(trees[0]) and set(pair) & set(trees[1])]
        assert crossed == [], "no machine links what was refused"
        assert link.state is LinkState.ACTIVE, "no machine proposes"
        self._linked(link)

    async def _unlink(self) -> None:
        known = sorted((await self.seen()).links)
        if known:
            id = self.random.choice(known)
            await self.links.unlink_persons(self.random.choice(STEWARDS), id, "", "WRONG", str(self._new_id()), b"")
            self.edges.pop(id, None)

    async def _refuse(self) -> None:
        one, other = self._two()
        await self.links.refuse(STEWARDS[0], one, other, "TWINS", False, str(self._new_id()), b"")

    async def _withdraw(self) -> None:
        one, other = self._two()
        await self.links.refuse(STEWARDS[0], one, other, "ONE_CHILD", True, str(self._new_id()), b"")

    async def _move(self) -> None:
        record, target = self.random.choice(self.records), self.random.choice(self.ids)
        await self.links.move_source_record(STEWARDS[0], record, target, "BORROWED_CARD", str(self._new_id()), b"")

    async def seen(self) -> Seen:
        """What the store holds."""
        return await self.store.read(lambda transaction: seen(transaction, self.ids))

    async def check(self) -> Seen:
        """Holds the store against the model and against the fold of the events."""
        now = await self.seen()
        folded = fold(now.events)
        assert self._naive() == {id: root for id, root in now.currents.items() if id != root}
        assert dict(now.edges) == dict(self.edges.values())
        same_as_fold(folded, now)
        for id, root in now.currents.items():
            assert now.currents[root] == root, "one step leads to the root"
            assert id in now.members[root]
        assert sum(len(members) for members in now.members.values()) == len(self.ids), "everybody has one root"
        assert len(now.filed) == len(self.records), "no source record is lost"
        return now

    def _naive(self) -> dict[UUID, UUID]:
        """Redirects by walking, one edge at a time."""
        up = dict(self.edges.values())
        found = {}
        for id in self.ids:
            at, steps = id, 0
            while at in up:
                at, steps = up[at], steps + 1
                assert steps <= len(self.ids), "no circle"
            if at != id:
                found[id] = at
        return found


def same_as_fold(folded: Folded, now: Seen) -> None:
    """The tables are the fold of the events."""
    assert folded.links == now.links
    assert folded.refusals == now.refusals
    assert folded.redirects == {id: root for id, root in now.currents.items() if id != root}
    for record, target in folded.moved.items():
        assert now.filed[record] == target


async def seen(transaction: Transaction, ids: list[UUID]) -> Seen:
    """Everything that a store holds of these entries."""
    currents = dict(await transaction.currents(ids))
    members = {
        root: tuple(group) for root, group in (await transaction.members(sorted(set(currents.values())))).items()
    }
    events = tuple(await transaction.link_events(ids, None, WIDE))
    links = {}
    for id in {event.link for event in events if event.link}:
        found = await transaction.link(id)
        assert found is not None
        links[id] = found
    filed = [one for id in ids for one in await transaction.filed_under(id, None, WIDE)]
    return Seen(
        persons=dict(await transaction.persons(ids)),
        currents=currents,
        members=members,
        edges=dict(await transaction.edges(ids)),
        refusals=dict(await transaction.refusals(ids, ids)),
        filed={one.id: one.person for one in filed},
        links=links,
        events=events,
    )
