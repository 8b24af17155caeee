"""Background loops of the signing role."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from services.signing.service.log import LogService


async def publish_checkpoints(service: LogService, interval: timedelta) -> None:
    """Publishes a checkpoint whenever the tree has grown, at most once an interval. A forked tree stops it: the exception leaves the loop."""
    while True:
        await service.publish()
        await asyncio.sleep(interval.total_seconds())
