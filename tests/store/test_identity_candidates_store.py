"""Block keys and features, in memory and on PostgreSQL alike: who is registered is found by every key, and who may not be found is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.identity.candidates import Candidates
from services.identity.links import ChangeKind
from services.identity.matching.blocks import BlockKey, stored_keys
from services.identity.model import (
    Area,
    BirthDate,
    Demographics,
    Era,
    Person,
    PersonEvent,
    PersonState,
    Provisional,
    ProvisionalKind,
    Sex,
)
from services.identity.normalise.person import normal
from services.identity.ports import Store
from services.identity.postgres import PostgresStore
from tests.fakes.identity_memory import MemoryStore

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HOA = Demographics(
    "Nguyễn Thị Thu Hoà",
    BirthDate(1985, 3, 2),
    Sex.FEMALE,
    "0912345678",
    Area("01", Era.PROVINCES_34),
    mother_name="Trần Thị Lý",
)
KEYS = stored_keys(normal(HOA))


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    settings = request.getfixturevalue("database_for")("identity")
    keyring: Path = request.getfixturevalue("keyring_file")
    async with Database(settings) as database:
        yield PostgresStore(database, FileKeyring(keyring), system_clock)


def entry(demographics: Demographics = HOA) -> Person:
    return Person(uuid7(), PersonState.ACTIVE, demographics, (), None, NOW)


def event(of: Person, kind: str = "PERSON_REGISTERED") -> PersonEvent:
    return PersonEvent(of.id, uuid7(), kind, NOW, "FACILITY/01001", {})


async def add(store: Store, *persons: Person) -> None:
    await store.write(lambda transaction: transaction.add_persons(persons, [event(one) for one in persons]))


async def look(store: Store, *keys: BlockKey) -> Candidates:
    return await store.read(lambda transaction: transaction.candidates(keys or KEYS))


async def change(store: Store, changed: Person) -> None:
    events = [event(changed, "PERSON_UPDATED")]
    assert await store.write(lambda transaction: transaction.change_person(changed, ChangeKind.UPDATED, events))


async def test_each_key_finds_the_entry_once(store: Store) -> None:
    one, twin = entry(), entry(replace(HOA, name="Nguyễn Thị Thu Hạnh"))
    await add(store, one, twin)
    found = await look(store)
    assert {each.entry for each in found.found} == {one.id, twin.id}
    assert len(found.found) == 2
    (mine,) = (each for each in found.found if each.entry == one.id)
    assert (mine.person, mine.normal, mine.keys, found.cut) == (one.id, normal(HOA), frozenset(KEYS), frozenset())
    assert await store.read(lambda transaction: transaction.population()) == 2
    for key in KEYS:
        assert one.id in {each.entry for each in (await look(store, key)).found}


async def test_who_may_not_be_found_is_not(store: Store) -> None:
    came = Provisional("01001", ProvisionalKind.UNIDENTIFIED, NOW)
    provisional = replace(entry(), state=PersonState.PROVISIONAL, facility="01001", provisional=came)
    await add(store, provisional, replace(entry(), protected=True), entry(replace(HOA, name="Vô danh")))
    assert (await look(store)).found == ()
    assert await store.read(lambda transaction: transaction.population()) == 0


async def test_a_change_moves_the_keys(store: Store) -> None:
    one = entry()
    await add(store, one)
    other = replace(HOA, name="Lê Văn Bình", birth=BirthDate(1960, 9, 9), phone=None, mother_name=None)
    await change(store, replace(one, demographics=other))
    assert (await look(store)).found == ()
    await change(store, replace(one, version=2))
    assert [each.entry for each in (await look(store)).found] == [one.id]
    await change(store, replace(one, version=3, protected=True))
    assert (await look(store)).found == ()
    await change(store, replace(one, version=4))
    assert [each.entry for each in (await look(store)).found] == [one.id]


async def test_a_key_of_too_many_is_cut_and_says_so(store: Store) -> None:
    crowd = [entry(Demographics(f"Nguyễn Văn {given}", phone="0912345678")) for given in ("An", "Bình") * 200]
    await add(store, *crowd)
    found = await look(store)
    assert {key.kind for key in found.cut} == {"E"}
