"""Archive time-stamps: before what protects a document's evidence ends, all of it is put under a new time-stamp.

Many documents share one time-stamp through the hash tree of RFC 4998, so that a nation's documents of a year cost some
thousands of time-stamps. Before that the document is judged once more, with its receipt as proof of existence, so that
the verdict of that day is protected too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from lienthong.client.evidence.record import Record, plan

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.keyring import DataErased
from services.records.formats.document import DocumentFormat, ParsedDocument
from services.records.model import Case
from services.records.ports import PackageFormat, ProofStore, Signing, TimestampAuthority
from services.records.proof import (
    AlgorithmRule,
    ArchiveStamp,
    Due,
    Ending,
    Judgement,
    Occasion,
    Renewal,
)
from services.records.service.judging import read_all
from services.records.service.packages import PackageService

BATCH = 500
"""Documents that share a time-stamp."""
DIGESTS = ("sha256", "sha512")
"""Digests for archive time-stamps, the first that lasts is taken."""


@dataclass(frozen=True)
class _Planned:
    """A document whose files are known by their digests."""

    ending: Ending
    number: int
    listing: bytes
    hashes: tuple[bytes, ...]


class NoDigestLasts(Exception):
    """The signature policy accepts none of the digests long enough; a person has to look."""


class Renewals:
    """Renews what ends soon. A second process at it wastes time-stamps and does no harm."""

    def __init__(  # noqa: PLR0913 - every port by name
        self,
        *,
        store: ProofStore,
        packages: PackageService,
        form: PackageFormat,
        signing: Signing,
        authority: TimestampAuthority,
        formats: Mapping[str, DocumentFormat],
        clock: Clock,
        margin: timedelta,
    ) -> None:
        """`margin` is how long before its end a protection is renewed."""
        self._store = store
        self._packages = packages
        self._form = form
        self._signing = signing
        self._authority = authority
        self._formats = formats
        self._clock = clock
        self._margin = margin

    async def once(self) -> int:
        """One batch; returns how many were looked at. Raises Unavailable, TimestampUnavailable, NoDigestLasts; nothing is
        lost.
        """
        now = self._clock()
        ending = await self._store.ending(now + self._margin, None, BATCH)
        if not ending:
            return 0
        rules = await self._signing.algorithms()
        digest = _lasting(rules, now + 2 * self._margin)
        planned: list[_Planned] = []
        gone: list[tuple[str, UUID]] = []
        # One document at a time is in memory; what stays of it are digests.
        for one in ending:
            made = await self._plan(one, digest, now)
            if made is None:
                gone.append((one.facility, one.document))
            else:
                planned.append(made)
        # Of an erased person nothing is left to protect.
        await self._store.release(gone)
        if planned:
            await self._stamp(planned, digest, rules, now)
        return len(ending)

    async def _plan(self, one: Ending, digest: str, now: datetime) -> _Planned | None:
        await self._judge(one, now)
        try:
            entry = await self._store.document(one.document)
            stored = await self._store.original(one.facility, one.document)
        except DataErased:
            return None
        if entry is None or stored is None:
            return None
        contents = await self._packages.contents(entry, stored)
        number = len(contents.renewals) + 1
        listing, hashes = await asyncio.to_thread(self._form.listing, contents, number, digest)
        return _Planned(one, number, listing, tuple(hashes))

    async def _judge(self, one: Ending, now: datetime) -> None:
        place = (one.facility, one.document)
        incoming = (await self._store.received([place])).get(place)
        if incoming is None:
            return
        (outcome,) = await asyncio.to_thread(read_all, [incoming], self._formats)
        if isinstance(outcome, ParsedDocument):
            (verdict,) = await self._signing.verify([Case(incoming, outcome, existed_at=incoming.received_at)])
            await self._store.judged([Judgement(Due(*place, Occasion.RESEALED), now, verdict, None)])

    async def _stamp(
        self, planned: Sequence[_Planned], digest: str, rules: Sequence[AlgorithmRule], now: datetime
    ) -> None:
        top, trees = await asyncio.to_thread(plan, [one.hashes for one in planned], digest)
        stamp = await self._authority.stamp(top, digest)
        until = protected_until(stamp, digest, rules)
        if until <= now + self._margin:
            raise NoDigestLasts
        await self._store.renew(
            [
                Renewal(
                    facility=one.ending.facility,
                    document=one.ending.document,
                    number=one.number,
                    renewed_at=stamp.stated_at,
                    protected_until=until,
                    listing=one.listing,
                    record=Record(digest, tree, stamp.token).encode(),
                )
                for one, tree in zip(planned, trees, strict=True)
            ]
        )
        log.event("evidence_renewed", documents=len(planned), protected_until=until.isoformat())


def protected_until(stamp: ArchiveStamp, digest: str, rules: Sequence[AlgorithmRule]) -> datetime:
    """Until when a time-stamp protects: the end of its authority's certificate, of its digest or of its algorithm,
    whichever is first.
    """
    ends = [stamp.authority_until, _until(rules, digest, 0), _until(rules, stamp.algorithm, stamp.key_bits)]
    return min(end for end in ends if end is not None)


def _until(rules: Sequence[AlgorithmRule], name: str, key_bits: int) -> datetime | None:
    """End of an algorithm for a key; None for no end yet. One that no rule names has ended."""
    fitting = [one.until for one in rules if one.name == name and one.least_key_bits <= key_bits]
    if not fitting:
        return datetime.min.replace(tzinfo=UTC)
    return None if None in fitting else max(until for until in fitting if until is not None)


def _lasting(rules: Sequence[AlgorithmRule], at: datetime) -> str:
    for digest in DIGESTS:
        until = _until(rules, digest, 0)
        if until is None or until > at:
            return digest
    raise NoDigestLasts
