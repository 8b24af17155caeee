"""The feed of entries over mTLS and PostgreSQL: nothing is missed, nothing is told late, and the last word is the true one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import psycopg
import pytest
from lienthong.client.errors import from_rpc_error
from lienthong.identity.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc
from sqlalchemy.engine import make_url

from services.chassis.clock import FrozenClock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.paging import encode_token
from services.identity.__main__ import compose
from services.identity.config import FeedSettings, Settings
from services.identity.errors import CursorInvalid
from services.identity.links import FeedPlace
from services.identity.postgres import PostgresFeed
from services.identity.service import FeedService
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Running, StartRole
from tests.integration.identity.conftest import registration

pb = person_service_pb2
QUIET = FeedSettings(heartbeat_seconds=0.05, poll_seconds=0.02)
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, feed=QUIET)


class Watch:
    """A stream, read as followers do."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.cursor = ""

    async def heard(self, count: int) -> list[person_service_pb2.PersonChange]:
        """That many changes, however many answers they come in."""
        changes: list[person_service_pb2.PersonChange] = []
        async with asyncio.timeout(10):
            while len(changes) < count:
                changes += await self.answer()
        return changes

    async def answer(self) -> list[person_service_pb2.PersonChange]:
        answer = await self._call.read()
        self.cursor = answer.cursor
        return list(answer.changes)


@asynccontextmanager
async def watching(identity: Running, cursor: str = "", role: str = "records") -> AsyncIterator[Watch]:
    async with identity.as_role(role) as channel:
        call = person_service_pb2_grpc.PersonServiceStub(channel).WatchPersons(
            pb.WatchPersonsRequest(cursor=cursor), timeout=60
        )
        try:
            yield Watch(call)
        finally:
            call.cancel()


async def register(identity: Running, value: str) -> str:
    async with identity.as_facility() as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        person: str = (await stub.RegisterPerson(registration(value), timeout=5)).person.name
        return person


@pytest.mark.parametrize("role", ["records", "consent", "referrals"])
async def test_what_happens_is_told_once_and_a_cursor_goes_on_where_it_was(identity: Running, role: str) -> None:
    first = await register(identity, "001185000001")
    async with watching(identity, role=role) as watch:
        (told,) = await watch.heard(1)
        assert (told.person, told.current_person, told.kind) == (first, first, pb.PERSON_CHANGE_KIND_CREATED)
        assert told.current_state == person_pb2.PERSON_STATE_ACTIVE
        second = await register(identity, "001185000002")
        assert [one.person for one in await watch.heard(1)] == [second]
        assert await watch.answer() == []
        cursor = watch.cursor
    third = await register(identity, "001185000003")
    async with watching(identity, cursor, role) as watch:
        assert [one.person for one in await watch.heard(1)] == [third]
        assert await watch.answer() == []


async def test_nobody_else_hears_it(identity: Running) -> None:
    for role in ("signing", "gateway"):
        async with watching(identity, role=role) as watch:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await watch.answer()
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "cursor",
    ["x", encode_token(("1", str(uuid7())), "ListPersons"), encode_token(("9" * 18, str(UUID(int=0))), "WatchPersons")],
    ids=["garbage", "of another list", "of another database"],
)
async def test_foreign_cursors_are_refused(identity: Running, cursor: str) -> None:
    async with watching(identity, cursor) as watch:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.answer()
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID")


async def test_streams_end_with_the_role_and_not_by_its_grace(start_role: StartRole, settings: Settings) -> None:
    patient = replace(settings, server=replace(settings.server, grace_seconds=60.0))
    role = AsyncExitStack()
    running = await role.enter_async_context(start_role("identity", compose, patient))
    async with asyncio.timeout(30), running.as_role("records") as channel:
        call = person_service_pb2_grpc.PersonServiceStub(channel).WatchPersons(pb.WatchPersonsRequest(), timeout=600)
        await call.read()
        reading = asyncio.create_task(_to_the_end(call))
        await role.aclose()
        await reading


async def _to_the_end(call: Any) -> None:
    async for _ in call:
        pass


class World:
    """A database written to as several processes would, each line in a transaction of the test's own."""

    def __init__(self, url: str, feed: PostgresFeed) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.feed = feed

    async def connection(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._dsn)

    async def line(
        self, connection: psycopg.AsyncConnection[Any], person: UUID, kind: str, current: UUID, at: datetime = NOW
    ) -> UUID:
        id = uuid7()
        await connection.execute(
            "INSERT INTO person_change (person_id, id, kind, current_id, provisional, at, source_record)"
            " VALUES (%s, %s, %s, %s, false, %s, '')",
            (person, id, kind, current, at),
        )
        return id

    async def redirect(self, connection: psycopg.AsyncConnection[Any], person: UUID, current: UUID) -> None:
        await connection.execute("DELETE FROM person_redirect WHERE person_id = %s", (person,))
        if person != current:
            await connection.execute("INSERT INTO person_redirect VALUES (%s, %s)", (person, current))


@pytest.fixture
async def world(database_for: DatabaseFor) -> AsyncIterator[World]:
    settings = database_for("identity")
    async with Database(settings) as database:
        yield World(settings.url, PostgresFeed(database))


async def test_a_line_committed_late_is_not_passed_over_and_holds_nothing_up(world: World) -> None:
    slow, quick = await world.connection(), await world.connection()
    late = await world.line(slow, uuid7(), "CREATED", uuid7())
    soon = await world.line(quick, uuid7(), "CREATED", uuid7())
    await quick.commit()
    page = await world.feed.page(FeedPlace(), {}, 500)
    # Told at once, although an older transaction runs; the cursor stays before it.
    assert [one.id for one in page.changes] == [soon]
    assert set(page.early) == {soon}
    again = await world.feed.page(page.place, page.early, 500)
    assert again.changes == ()
    await slow.commit()
    after = await world.feed.page(again.place, again.early, 500)
    assert [one.id for one in after.changes] == [late]
    assert after.early == {}
    assert (await world.feed.page(after.place, {}, 500)).changes == ()
    # Who comes back with the cursor from before hears both, in the order of their transactions.
    back = await world.feed.page(page.place, {}, 500)
    assert [one.id for one in back.changes] == [late, soon]
    for connection in (slow, quick):
        await connection.close()


async def test_the_last_line_tells_the_state_although_its_transaction_is_older_than_the_change(world: World) -> None:
    person, other = uuid7(), uuid7()
    first, second = await world.connection(), await world.connection()
    # The unlinking has the older transaction id but waits, and is the last to change the entry.
    await first.execute("SELECT pg_current_xact_id()")
    await world.redirect(second, person, other)
    await world.line(second, person, "LINKED", other)
    await second.commit()
    page = await world.feed.page(FeedPlace(), {}, 500)
    assert [one.current for one in page.changes] == [other]
    await world.redirect(first, person, person)
    await world.line(first, person, "UNLINKED", person)
    await first.commit()
    told = [one.current for one in (await world.feed.page(FeedPlace(), {}, 500)).changes]
    assert told == [person, person]
    for connection in (first, second):
        await connection.close()


async def test_pages_follow_each_other_to_the_end(world: World) -> None:
    connection = await world.connection()
    ids = []
    for _ in range(7):
        ids.append(await world.line(connection, uuid7(), "CREATED", uuid7()))
        await connection.commit()
    place, told = FeedPlace(), []
    while True:
        page = await world.feed.page(place, {}, 3)
        place = page.place
        told += [one.id for one in page.changes]
        if not page.more:
            break
    assert told == ids
    with pytest.raises(CursorInvalid):
        await world.feed.page(FeedPlace(place.xid + 10_000), {}, 3)
    await connection.close()


async def test_pruning_keeps_what_somebody_who_begins_anew_must_know(world: World) -> None:
    linked, plain, other = uuid7(), uuid7(), uuid7()
    connection = await world.connection()
    old = NOW - timedelta(days=31)
    await world.line(connection, plain, "CREATED", plain, old)
    await world.line(connection, linked, "LINKED", other, old)
    await world.line(connection, linked, "UNLINKED", linked, old)
    await connection.commit()
    last = await world.line(connection, linked, "LINKED", other, old)
    moved = await world.line(connection, linked, "SOURCE_MOVED", other, old)
    young = await world.line(connection, plain, "UPDATED", plain, NOW - timedelta(days=29))
    await connection.commit()
    service = FeedService(world.feed, FrozenClock(NOW), asyncio.Event(), 1, 1, timedelta(days=1))
    await service.prune()
    left = [one.id for one in (await world.feed.page(FeedPlace(), {}, 500)).changes]
    assert set(left) == {last, moved, young}
    await connection.close()
