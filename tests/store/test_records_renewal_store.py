"""Archive time-stamps and ends of protection: the same in memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.keyring import FileKeyring
from services.records.ports import Store
from services.records.postgres import PostgresStore
from services.records.proof import Ending, Renewal
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_samples import FACILITY, NOW, accepted, answers, episode

DAY = timedelta(days=1)
FAR = datetime.now(UTC) + 400 * DAY


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    settings = request.getfixturevalue("database_for")("records")
    keyring: Path = request.getfixturevalue("keyring_file")
    async with Database(settings) as database:
        yield PostgresStore(database, FileKeyring(keyring), system_clock)


async def logged(store: Store, *numbers: int) -> list[Ending]:
    """Documents in the log; one more is not."""
    documents = [accepted(episode(number), f"d{number}") for number in (*numbers, 99)]
    await store.store(documents, [], answers().finish)
    places = {(FACILITY, one.id): at for at, one in enumerate(documents)}
    await store.place(places)
    proven = list(places)[:-1]
    await store.prove(dict.fromkeys(proven, "proof"), NOW)
    return list(await store.ending(FAR, None, 100))


def renewal(of: Ending, number: int, until: datetime, at: datetime = NOW) -> Renewal:
    return Renewal(of.facility, of.document, number, at, until, b"listing", b"record")


async def test_a_document_in_the_log_is_protected_for_a_year(store: Store) -> None:
    found = await logged(store, 1, 2)
    assert len(found) == 2
    for one in found:
        assert abs(one.protected_until - datetime.now(UTC) - 365 * DAY) < 2 * DAY
    assert await store.ending(datetime.now(UTC) + 300 * DAY, None, 10) == []


async def test_renewals_are_kept_once_and_move_the_end(store: Store) -> None:
    one, two = await logged(store, 1, 2)
    until = datetime(2035, 1, 1, tzinfo=UTC)
    kept = renewal(one, 1, until)
    await store.renew([kept, renewal(two, 1, until - DAY)])
    assert await store.renewals(FACILITY, one.document) == [kept]
    # A second process with the same number: the first stands.
    await store.renew([replace(kept, record=b"other", protected_until=until + DAY)])
    assert await store.renewals(FACILITY, one.document) == [kept]
    assert [end.document for end in await store.ending(until + DAY, None, 10)] == [two.document, one.document]
    second = renewal(one, 2, until + 5 * DAY)
    await store.renew([second])
    assert await store.renewals(FACILITY, one.document) == [kept, second]
    assert [end.document for end in await store.ending(until + DAY, None, 10)] == [two.document]
    assert await store.renewals("79001", one.document) == []


async def test_pages_of_ends(store: Store) -> None:
    found = await logged(store, 1, 2, 3)
    await store.renew([renewal(one, 1, NOW + at * DAY) for at, one in enumerate(found)])
    first = await store.ending(NOW + 9 * DAY, None, 2)
    rest = await store.ending(NOW + 9 * DAY, first[-1], 2)
    assert [one.document for one in (*first, *rest)] == [one.document for one in found]
    assert len(rest) == 1


async def test_protection_that_is_let_end_and_what_needs_none(store: Store) -> None:
    one, two, three = await logged(store, 1, 2, 3)
    until = datetime(2035, 1, 1, tzinfo=UTC)
    await store.renew([renewal(one, 1, until, NOW), renewal(two, 1, until, NOW + 2 * DAY)])
    await store.release([(three.facility, three.document)])
    await store.release([])
    assert {end.document for end in await store.ending(until + DAY, None, 10)} == {one.document, two.document}
    now = datetime.now(UTC)
    assert await store.end_protection(NOW + DAY, now, 10) == 1
    assert await store.end_protection(NOW + DAY, now, 10) == 0
    (ended,) = await store.ending(now + DAY, None, 10)
    assert ended.document == one.document
    assert await store.end_protection(NOW + 9 * DAY, now, 10) == 1
