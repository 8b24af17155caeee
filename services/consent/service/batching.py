"""Calls that arrive while others are being kept are kept together: one transaction, one flush of the disk for all of them."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.chassis.errors import DatabaseUnavailable
from services.consent.errors import DecisionsOverloaded

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 2
"""Transactions at a time: one is read and kept while another waits for the disk."""
MOST_WAITING = 2000
"""Queries that may wait; at 1,000 a second that is already later than most callers wait."""


@dataclass(frozen=True)
class _Call(Generic[T, R]):
    items: Sequence[T]
    answer: asyncio.Future[Sequence[R]]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


class Batching(Generic[T, R]):
    """Runs `run` on the items of several calls at once, at most `largest` items; each call gets the results of its own."""

    def __init__(self, run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], largest: int) -> None:
        self._run = run
        self._largest = largest
        self._waiting: deque[_Call[T, R]] = deque()
        self._count = 0
        self._running: set[asyncio.Task[None]] = set()

    async def add(self, items: Sequence[T]) -> Sequence[R]:
        """The results of these items. Raises DecisionsOverloaded when too many wait. A caller that goes away before its turn leaves nothing
        behind.
        """
        if self._count + len(items) > MOST_WAITING:
            raise DecisionsOverloaded
        call = _Call[T, R](items, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._count += len(items)
        self._start()
        return await call.answer

    def _start(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            calls = self._take()
            if calls:
                # Statements are traced under the first of them.
                task = asyncio.get_running_loop().create_task(self._answer(calls), context=calls[0].context)
                self._running.add(task)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    def _take(self) -> list[_Call[T, R]]:
        calls: list[_Call[T, R]] = []
        size = 0
        while self._waiting and (not calls or size + len(self._waiting[0].items) <= self._largest):
            call = self._waiting.popleft()
            self._count -= len(call.items)
            if not call.answer.done():
                calls.append(call)
                size += len(call.items)
        return calls

    async def _answer(self, calls: Sequence[_Call[T, R]]) -> None:
        try:
            results = await self._run([item for call in calls for item in call.items])
        except Exception as error:  # noqa: BLE001 - every caller learns of it
            if len(calls) > 1 and not isinstance(error, DatabaseUnavailable):
                # One of them may be what fails; the others must not suffer for it.
                for call in calls:
                    await self._answer([call])
                return
            for call in calls:
                if not call.answer.done():
                    call.answer.set_exception(error)
            return
        at = 0
        for call in calls:
            if not call.answer.done():
                call.answer.set_result(results[at : at + len(call.items)])
            at += len(call.items)
