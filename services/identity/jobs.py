"""Background loops of the identity role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.errors import PeerRefused
from services.chassis.outbox import DONE, Dead, Message, Outcome, Retry
from services.identity.check_ins import CheckIns
from services.identity.model import WaitingCount
from services.identity.ports import Store
from services.identity.telemetry import ATTRIBUTE_BUCKET, ATTRIBUTE_FACILITY, Instruments

HOUR = timedelta(hours=1)
_WRONG = "FIELD_INVALID"
"""Reason by which a peer says that it will never take what it was told."""
_MOST_LINES = 1_000
"""Facilities named in the log by one round; the gauge has them all."""


class WaitingWatch:
    """Counts every hour who has been waiting to be identified for 24 hours, 7 days and 30 days, and for how many the authority of the
    commune was to be told and was not (Law 15/2023 art. 72): a gauge by facility and bucket, and a line in the log where something is overdue.
    Numbers only.
    """

    def __init__(self, store: Store, clock: Clock, instruments: Instruments, every: timedelta = HOUR) -> None:
        self._store = store
        self._clock = clock
        self._instruments = instruments
        self._every = every
        self._seen: set[str] = set()

    async def run(self) -> None:
        """The loop."""
        while True:
            await self.once()
            await asyncio.sleep(self._every.total_seconds())

    async def once(self, event: Callable[..., None] = log.event) -> None:
        """One round."""
        now = self._clock()
        counts = await self._store.read(lambda transaction: transaction.waiting_counts(now))
        # A facility whose list became empty is not in the counts: its last figure would stand for ever.
        gone = self._seen - {one.facility for one in counts}
        self._seen = {one.facility for one in counts}
        for one in (*counts, *(WaitingCount(facility) for facility in sorted(gone))):
            for bucket, number in (("24h", one.day), ("7d", one.week), ("30d", one.month), ("notice", one.notice)):
                attributes = {ATTRIBUTE_FACILITY: one.facility, ATTRIBUTE_BUCKET: bucket}
                self._instruments.waiting.set(number, attributes)
        overdue = sorted((one for one in counts if one.notice), key=lambda one: (-one.notice, one.facility))
        for one in overdue[:_MOST_LINES]:
            event(
                "provisional_overdue",
                level="warning",
                facility=one.facility,
                notice=one.notice,
                day=one.day,
                week=one.week,
                month=one.month,
            )


class CheckInRelay:
    """Tells the decision point of check-ins that it could not be told of when they were made. One that it refuses does not stop the others."""

    def __init__(self, store: Store, decisions: CheckIns) -> None:
        self._store = store
        self._decisions = decisions

    async def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Tells a batch, and one by one what is refused as a batch."""
        ids = [UUID(message.aggregate.removeprefix("checkIns/")) for message in messages]
        found = await self._store.read(lambda transaction: transaction.check_ins(ids))
        if not found:
            return [DONE] * len(messages)
        try:
            await self._decisions.tell(list(found.values()))
        except PeerRefused as error:
            if len(messages) == 1:
                return [Dead(error.peer_reason) if error.peer_reason == _WRONG else Retry(error.peer_reason)]
        else:
            return [DONE] * len(messages)
        return [(await self.deliver([message]))[0] for message in messages]
