"""Background loops of the consent role."""

from __future__ import annotations

import asyncio

from services.consent.errors import IdAppUnavailable
from services.consent.service.consents import ConsentService

_IDLE = 0.5
_APP_DOWN = 2.0


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
