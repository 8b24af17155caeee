"""Random histories of links on PostgreSQL, one after the other and many stewards at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.errors import DomainError
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.chassis.principal import Principal, PrincipalKind
from services.identity.fold import fold
from services.identity.links import LinkEventKind, LinkMethod
from services.identity.ports import Store, Transaction
from services.identity.postgres import PostgresStore
from services.identity.service.entries import write
from services.identity.service.links import LinkService, Wish
from tests.fakes.identity_link_histories import History, same_as_fold, seen
from tests.fixtures.database import DatabaseFor

HISTORIES = 12
STEPS = 12
STEWARDS = 12
TRIES = 12
REFUSALS = {"ALREADY_LINKED", "LINK_REFUSED", "PERSON_LINK_STATE", "SECOND_STEWARD_REQUIRED", "IDENTIFICATION_CONFLICT"}


@pytest.fixture
async def store(database_for: DatabaseFor, keyring_file: Path) -> AsyncIterator[Store]:
    async with Database(replace(database_for("identity"), pool_size=STEWARDS)) as database:
        yield PostgresStore(database, FileKeyring(keyring_file), system_clock)


async def test_histories(store: Store) -> None:
    done: Counter[str] = Counter()
    for seed in range(HISTORIES):
        history = History(store, seed)
        await history.begin()
        for _ in range(STEPS):
            await history.step()
            await history.check()
        done.update(history.done)
    wanted = {"link", "machine", "unlink", "refuse", "move", "link: ALREADY_LINKED", "link: LINK_REFUSED"}
    assert wanted <= done.keys()


async def steward(store: Store, number: int, ids: list[UUID], done: Counter[str]) -> None:
    """Links, parts and refuses the same few entries as all the others do."""
    draw = random.Random(number)  # noqa: S311 - a test repeats itself
    principal = Principal(PrincipalKind.STEWARD, f"steward-{number}")
    service = LinkService(store, system_clock, uuid7)

    async def once() -> str:
        one, other = draw.sample(ids, 2)
        what, request = draw.choice(["link", "link", "machine", "unlink", "unlink", "refuse", "withdraw"]), str(uuid4())
        if what == "link":
            wish = Wish(one, other, "SAME_NUMBER", override_refusal=True)
            await service.link_persons(principal, wish, request, b"")
        elif what == "machine":

            async def work(transaction: Transaction) -> None:
                await service.link(
                    transaction,
                    person=one,
                    target=other,
                    method=LinkMethod.MODEL,
                    evidence=None,
                    actor="machine",
                    reason="SCORE",
                )

            await write(store, work)
        elif what == "unlink":
            edges = await store.read(lambda transaction: transaction.link_events(ids, None, 10_000))
            made = [event.link for event in edges if event.kind is LinkEventKind.LINKED and event.link]
            if made:
                await service.unlink_persons(principal, draw.choice(made[-6:]), "", "TWINS", request, b"")
        else:
            await service.refuse(principal, one, other, "TWINS", what == "withdraw", request, b"")
        return what

    for _ in range(TRIES):
        try:
            done[await once()] += 1
        except DomainError as error:
            assert error.reason in REFUSALS
            done[error.reason] += 1


async def test_many_stewards_at_the_same_entries_at_once(store: Store) -> None:
    history = History(store, 7)
    await history.begin(5)
    # Nobody's target is provisional, so that every pair may be linked either way.
    ids = [one for one, person in (await history.seen()).persons.items() if person.provisional is None]
    done: Counter[str] = Counter()
    await asyncio.gather(*(steward(store, number, ids, done) for number in range(STEWARDS)))
    assert {"link", "unlink", "refuse"} <= done.keys()
    now = await store.read(lambda transaction: seen(transaction, history.ids))
    # `fold` raises when the edges were in a circle at any time, or an entry had two of them.
    same_as_fold(fold(now.events), now)
    assert all(now.currents[root] == root for root in now.currents.values())
    assert set(now.persons) == set(history.ids)
    assert sorted(one for group in now.members.values() for one in group) == sorted(history.ids)
