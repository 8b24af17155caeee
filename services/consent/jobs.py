"""Background loops of the consent role."""

from __future__ import annotations

import asyncio
import itertools

from services.chassis import log
from services.chassis.errors import PeerRefused, Unavailable
from services.consent.anchors import AnchorSettings
from services.consent.errors import IdAppUnavailable
from services.consent.service.breaches import BreachService
from services.consent.service.consents import ConsentService
from services.consent.service.emergency import EmergencyService
from services.consent.service.ledger import AnchoringService
from services.consent.service.notices import NoticeService
from services.consent.service.subjects import SubjectRequestService
from services.consent.telemetry import EmergencyInstruments

_IDLE = 0.5
_APP_DOWN = 2.0
_PROOF_PAUSE = 1.0
_WATCH = 60.0
_RESTORE_EVERY = 60


async def collect_answers(service: ConsentService) -> None:
    """Polls the national ID app for due requests, for ever. The app being down is normal: the requests stay due and are asked again."""
    while True:
        try:
            answered = await service.collect_answers()
        except IdAppUnavailable:
            await asyncio.sleep(_APP_DOWN)
            continue
        if not answered:
            await asyncio.sleep(_IDLE)


async def anchor_ledgers(service: AnchoringService, settings: AnchorSettings) -> None:
    """Ties ledgers that have grown into the transparency log, for ever. The log being down is normal: entries wait and are appended later."""
    while True:
        waiting = True
        await service.anchor()
        try:
            waiting = await service.log()
        except (Unavailable, PeerRefused) as error:
            log.event("anchors_wait", level="warning", reason=error.reason)
        # A checkpoint comes about once a second.
        await asyncio.sleep(min(_PROOF_PAUSE, settings.interval_seconds) if waiting else settings.interval_seconds)


async def deliver_notices(service: NoticeService) -> None:
    """Hands notices to the national ID app as soon as they are due, for ever."""
    while True:
        if not await service.deliver():
            await asyncio.sleep(_IDLE)


async def watch_emergencies(
    emergencies: EmergencyService, notices: NoticeService, instruments: EmergencyInstruments
) -> None:
    """Says once a minute what waits, for ever, and makes sure once an hour that every access is in the queue of reviews."""
    for minute in itertools.count():
        if minute % _RESTORE_EVERY == 0:
            await emergencies.restore_reviews()
        await say_what_waits(emergencies, notices, instruments)
        await asyncio.sleep(_WATCH)


async def say_what_waits(
    emergencies: EmergencyService, notices: NoticeService, instruments: EmergencyInstruments
) -> None:
    """Says how many accesses wait for their review and how many notices for the app; reviews that are overdue raise an alarm."""
    reviews = await emergencies.backlog()
    told = await notices.backlog()
    instruments.unreviewed(reviews.waiting, reviews.overdue)
    instruments.notices(told.waiting, told.oldest.total_seconds())
    if reviews.overdue:
        log.event("emergency_reviews_overdue", level="warning", overdue=reviews.overdue, waiting=reviews.waiting)


async def watch_clocks(requests: SubjectRequestService, breaches: BreachService) -> None:
    """Looks once a minute for legal clocks that have run out, for ever."""
    while True:
        await requests.watch()
        await breaches.watch()
        await asyncio.sleep(_WATCH)
