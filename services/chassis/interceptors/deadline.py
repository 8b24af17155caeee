"""deadline: a call without one is refused, one with under 50 ms left too; the handler gets what is left less 20 ms."""

from __future__ import annotations

import asyncio
import time

from services.chassis.deadline import DEADLINE, FLOOR, SHAVE, DeadlineRequired, DeadlineTooShort
from services.chassis.interceptors.adapter import Inbound, Proceed

_NEVER = 10 * 365 * 86400.0
"""gRPC says "no deadline" as None or as a time far away."""


class Deadline:
    """Keeps the call within its time."""

    async def around(self, inbound: Inbound, proceed: Proceed) -> None:
        """Refuses, or proceeds under a timeout."""
        left = inbound.context.time_remaining()
        if left is None or left > _NEVER:
            await inbound.refuse(DeadlineRequired())
            return
        if left < FLOOR:
            await inbound.refuse(DeadlineTooShort())
            return
        inbound.end = time.monotonic() + left - SHAVE
        token = DEADLINE.set(inbound.end)
        timeout = asyncio.timeout(left - SHAVE)
        try:
            async with timeout:
                await proceed()
        except TimeoutError:
            if not timeout.expired():
                raise
            await inbound.refuse(DeadlineTooShort())
        finally:
            DEADLINE.reset(token)
