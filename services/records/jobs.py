"""Background loops of the records role: what is told onward after the answer, each through the outbox or from what is
stored, so that a restart loses nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.errors import PeerRefused, Unavailable
from services.chassis.keyring import DataErased
from services.chassis.outbox import DONE, Dead, Message, Outcome, Retry
from services.records import telemetry
from services.records.model import StateChange, SubmissionState, Topic
from services.records.ports import (
    Insurer,
    InsurerRefused,
    InsurerUnavailable,
    IntakeStore,
    OpenSpan,
    Signing,
    Slips,
    TimestampUnavailable,
)
from services.records.service.renewals import NoDigestLasts, Renewals
from services.records.service.verdicts import Rejudging

INSURER = "insurer"
OpenEvent = Callable[[UUID, bytes], Awaitable[bytes]]
"""Opens the payload of an outbox message."""
_PROOFS = 1_000
# Checkpoints come about once a second; asking more often only costs.
_PROOF_PAUSE = 0.5
_IDLE_PAUSE = 5.0
_DOWN_PAUSE = 1.0
_PARALLEL = 4
INSURER_BATCH = 20
# Longer than a whole batch takes when every call runs into its timeout: else those delivered would be delivered again.
INSURER_LEASE = timedelta(minutes=10)


class LogRelay:
    """Appends entries to the transparency log. An entry appended twice keeps its place, so a retry is harmless."""

    def __init__(self, store: IntakeStore, signing: Signing, open_event: OpenEvent, span: OpenSpan) -> None:
        self._store = store
        self._signing = signing
        self._open = open_event
        self._span = span
        self.placed = asyncio.Event()

    async def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Appends a batch and keeps the places."""
        with self._span(telemetry.SPAN_RELAY + Topic.LOG.value, parent=messages[0].trace):
            events = [json.loads(await self._open(message.id, message.payload)) for message in messages]
            places = await self._signing.append([event["entry"].encode() for event in events])
            keys = [(event["facility"], UUID(event["submission"])) for event in events]
            await self._store.place(dict(zip(keys, places, strict=True)))
        self.placed.set()
        return [DONE] * len(messages)


class ProofJob:
    """Fetches the proofs of entries once a published checkpoint covers them; with its proof a receipt is complete."""

    def __init__(self, store: IntakeStore, signing: Signing, clock: Clock, placed: asyncio.Event) -> None:
        self._store = store
        self._signing = signing
        self._clock = clock
        self._placed = placed

    async def run(self) -> None:
        """Fetches for ever; while the log or the database is down, it asks again soon, because promises have a deadline."""
        while True:
            self._placed.clear()
            try:
                missing, proven = await self.once()
            except Unavailable as error:
                log.event("proofs_wait", level="warning", reason=error.reason)
                await asyncio.sleep(_DOWN_PAUSE)
                continue
            if missing == 0:
                # Not `wait_for`: it can swallow a cancellation that comes together with the event (until 3.12).
                with suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_PAUSE):
                        await self._placed.wait()
            elif proven < _PROOFS:
                await asyncio.sleep(_PROOF_PAUSE)

    async def once(self) -> tuple[int, int]:
        """One batch; returns how many lacked a proof and how many of them got it."""
        unproven = await self._store.unproven(_PROOFS)
        if not unproven:
            return 0, 0
        proofs = await self._signing.proofs([index for _, _, index in unproven])
        found = {(facility, id): proof for (facility, id, _), proof in zip(unproven, proofs, strict=True) if proof}
        if found:
            await self._store.prove(found, self._clock())
        return len(unproven), len(found)


class RejudgingJob:
    """Judges documents again when there is news to judge by: late revocation evidence, a grace period that ended, a key
    that was compromised.
    """

    def __init__(self, rejudging: Rejudging, seconds: float) -> None:
        """`seconds` is how long it rests when nothing is due."""
        self._rejudging = rejudging
        self._seconds = seconds

    async def run(self) -> None:
        """Looks for ever; while a peer or the database is down, it asks again later and has lost nothing."""
        while True:
            try:
                await self._rejudging.notice_compromises()
                while await self._rejudging.once():
                    pass
            except (Unavailable, PeerRefused) as error:
                log.event("rejudging_waits", level="warning", reason=error.reason)
            await asyncio.sleep(self._seconds)


class RenewalJob:
    """Puts evidence under a new archive time-stamp before the old one ends."""

    def __init__(self, renewals: Renewals, seconds: float) -> None:
        """`seconds` pass between two looks."""
        self._renewals = renewals
        self._seconds = seconds

    async def run(self) -> None:
        """Looks for ever; what could not be renewed today is renewed tomorrow, which the margin allows for."""
        while True:
            try:
                while await self._renewals.once():
                    pass
            except (Unavailable, PeerRefused) as error:
                log.event("renewal_waits", level="warning", reason=error.reason)
            except TimestampUnavailable as error:
                log.event("renewal_waits", level="warning", reason=str(error))
            except NoDigestLasts:
                log.event("renewal_impossible", level="error", reason="NO_ALGORITHM_LASTS")
            await asyncio.sleep(self._seconds)


class SlipRelay:
    """Hands papers to the referrals role, which passes over those it has. A paper it refuses does not stop the others."""

    def __init__(self, slips: Slips, open_event: OpenEvent, span: OpenSpan) -> None:
        self._slips = slips
        self._open = open_event
        self._span = span

    async def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Hands a batch over, and one by one what is refused as a batch."""
        with self._span(telemetry.SPAN_RELAY + Topic.SLIPS.value, parent=messages[0].trace):
            papers = [(message.id, await self._open(message.id, message.payload)) for message in messages]
            try:
                await self._slips.hand_over(papers)
            except PeerRefused as error:
                if len(messages) == 1:
                    return [Dead(error.peer_reason)]
            else:
                return [DONE] * len(messages)
        return [(await self.deliver([message]))[0] for message in messages]


class InsurerRelay:
    """Delivers accepted documents to the insurer's portal: one intake, two destinations."""

    def __init__(
        self, store: IntakeStore, insurer: Insurer, open_event: OpenEvent, clock: Clock, span: OpenSpan
    ) -> None:
        self._store = store
        self._insurer = insurer
        self._open = open_event
        self._clock = clock
        self._span = span

    async def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Delivers a few at a time. After a crash between delivery and commit the portal gets a file twice, with the same
        episode key, which it replaces.
        """
        slots = asyncio.Semaphore(_PARALLEL)

        async def one(message: Message) -> Outcome:
            async with slots:
                with self._span(telemetry.SPAN_RELAY + Topic.INSURER.value, parent=message.trace):
                    return await self._deliver(json.loads(await self._open(message.id, message.payload)))

        return await asyncio.gather(*(one(message) for message in messages))

    async def _deliver(self, event: dict[str, Any]) -> Outcome:
        facility, id = event["facility"], UUID(event["submission"])
        try:
            stored = await self._store.original(facility, id)
        except DataErased as error:
            return Dead(error.reason)
        if stored is None:
            return Dead("DOCUMENT_GONE")
        try:
            number = await self._insurer.deliver(facility, event["version"], stored.content, check_in=event["check_in"])
        except InsurerUnavailable as error:
            return Retry(f"INSURER_UNAVAILABLE {error}")
        except InsurerRefused as error:
            return Dead(f"INSURER_REFUSED {error.code}")
        now = self._clock()
        # The portal's answer says both: it has the file, and the number under which it has it.
        states = (SubmissionState.DELIVERED, SubmissionState.ACKNOWLEDGED)
        await self._store.advance(facility, id, [StateChange(state, now, INSURER, number) for state in states])
        return DONE
