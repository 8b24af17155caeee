"""The same request twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.errors import RequestIdReused
from services.chassis.idempotency import forget, once
from tests.integration.chassis.schema import note, request


class Caller:
    """Makes requests, and counts how often the work was done."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.done = 0

    async def call(
        self,
        request_id: str = "a",
        *,
        scope: str = "01001/Create",
        digest: bytes = b"one",
        during: Callable[[], Awaitable[None]] | None = None,
    ) -> bytes:
        async def write(connection: AsyncConnection) -> bytes:
            async def work() -> bytes:
                self.done += 1
                await connection.execute(insert(note).values(text=request_id))
                if during is not None:
                    await during()
                return f"answer {self.done}".encode()

            return await once(connection, scope=scope, request_id=request_id, digest=digest, work=work)

        return await self.database.write(write)


async def rows(database: Database) -> tuple[int, int]:
    async def work(connection: AsyncConnection) -> tuple[int, int]:
        counts = [
            (await connection.execute(select(func.count()).select_from(each))).scalar_one() for each in (note, request)
        ]
        return int(counts[0]), int(counts[1])

    return await database.read(work)


async def test_the_second_time_gives_the_first_answer(database: Database) -> None:
    caller = Caller(database)
    assert [await caller.call(), await caller.call()] == [b"answer 1", b"answer 1"]
    assert (caller.done, await rows(database)) == (1, (1, 1))


async def test_an_id_is_the_callers_own_and_the_methods(database: Database) -> None:
    caller = Caller(database)
    answers = [
        await caller.call(),
        await caller.call(scope="01002/Create"),
        await caller.call(scope="01001/Delete"),
        await caller.call("b"),
    ]
    assert len(set(answers)) == 4


async def test_another_request_under_the_same_id_is_refused(database: Database) -> None:
    caller = Caller(database)
    await caller.call()
    with pytest.raises(RequestIdReused):
        await caller.call(digest=b"two")
    assert (caller.done, await caller.call()) == (1, b"answer 1")


async def test_work_that_fails_can_be_tried_again(database: Database) -> None:
    caller = Caller(database)

    async def fail() -> None:
        raise RuntimeError("not this time")

    with pytest.raises(RuntimeError):
        await caller.call(during=fail)
    assert await rows(database) == (0, 0)
    assert await caller.call() == b"answer 2"
    assert await rows(database) == (1, 1)


async def test_many_at_once_do_it_once(database: Database) -> None:
    caller = Caller(database)
    assert set(await asyncio.gather(*(caller.call() for _ in range(12)))) == {b"answer 1"}
    assert (caller.done, await rows(database)) == (1, (1, 1))


async def test_the_second_takes_over_when_the_first_fails(database: Database) -> None:
    caller = Caller(database)
    working = asyncio.Event()

    async def fail() -> None:
        working.set()
        await asyncio.sleep(0.2)
        raise RuntimeError("after all")

    first = asyncio.create_task(caller.call(during=fail))
    await working.wait()
    second = asyncio.create_task(caller.call())
    with pytest.raises(RuntimeError):
        await first
    assert await second == b"answer 2"
    assert await rows(database) == (1, 1)


async def test_old_answers_are_forgotten_and_new_ones_kept(database: Database) -> None:
    caller = Caller(database)
    await caller.call()
    now = datetime.now(UTC)
    assert await database.write(lambda connection: forget(connection, now - timedelta(minutes=1))) == 0
    assert await caller.call() == b"answer 1"
    assert await database.write(lambda connection: forget(connection, now + timedelta(minutes=1))) == 1
    assert await caller.call() == b"answer 2"
