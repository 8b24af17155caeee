"""A background job that follows a feed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID, uuid4

from opentelemetry import metrics
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.errors import DatabaseUnavailable, PeerRefused, Unavailable

T = TypeVar("T")
CURSOR_INVALID = "CURSOR_INVALID"
"""Reason by which a peer says that it does not know a cursor."""
_PAUSES = (0.05, 2.0)
_RELEASE_SECONDS = 2.0
_ATTRIBUTE_FEED = "lienthong.feed"
_METER = metrics.get_meter("lienthong")
_LAG = _METER.create_histogram(
    "lienthong.feed.lag", "s", "From a change to its being followed, the oldest of each batch"
)
_BATCHES = _METER.create_counter("lienthong.feed.changes", "{change}", "Changes that were followed")
_SILENCES = _METER.create_counter(
    "lienthong.feed.interruptions", "{interruption}", "Times a feed broke off or fell silent"
)

# The database's clock decides, because the processes of a role must agree.
_CLAIM = text("""
    INSERT INTO feed_cursor AS kept (name, cursor, holder, holds_until)
    VALUES (:name, '', :holder, clock_timestamp() + CAST(:lease AS interval))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, holds_until = excluded.holds_until
    WHERE kept.holder = excluded.holder OR kept.holds_until < clock_timestamp()
    RETURNING cursor
""")
_TAKE = text("""
    UPDATE feed_cursor SET cursor = :cursor, holds_until = clock_timestamp() + CAST(:lease AS interval),
        fresh_until = CASE WHEN :complete THEN clock_timestamp() + CAST(:silence AS interval) ELSE fresh_until END
    WHERE name = :name AND holder = :holder
""")
_BEGIN_ANEW = text("UPDATE feed_cursor SET cursor = '', fresh_until = NULL WHERE name = :name AND holder = :holder")
_RELEASE = text("UPDATE feed_cursor SET holds_until = clock_timestamp() WHERE name = :name AND holder = :holder")


@dataclass(frozen=True)
class FollowSettings:
    """After `silence_seconds` without a word from the feed, what is kept of it no longer counts as true. `lease_seconds` is how long a
    process that died keeps others of its role from following; it must be longer than the feed's heartbeat.
    """

    silence_seconds: float = 5.0
    lease_seconds: float = 2.5


@dataclass(frozen=True)
class Batch(Generic[T]):
    """An answer of a feed: what happened, in order, and the cursor after it. `complete` when nothing more was waiting; `oldest` is the time of
    the oldest change.
    """

    items: Sequence[T]
    cursor: str
    complete: bool
    oldest: datetime | None = None


Open = Callable[[str], AsyncGenerator[Batch[T], None]]
"""Opens the feed after a cursor. Raises Unavailable, and PeerRefused with CURSOR_INVALID where the cursor is not known."""
Apply = Callable[[AsyncConnection, Sequence[T]], Awaitable[None]]
"""Keeps what happened. It may come more than once, and MUST then leave the same."""


class Follower(Generic[T]):
    """Follows one feed into one database."""

    def __init__(
        self, database: Database, name: str, open_feed: Open[T], apply: Apply[T], settings: FollowSettings, clock: Clock
    ) -> None:
        self._database = database
        self._name = name
        self._open = open_feed
        self._apply = apply
        self._clock = clock
        self._silence = settings.silence_seconds
        self._lease = settings.lease_seconds
        self._holder: UUID = uuid4()
        self._pause = _PAUSES[0]

    async def run(self) -> None:
        """Follows for ever. While the peer or the database is away it tries again, every two seconds at the least."""
        try:
            while True:
                try:
                    cursor = await self._claim()
                    if cursor is None:
                        # Another process of this role follows.
                        await asyncio.sleep(self._lease / 2)
                        continue
                    await self._follow(cursor)
                except PeerRefused as error:
                    if error.peer_reason == CURSOR_INVALID:
                        await self._begin_anew()
                    await self._rest(error.peer_reason)
                except Unavailable as error:
                    await self._rest(error.reason)
                except TimeoutError:
                    await self._rest("SILENT")
        finally:
            with suppress(TimeoutError, DatabaseUnavailable):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._execute(_RELEASE)

    async def _follow(self, cursor: str) -> None:
        """One stream, until it ends or another process took over."""
        async with aclosing(self._open(cursor)) as stream:
            async for batch in _each(stream, self._silence):
                if not await self._take(batch):
                    return
                self._pause = _PAUSES[0]
                if batch.items:
                    _BATCHES.add(len(batch.items), {_ATTRIBUTE_FEED: self._name})
                if batch.oldest is not None:
                    _LAG.record((self._clock() - batch.oldest).total_seconds(), {_ATTRIBUTE_FEED: self._name})
        # So that a peer which ends every stream at once is not asked in a loop.
        await asyncio.sleep(_PAUSES[0])

    async def _take(self, batch: Batch[T]) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            taken = await connection.execute(
                _TAKE,
                self._values()
                | {
                    "cursor": batch.cursor,
                    "complete": batch.complete,
                    "silence": timedelta(seconds=self._silence),
                },
            )
            if taken.rowcount == 0:
                return False
            if batch.items:
                await self._apply(connection, batch.items)
            return True

        return await self._database.write(work)

    async def _claim(self) -> str | None:
        async def work(connection: AsyncConnection) -> str | None:
            cursor: str | None = (await connection.execute(_CLAIM, self._values())).scalar_one_or_none()
            return cursor

        return await self._database.write(work)

    async def _begin_anew(self) -> None:
        log.event("feed_begins_anew", level="error", feed=self._name)
        await self._execute(_BEGIN_ANEW)

    async def _execute(self, statement: object) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement, self._values())  # type: ignore[call-overload] # a text clause

        await self._database.write(work)

    async def _rest(self, reason: str) -> None:
        _SILENCES.add(1, {_ATTRIBUTE_FEED: self._name})
        if self._pause == _PAUSES[0]:
            log.event("feed_waits", level="warning", feed=self._name, reason=reason)
        await asyncio.sleep(random.uniform(self._pause / 2, self._pause))  # noqa: S311 - jitter, not a secret
        self._pause = min(self._pause * 2, _PAUSES[1])

    def _values(self) -> dict[str, object]:
        return {"name": self._name, "holder": self._holder, "lease": timedelta(seconds=self._lease)}


async def _each(stream: AsyncIterator[Batch[T]], seconds: float) -> AsyncIterator[Batch[T]]:
    """The batches of a stream; TimeoutError when none comes for that long."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                batch = await anext(stream)
        except StopAsyncIteration:
            return
        yield batch
