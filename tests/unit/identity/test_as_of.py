"""A person as it was known at a time is what was answered at that time, whatever came later."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from lienthong.identity.v1 import person_pb2

from services.chassis.errors import DomainError
from services.chassis.principal import Principal, PrincipalKind
from services.identity.convert import persons
from services.identity.errors import PersonNotFound
from services.identity.links import IdentificationEvidence, LinkState
from services.identity.model import Assurance, BirthDate, Demographics, Identifier, IdentifierType, Sex
from services.identity.service import Arrival, HistoryService, Identification, Reading, Update, Wish
from tests.unit.identity.conftest import HOSPITAL, STEWARD, Operations, fresh_operations

SEEDS = 60
STEPS = 25
SECOND = Principal(PrincipalKind.STEWARD, "steward-2")
NAMES = ("Nguyễn Thị Hoà", "Nguyễn Thị Hoa", "Nguyễn Thị Thu Hoà")


class NoLedger:
    """Nobody asks for consequences here."""

    async def readings(self, person: UUID, since: datetime, until: datetime, limit: int) -> Sequence[Reading]:
        raise AssertionError("not asked for")


class Life:
    """What happens to a few entries, at random, and what was answered after each step."""

    def __init__(self, operations: Operations, seed: int) -> None:
        self.operations = operations
        self.random = random.Random(seed)  # noqa: S311 - a test repeats itself
        self.ids: list[UUID] = []
        self.links: list[UUID] = []
        self.answers: list[tuple[datetime, dict[UUID, person_pb2.Person]]] = []
        self.done: Counter[str] = Counter()
        self.requests = 0

    def request(self) -> tuple[str, bytes]:
        self.requests += 1
        return f"r{self.requests}", str(self.requests).encode()

    def demographics(self) -> Demographics:
        return Demographics(
            self.random.choice(NAMES),
            BirthDate(1985, 3, self.random.choice([2, 3])),
            Sex.FEMALE,
            self.random.choice(["0912345678", "0987654321", None]),
        )

    def number(self) -> Identifier:
        return Identifier(IdentifierType.CITIZEN_ID, f"001185{self.random.randrange(10**6):06d}")

    def somebody(self) -> Principal:
        return self.random.choice([STEWARD, SECOND, HOSPITAL])

    async def step(self) -> None:
        work = self.random.choice(
            [self.register, self.arrive, self.identify, self.update, self.update, self.guard, self.link, self.unlink]
        )
        self.operations.clock.advance(timedelta(seconds=1 + self.random.randrange(100)))
        try:
            await work()
            self.done[work.__name__] += 1
        except DomainError as error:
            self.done[f"{work.__name__}: {error.reason}"] += 1
        now = self.operations.clock()
        self.answers.append((now, {id: await self.answer(id) for id in self.ids}))

    async def answer(self, id: UUID) -> person_pb2.Person:
        return shown(persons.golden_message(await self.operations.persons.answering(STEWARD, id)))

    async def register(self) -> None:
        by = self.somebody()
        assurance = self.random.choice([Assurance.TYPED, Assurance.CARD_CODE])
        person, _ = await self.operations.persons.register(
            by, [self.number()], self.demographics(), assurance, *self.request()
        )
        self.ids.append(person.id)

    async def arrive(self) -> None:
        arrival = Arrival(Sex.FEMALE, estimated_age=38)
        person, _ = await self.operations.provisional.register(HOSPITAL, arrival, *self.request())
        self.ids.append(person.id)

    async def identify(self) -> None:
        if not self.ids:
            return
        what = Identification(
            self.random.choice(self.ids), IdentificationEvidence.PAPERS, self.demographics(), (self.number(),)
        )
        await self.operations.identification.identify(HOSPITAL, what, *self.request())

    async def update(self) -> None:
        if not self.ids:
            return
        said = Demographics(
            self.random.choice([*NAMES, None]), phone=self.random.choice(["0912345678", "0966666666", None])
        )
        add = (self.number(),) if self.random.random() < 0.3 else ()
        change = Update(self.random.choice(self.ids), demographics=said, add=add)
        await self.operations.updates.update(self.somebody(), change, *self.request())

    async def guard(self) -> None:
        if not self.ids:
            return
        day = self.operations.clock().date() if self.random.random() < 0.5 else None
        change = Update(self.random.choice(self.ids), protected=self.random.random() < 0.5, death=day)
        await self.operations.updates.update(STEWARD, change, *self.request())

    async def link(self) -> None:
        if len(self.ids) < 2:
            return
        one, other = self.random.sample(self.ids, 2)
        wish = Wish(one, other, "SAME_PERSON", override_refusal=True)
        made = await self.operations.links.link_persons(STEWARD, wish, *self.request())
        if made.state is LinkState.ACTIVE:
            self.links.append(made.id)

    async def unlink(self) -> None:
        if self.links:
            id = self.random.choice(self.links)
            await self.operations.links.unlink_persons(STEWARD, id, "", "TWINS", *self.request())


def shown(message: person_pb2.Person) -> person_pb2.Person:
    """Without the etag: nothing can be changed in the past."""
    message.etag = ""
    return message


@pytest.mark.parametrize("block", range(3))
async def test_as_of_is_what_was_answered_then(block: int) -> None:
    done: Counter[str] = Counter()
    for seed in range(block, SEEDS, 3):
        operations = await fresh_operations()
        life = Life(operations, seed)
        for _ in range(STEPS):
            await life.step()
        histories = HistoryService(operations.store, operations.clock, NoLedger())
        born: set[UUID] = set()
        for at, answers in life.answers:
            for id in life.ids:
                if id in answers:
                    born.add(id)
                    found = shown(persons.golden_message(await histories.as_of(STEWARD, id, at)))
                    assert found == answers[id], (seed, id, at)
                else:
                    with pytest.raises(PersonNotFound):
                        await histories.as_of(STEWARD, id, at)
        assert born == set(life.ids)
        done += life.done
    assert {"register", "arrive", "identify", "update", "guard", "link", "unlink"} <= done.keys()
