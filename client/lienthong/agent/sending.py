"""Sends what waits in the queue, and keeps the receipts.

The order is what a crash may not break: the receipt and the answer are on disk before the document is shredded. A document that was accepted
just before a crash is known by the spool and not sent again; one whose answer was lost is sent again and gets its first answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import grpc

from lienthong.agent.answers import entry_of, receipt_of
from lienthong.agent.queue import QueueItem, SealedQueue
from lienthong.agent.spool import Spool, SpoolState
from lienthong.agent.submission import Outcome, Submitter
from lienthong.agent.tokens import TokenRefused
from lienthong.client.errors import LienthongError

Connect = Callable[[], AbstractAsyncContextManager[grpc.aio.Channel]]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass
class Sent:
    """How many were accepted and refused, and how many still wait."""

    accepted: int = 0
    refused: int = 0
    waiting: int = 0


class QueueSender:
    """Sends a queue through connections that `connect` opens. `report` hears of every document that was refused."""

    def __init__(
        self, queue: SealedQueue, spool: Spool, connect: Connect, *, report: Callable[[str, LienthongError], None]
    ) -> None:
        self._queue, self._spool, self._connect, self._report = queue, spool, connect, report

    async def send(self) -> Sent:
        """One round over everything that waits. Raises LienthongError or TokenRefused when the gateway is not there."""
        sent = Sent()
        waiting = {item.document_id: item for item in self._waiting(sent)}

        def keep(outcomes: Sequence[Outcome]) -> None:
            for outcome in outcomes:
                if outcome.submission is not None and outcome.submission.HasField("receipt"):
                    self._spool.keep_receipt(outcome.submission.name, receipt_of(outcome.submission.receipt))
            self._spool.record([entry_of(outcome) for outcome in outcomes])
            for outcome in outcomes:
                item = waiting.pop(outcome.outgoing.document_id)
                if outcome.error is None:
                    self._queue.shred(item)
                    sent.accepted += 1
                else:
                    self._queue.refuse(item)
                    sent.refused += 1
                    self._report(item.document_id, outcome.error)

        if waiting:
            async with self._connect() as channel:
                await Submitter(channel, on_outcomes=keep).submit(list(waiting.values()))
        sent.waiting = len(waiting)
        return sent

    async def send_until_empty(self) -> AsyncIterator[Sent | LienthongError | TokenRefused]:
        """Rounds until nothing waits, with pauses that double from 1 s to 5 min after each that failed; yields each one's result."""
        pause = _FIRST_PAUSE
        while True:
            try:
                sent = await self.send()
                yield sent
                if not sent.waiting:
                    return
                pause = _FIRST_PAUSE
            except (LienthongError, TokenRefused) as error:
                if isinstance(error, LienthongError) and error.code not in _AGAIN:
                    raise
                yield error
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _waiting(self, sent: Sent) -> list[QueueItem]:
        """What to send; what the spool knows as accepted is only shredded: the crash came between the two."""
        found = []
        for item in self._queue.items():
            entry = self._spool.find(item.document_id)
            known = entry is not None and entry.state is SpoolState.ACCEPTED
            if known and entry is not None and entry.content_sha256 == item.content_sha256:
                self._queue.shred(item)
                sent.accepted += 1
            elif not item.refused:
                found.append(item)
        return found
