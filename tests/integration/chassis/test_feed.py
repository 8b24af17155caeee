"""Following a feed into PostgreSQL: nothing lost and nothing twice, one process at a time, and nothing true that was not heard lately."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.feed import Entries, Follower, FollowSettings, Redirect, apply_redirects, entries_of
from services.chassis.feed.redirects import NAME
from services.chassis.identifiers import uuid7
from tests.fakes.person_feed import ScriptedFeed
from tests.fixtures.database import DatabaseFor

QUICK = FollowSettings(silence_seconds=30.0, lease_seconds=0.3)
HASTY = FollowSettings(silence_seconds=0.3, lease_seconds=0.3)


@pytest.fixture
async def database(database_for: DatabaseFor) -> AsyncIterator[Database]:
    """Any role that follows has the tables."""
    async with Database(database_for("referrals")) as database:
        yield database


@pytest.fixture
def feed() -> ScriptedFeed:
    return ScriptedFeed()


@asynccontextmanager
async def following(
    database: Database, feed: ScriptedFeed, settings: FollowSettings = QUICK, apply: Callable[..., object] | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    follower = Follower(database, NAME, feed.open, apply or apply_redirects, settings, system_clock)  # type: ignore[arg-type] # as given
    task = asyncio.create_task(follower.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def entries(database: Database, id: UUID) -> Entries:
    return (await database.read(lambda connection: entries_of(connection, [id])))[id]


async def until(database: Database, id: UUID, wanted: Entries) -> None:
    async with asyncio.timeout(10):
        while await entries(database, id) != wanted:
            await asyncio.sleep(0.01)


async def cursor(database: Database) -> str:
    async def work(connection: AsyncConnection) -> str:
        return str((await connection.execute(text("SELECT cursor FROM feed_cursor"))).scalar_one())

    return await database.read(work)


async def test_all_names_of_a_person_lead_to_all_entries_and_apart_again(
    database: Database, feed: ScriptedFeed
) -> None:
    root, one, two, alone = sorted(uuid7() for _ in range(4))
    feed.linked(one, root)
    feed.linked(two, root)
    async with following(database, feed):
        for name in (root, one, two):
            await until(database, name, Entries(root, (root, one, two)))
        assert await entries(database, alone) == Entries.alone(alone)
        feed.stands(one)
        await until(database, root, Entries(root, (root, two)))
        assert await entries(database, one) == Entries.alone(one)


async def test_who_answers_for_others_takes_them_along(database: Database, feed: ScriptedFeed) -> None:
    root, middle, leaf = uuid7(), uuid7(), uuid7()
    feed.linked(leaf, middle, held=True)
    feed.linked(middle, root)
    async with following(database, feed):
        await until(database, leaf, Entries(root, (root, *sorted((middle, leaf)))))
    assert await _held(database, leaf) is False


async def test_a_confirmation_counts_for_all_who_answer_with_the_entry(database: Database, feed: ScriptedFeed) -> None:
    root, member = uuid7(), uuid7()
    feed.linked(member, root, held=True)
    feed.say(Redirect(root, root, False, datetime.now(UTC), kept=False))
    async with following(database, feed):
        await until(database, member, Entries(root, (root, member)))
        async with asyncio.timeout(10):
            while await _held(database, member):
                await asyncio.sleep(0.01)
    # Of the root itself nothing is kept: it stands for itself as it always did.
    assert await _held(database, root) is None


async def _held(database: Database, id: UUID) -> bool | None:
    async def work(connection: AsyncConnection) -> bool | None:
        found = await connection.execute(text("SELECT held FROM person_redirect WHERE person_id = :id"), {"id": id})
        held: bool | None = found.scalar_one_or_none()
        return held

    return await database.read(work)


async def test_what_broke_off_in_the_middle_comes_again(database: Database, feed: ScriptedFeed) -> None:
    root, member = uuid7(), uuid7()
    feed.linked(member, root)
    tries = []

    async def dies(connection: AsyncConnection, redirects: Sequence[Redirect]) -> None:
        await apply_redirects(connection, redirects)
        tries.append(redirects)
        raise ZeroDivisionError

    async with following(database, feed, apply=dies) as task:
        await asyncio.wait([task], timeout=10)
        assert isinstance(task.exception(), ZeroDivisionError)
    # Neither what happened nor the cursor was kept.
    assert (len(tries), await cursor(database), await _held(database, member)) == (1, "", None)
    async with following(database, feed):
        await until(database, member, Entries(root, (root, member)))
    assert await cursor(database) == "1"


async def test_the_cursor_is_where_the_next_process_goes_on(database: Database, feed: ScriptedFeed) -> None:
    root, one, two = sorted(uuid7() for _ in range(3))
    feed.linked(one, root)
    async with following(database, feed):
        await until(database, root, Entries(root, (root, one)))
    feed.linked(two, root)
    async with following(database, feed):
        await until(database, root, Entries(root, (root, one, two)))
    assert feed.opened == ["", "1"]


async def test_one_process_follows_and_another_takes_over_when_it_ends(database: Database, feed: ScriptedFeed) -> None:
    root, one, two = sorted(uuid7() for _ in range(3))
    other = ScriptedFeed()
    feed.linked(one, root)
    other.linked(one, root)
    other.linked(two, root)
    async with following(database, feed):
        await until(database, root, Entries(root, (root, one)))
        async with following(database, other):
            await asyncio.sleep(0.5)
            assert other.opened == []
    async with following(database, other):
        await until(database, root, Entries(root, (root, one, two)))
    assert other.opened == ["1"]


async def test_a_cursor_that_is_not_known_any_more_means_to_begin_anew(database: Database, feed: ScriptedFeed) -> None:
    root, member = uuid7(), uuid7()
    feed.linked(member, root)
    async with following(database, feed):
        await until(database, member, Entries(root, (root, member)))
    feed.known_from = 5
    feed.stands(member)
    async with following(database, feed):
        await until(database, member, Entries.alone(member))
    assert feed.opened[1:] == ["1", ""]


async def test_links_count_only_while_the_feed_is_heard(database: Database, feed: ScriptedFeed) -> None:
    root, member, alone = uuid7(), uuid7(), uuid7()
    feed.linked(member, root)
    async with following(database, feed, HASTY):
        together = Entries(root, (root, member))
        await until(database, member, together)
        for fault in ("silent", "away"):
            setattr(feed, fault, True)
            for name in (root, member):
                await until(database, name, Entries(name, (name,), unconfirmed=True))
            assert await entries(database, alone) == Entries.alone(alone)
            setattr(feed, fault, False)
            await until(database, root, together)


async def test_what_is_read_from_the_beginning_counts_once_all_of_it_is_heard(
    database: Database, feed: ScriptedFeed
) -> None:
    root, member = uuid7(), uuid7()
    feed.linked(member, root)
    gate = asyncio.Event()

    async def slowly(connection: AsyncConnection, redirects: Sequence[Redirect]) -> None:
        await apply_redirects(connection, redirects)
        if any(one.person == root for one in redirects):
            await gate.wait()

    feed.stands(root)
    async with following(database, feed, apply=slowly):
        async with asyncio.timeout(10):
            while await cursor_or_none(database) != "1":
                await asyncio.sleep(0.01)
        assert await entries(database, member) == Entries(member, (member,), unconfirmed=True)
        gate.set()
        await until(database, member, Entries(root, (root, member)))


async def cursor_or_none(database: Database) -> str | None:
    async def work(connection: AsyncConnection) -> str | None:
        found: str | None = (await connection.execute(text("SELECT cursor FROM feed_cursor"))).scalar_one_or_none()
        return found

    return await database.read(work)
