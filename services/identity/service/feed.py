"""Telling followers what happens to entries, as soon as it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Generic
from uuid import UUID

from services.chassis.clock import Clock
from services.identity.feeds import Key, Line, Pages, Place
from services.identity.links import FeedPlace, PersonChange
from services.identity.ports import Feed

LARGEST_PAGE = 500
"""Lines of one answer."""
_PRUNED_AT_ONCE = 1_000
_SHORTEST = timedelta(days=30)


class Streams(Generic[Line, Place, Key]):
    """Streams of one feed in one process. All of them wait for one beat, which comes after each commit of this process and, found by one poll for all,
    after those of others.

    A poll and no LISTEN: a transaction that notifies takes a lock of the whole cluster at its commit, which every registration would then
    wait for; a listening connection does not pass a pooler; and it has to be watched and replaced. The poll costs one index look-up.
    """

    def __init__(self, pages: Pages[Line, Place, Key], stopping: asyncio.Event, heartbeat: float, poll: float) -> None:
        """`heartbeat` and `poll` are seconds."""
        self._pages = pages
        self._stopping = stopping
        self._heartbeat = heartbeat
        self._poll = poll
        self._beat = asyncio.Event()

    def wake(self) -> None:
        """Call it after a commit that put lines in."""
        self._beat.set()
        self._beat = asyncio.Event()

    async def watch(self, place: Place) -> AsyncIterator[tuple[tuple[Line, ...], Place, bool]]:
        """Lines after a place, at most 500 at a time, each time with the place they lead to and whether there are more. Without lines it is a
        heartbeat: all that was committed when it was sent has been told. Ends when the process does. Raises CursorInvalid.
        """
        early: Mapping[Key, int] = {}
        loop = asyncio.get_running_loop()
        told = -self._heartbeat
        while not self._stopping.is_set():
            beat = self._beat
            page = await self._pages.page(place, early, LARGEST_PAGE)
            place, early = page.place, page.early
            now = loop.time()
            if page.changes or now >= told + self._heartbeat:
                told = now
                yield page.changes, place, page.more
            if not page.more:
                await _either(beat, told + self._heartbeat - loop.time(), self._stopping)

    async def poll(self) -> None:
        """Notices the commits of other processes, for ever."""
        place, early = await self._pages.end(), dict[Key, int]()
        while True:
            page = await self._pages.page(place, early, LARGEST_PAGE)
            place, early = page.place, dict(page.early)
            if page.changes:
                self.wake()
            if not page.more:
                await asyncio.sleep(self._poll)


class FeedService(Streams[PersonChange, FeedPlace, UUID]):
    """The feed of entries, which is kept short besides."""

    def __init__(
        self, feed: Feed, clock: Clock, stopping: asyncio.Event, heartbeat: float, poll: float, kept: timedelta
    ) -> None:
        """`kept` is for how long lines are kept that are out of date, 30 days at least."""
        super().__init__(feed, stopping, heartbeat, poll)
        self._feed = feed
        self._clock = clock
        self._kept = max(kept, _SHORTEST)

    async def keep_short(self, seconds: float) -> None:
        """Prunes for ever; that long passes between two rounds."""
        while True:
            await self.prune()
            await asyncio.sleep(seconds)

    async def prune(self) -> None:
        """Looks through all lines of before the time that is kept, a page at a time."""
        before = self._clock() - self._kept
        after = await self._feed.prune(before, None, _PRUNED_AT_ONCE)
        while after is not None:
            after = await self._feed.prune(before, after, _PRUNED_AT_ONCE)


async def _either(beat: asyncio.Event, seconds: float, stopping: asyncio.Event) -> None:
    """Waits for a beat, the end of the process, or a time."""
    if seconds <= 0 or beat.is_set():
        return
    waits = [asyncio.ensure_future(event.wait()) for event in (beat, stopping)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one
