"""Background loops of the signing role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from services.chassis import log
from services.chassis.clock import Clock
from services.signing.model import Checkpoint
from services.signing.ports import TimestampFailed
from services.signing.service.expiry import ExpiryService
from services.signing.service.log import LogService
from services.signing.service.stamps import StampService
from services.signing.service.verification.sources import RevocationService
from services.signing.service.witnesses import WitnessRound, WitnessService
from services.signing.telemetry import LogInstruments, TrustInstruments

_STAMP_RETRY = timedelta(seconds=5)
_STAMP_PATIENCE = timedelta(hours=4)
"""How long time-stamps may fail before it is an error; X-Road stops taking messages then, we do not (trust.md §2.4)."""


async def publish_checkpoints(
    service: LogService, interval: timedelta, published: Callable[[Checkpoint], None] = lambda _: None
) -> None:
    """Publishes a checkpoint whenever the tree has grown, at most once an interval. A forked tree stops it: the exception leaves the loop."""
    while True:
        checkpoint = await service.publish()
        if checkpoint is not None:
            published(checkpoint)
        await asyncio.sleep(interval.total_seconds())


class WitnessJob:
    """Has every new checkpoint cosigned at once, and asks again while a witness is missing."""

    def __init__(
        self,
        service: WitnessService,
        interval: timedelta,
        patience: timedelta,
        clock: Clock,
        instruments: LogInstruments,
    ) -> None:
        self._service = service
        self._interval = interval
        self._patience = patience
        self._clock = clock
        self._instruments = instruments
        self._wake = asyncio.Event()
        self._failing: dict[str, str] = {}
        self._overdue = False

    def wake(self, _: Checkpoint) -> None:
        """There is a new checkpoint."""
        self._wake.set()

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            self._wake.clear()
            done = await self._service.cosign()
            if done is not None:
                self._report(done)
            self._count(done)
            try:
                async with asyncio.timeout(self._interval.total_seconds()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _report(self, done: WitnessRound) -> None:
        """Says once what a witness lacks, and when it is back."""
        for name, reason in done.failures.items():
            self._instruments.witness_failures.add(1, {"witness": name, "reason": reason})
            if self._failing.get(name) != reason:
                level = "error" if reason == "FORK" else "warning"
                log.event("witness_failed", level=level, witness=name, reason=reason, tree_size=done.size)
        for name in done.cosigned:
            if name in self._failing:
                log.event("witness_back", witness=name, tree_size=done.size)
        self._failing = {
            name: reason for name, reason in {**self._failing, **done.failures}.items() if name not in done.cosigned
        }

    def _count(self, done: WitnessRound | None) -> None:
        """How long the quorum has been missing. Without a round there was nothing to ask for: it is there."""
        since = done.missing_since if done else None
        missing = (self._clock() - since).total_seconds() if since else 0.0
        self._instruments.unwitnessed.set(missing)
        overdue = missing > self._patience.total_seconds()
        if overdue != self._overdue:
            event, level = ("log_quorum_missing", "error") if overdue else ("log_quorum_back", "info")
            log.event(event, level=level, seconds=round(missing))
        self._overdue = overdue


async def stamp_checkpoints(
    service: StampService, interval: timedelta, clock: Clock, instruments: LogInstruments
) -> None:
    """Time-stamps the newest checkpoint, at most once an interval; looks sooner again when there was nothing new, and after a failure."""
    failing_since: datetime | None = None
    while True:
        pause = min(interval, _STAMP_RETRY)
        try:
            if await service.stamp() is not None:
                pause, failing_since = interval, None
        except TimestampFailed as failed:
            failing_since = failing_since or clock()
            lasting = clock() - failing_since
            instruments.stamp_failures.add(1, {"reason": failed.reason})
            level = "error" if lasting > _STAMP_PATIENCE else "warning"
            log.event("timestamp_failed", level=level, reason=failed.reason, seconds=round(lasting.total_seconds()))
        await asyncio.sleep(pause.total_seconds())


async def refresh_revocation(
    service: RevocationService, interval: timedelta, answer_age: timedelta, instruments: TrustInstruments
) -> None:
    """Fetches lists and OCSP answers from the addresses registered with authorities, once an interval."""
    while True:
        for kind, done in (
            ("CRL", await service.refresh_lists()),
            ("OCSP", await service.refresh_answers(answer_age)),
        ):
            instruments.fetches.add(done.kept, {"kind": kind, "outcome": "kept"})
            instruments.fetches.add(done.failed, {"kind": kind, "outcome": "failed"})
            if done.failed:
                log.event("revocation_fetch_failed", level="warning", kind=kind, failed=done.failed)
        await asyncio.sleep(interval.total_seconds())


async def warn_of_expiry(service: ExpiryService, interval: timedelta, instruments: TrustInstruments) -> None:
    """Tells of signer certificates that expire soon: each once for 30 and once for 7 days, again after a restart."""
    while True:
        done = await service.look()
        for days, count in done.counts.items():
            instruments.expiring.set(count, {"days_left": days})
        for warning in done.warnings:
            log.event(
                "signer_certificate_expiring",
                level="warning",
                certificate=warning.signer.fingerprint,
                facility=warning.signer.facility,
                days_left=warning.days_left,
            )
        await asyncio.sleep(interval.total_seconds())
