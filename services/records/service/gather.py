"""Micro-batches: documents of all calls, at most a few milliseconds or a hundred of them, whichever is first.

Facilities take turns, so that one with a full queue does not keep the others waiting behind it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from services.records.model import Incoming


@dataclass(eq=False)
class Pending:
    """A document that waits for its answer: the bytes of the first answer, or an error. `settled` is called once, with
    the error or None, also when the caller has gone away.
    """

    incoming: Incoming
    answer: asyncio.Future[bytes] = field(repr=False)
    settled: Callable[[BaseException | None], None] = field(default=lambda _: None, repr=False)
    outcome: bytes | BaseException | None = field(default=None, repr=False)

    def settle(self, outcome: bytes | BaseException) -> None:
        """Answers. Nobody may be waiting any more; the outcome stays known for documents of the same key."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        waiting = not self.answer.done()
        if isinstance(outcome, bytes):
            if waiting:
                self.answer.set_result(outcome)
            self.settled(None)
        else:
            if waiting:
                self.answer.set_exception(outcome)
            self.settled(outcome)


@dataclass(frozen=True)
class Limits:
    """Bounds of a batch; `batches` may be in hand at once."""

    documents: int = 100
    bytes: int = 10 * 1024 * 1024
    seconds: float = 0.005
    batches: int = 3


class Gatherer:
    """Queues documents and hands them on in batches. `process` answers every one of them and never raises."""

    def __init__(self, process: Callable[[list[Pending]], Awaitable[None]], limits: Limits) -> None:
        self._process = process
        self._limits = limits
        self._queues: OrderedDict[str, deque[Pending]] = OrderedDict()
        self._waiting = 0
        self._some = asyncio.Event()
        self._full = asyncio.Event()

    def put(self, pending: Pending) -> None:
        """Queues a document."""
        self._queues.setdefault(pending.incoming.facility, deque()).append(pending)
        self._waiting += 1
        self._some.set()
        if self._waiting >= self._limits.documents:
            self._full.set()

    async def run(self) -> None:
        """Hands batches on for ever. What is in hand when this is cancelled is cancelled too: it was never answered."""
        slots = asyncio.Semaphore(self._limits.batches)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._some.wait()
                # While every slot is taken the next batch grows.
                await slots.acquire()
                if not self._full.is_set():
                    # When the time is up, the batch is what there is.
                    # Not `wait_for`: it can swallow a cancellation that comes together with the event (until 3.12).
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._limits.seconds):
                            await self._full.wait()
                task = tasks.create_task(self._hand_on(self._take()))
                task.add_done_callback(lambda _: slots.release())

    async def _hand_on(self, batch: list[Pending]) -> None:
        await self._process(batch)

    def _take(self) -> list[Pending]:
        batch: list[Pending] = []
        size = 0
        while self._queues and len(batch) < self._limits.documents:
            facility, queue = next(iter(self._queues.items()))
            if batch and size + queue[0].incoming.size > self._limits.bytes:
                break
            pending = queue.popleft()
            batch.append(pending)
            size += pending.incoming.size
            if queue:
                self._queues.move_to_end(facility)
            else:
                del self._queues[facility]
        self._waiting -= len(batch)
        if not self._waiting:
            self._some.clear()
        if self._waiting < self._limits.documents:
            self._full.clear()
        return batch
