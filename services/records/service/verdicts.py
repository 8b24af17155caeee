"""Verdicts over time: they are appended, never overwritten, and a new one is made when there is news to judge by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.errors import DomainError
from services.records.errors import SubmissionNotFound
from services.records.formats.document import DocumentFormat, ParsedDocument
from services.records.model import Case, SubmissionRecord, Verdict
from services.records.ports import ProofStore, Signing, Store
from services.records.proof import (
    MOST_ATTEMPTS,
    TRY_LATER,
    Compromise,
    Due,
    Judgement,
    Occasion,
    RecordedVerdict,
    TouchedCursor,
    TouchedDocument,
    next_look,
)
from services.records.service.judging import read_all
from services.records.service.pipeline import each

# The largest documents of a batch together stay within what one process may hold.
BATCH = 16
_BATCH_BYTES = 10 * 1024 * 1024
_COMPROMISED_PAGE = 1_000
# What a process took and did not settle is looked at again after this.
_LEASE = timedelta(minutes=5)
_REFUSED_WAIT = timedelta(hours=24)


class VerdictService:
    """Reads verdicts and what a key touched."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, facility: str, id: UUID) -> tuple[SubmissionRecord, Sequence[RecordedVerdict]]:
        """A submission of the facility, whose first answer holds the first verdict, and the later ones, oldest first.
        Raises SubmissionNotFound.
        """
        record = await self._store.submission(facility, id)
        if record is None:
            raise SubmissionNotFound("no such submission")
        return record, await self._store.verdicts(facility, id)

    async def touched(
        self, compromise: Compromise, after: TouchedCursor | None, limit: int
    ) -> Sequence[TouchedDocument]:
        """Documents that a certificate signed, received since a time, oldest first."""
        return await self._store.touched(compromise.certificate_sha256, compromise.since, after, limit)


class Rejudging:
    """Judges again what is due. Each batch is small and settled by itself, so that it can stop anywhere."""

    def __init__(
        self,
        store: ProofStore,
        signing: Signing,
        formats: Mapping[str, DocumentFormat],
        clock: Clock,
        observe: Callable[[Occasion, Verdict], None] = lambda _occasion, _verdict: None,
    ) -> None:
        self._store = store
        self._signing = signing
        self._formats = formats
        self._clock = clock
        self._observe = observe

    async def once(self) -> int:
        """One batch; returns how many were due. Raises Unavailable, with nothing lost."""
        now = self._clock()
        due = await self._store.take_due(now, now + _LEASE, BATCH)
        if not due:
            return 0
        received = await self._store.received([(one.facility, one.submission) for one in due])
        known = [(one, received[place]) for one in due if (place := (one.facility, one.submission)) in received]
        outcomes = await asyncio.to_thread(read_all, [incoming for _, incoming in known], self._formats)
        cases: list[tuple[Due, Case]] = []
        # What is not there any more is due no longer.
        settled = [Judgement(one, now, None, None) for one in due if (one.facility, one.submission) not in received]
        for (one, incoming), read in zip(known, outcomes, strict=True):
            if isinstance(read, ParsedDocument):
                # The receipt proves that the signatures existed when the document came in.
                cases.append((one, Case(incoming, read, existed_at=incoming.received_at)))
            else:
                # It was readable once; that it is not now is a fault of ours, which no retry mends.
                log.event("rejudging_unreadable", level="error", submission=str(one.submission))
                settled.append(Judgement(one, now, None, None))
        for batch in _batches(cases):
            verdicts = await each(self._signing.verify, [case for _, case in batch])
            settled += [self._judgement(one, verdict) for (one, _), verdict in zip(batch, verdicts, strict=True)]
        await self._store.judged(settled)
        return len(due)

    def _judgement(self, due: Due, verdict: Verdict | DomainError) -> Judgement:
        now = self._clock()
        if isinstance(verdict, DomainError):
            # Signing refuses this one document; the others of its batch are none the worse.
            log.event("rejudging_refused", level="error", submission=str(due.submission), reason=verdict.reason)
            again = (now + _REFUSED_WAIT, due.occasion) if due.attempts < MOST_ATTEMPTS else None
            return Judgement(due, now, None, again, due.attempts + 1)
        news = due.occasion is not Occasion.REVOCATION_ARRIVED or verdict.sub_indication != TRY_LATER
        if news:
            self._observe(due.occasion, verdict)
        attempts = 0 if news else due.attempts + 1
        return Judgement(due, now, verdict if news else None, next_look(verdict, now, attempts), attempts)

    async def notice_compromises(self) -> int:
        """Makes due what newly compromised keys signed; returns how many keys were new. A run that is cut short is made
        again from the start.
        """
        reported = await self._signing.compromised()
        fresh = set(reported) - set(await self._store.compromises()) if reported else set()
        for compromise in sorted(fresh, key=lambda one: (one.since, one.certificate_sha256)):
            after: TouchedCursor | None = None
            while True:
                after = await self._store.judge_signed_by(
                    compromise.certificate_sha256, compromise.since, after, self._clock(), _COMPROMISED_PAGE
                )
                if after is None:
                    break
            await self._store.remember(compromise, self._clock())
            log.event("key_compromise_noticed", certificate=compromise.certificate_sha256)
        return len(fresh)


def _batches(cases: Sequence[tuple[Due, Case]]) -> list[list[tuple[Due, Case]]]:
    """Runs of cases that fit into one message each."""
    batches: list[list[tuple[Due, Case]]] = []
    size = 0
    for due, case in cases:
        weight = case.incoming.size + sum(len(part.content) for part in case.parsed.parts)
        if not batches or size + weight > _BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append((due, case))
        size += weight
    return batches
