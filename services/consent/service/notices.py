"""Showing notices, and handing them to the national ID app."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.principal import Principal, PrincipalKind
from services.consent.errors import NotThePerson
from services.consent.notices import (
    APP_UNREACHABLE,
    RECIPIENT_UNKNOWN,
    Delivery,
    Notice,
    NoticeApp,
    NoticeBacklog,
    NoticeSettings,
    NoticeStore,
    Result,
    pause_after,
)

_LEASE = timedelta(seconds=60)
_CLAIM = 100
_AT_ONCE = 8


class NoticeService:
    """Notices are made in the transaction of what they tell of; here they are shown and delivered, at least once, until the app took them."""

    def __init__(self, store: NoticeStore, app: NoticeApp, settings: NoticeSettings, clock: Clock) -> None:
        self._store = store
        self._app = app
        self._settings = settings
        self._clock = clock

    async def list(
        self, principal: Principal, person: UUID, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Notice]:
        """A person's notices under all their entries, newest first, for the person and their guardians."""
        if principal.kind is not PrincipalKind.CITIZEN or not principal.person:
            raise NotThePerson("only the person concerned and their guardians may do this")
        caller = UUID(principal.person.removeprefix("persons/"))
        entries = (await self._store.entries(person)).all
        if caller not in entries and person not in await self._store.wards(caller, self._clock()):
            raise NotThePerson("only the person concerned and their guardians may do this")
        return await self._store.notices(entries, before, limit)

    async def deliver(self) -> int:
        """Hands over what is due; returns how many were due. One that is not taken never keeps another back, but when the app does not answer
        the rest of the round is not tried."""
        due = await self._store.claim_deliveries(self._clock(), self._settings.delay, _LEASE, _CLAIM)
        if not due:
            return 0
        turn = asyncio.Semaphore(_AT_ONCE)
        unreachable = False

        async def hand_over(delivery: Delivery) -> Result:
            nonlocal unreachable
            async with turn:
                reason = APP_UNREACHABLE if unreachable else await self._app.tell(delivery)
            unreachable = unreachable or reason == APP_UNREACHABLE
            longest = self._settings.unknown_pause if reason == RECIPIENT_UNKNOWN else self._settings.longest_pause
            return Result(delivery, reason, pause_after(delivery.attempts, longest))

        results = await asyncio.gather(*(hand_over(delivery) for delivery in due))
        await self._store.settle_deliveries(results, self._clock())
        return len(results)

    async def backlog(self) -> NoticeBacklog:
        """What waits."""
        return await self._store.notice_backlog(self._clock())
