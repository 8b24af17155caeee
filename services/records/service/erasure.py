"""Erasing a person's documents as far as no duty to keep stands against it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.chassis.clock import Clock
from services.records.erasure import ErasureStore, Outcome
from services.records.retention import Retention

_PAGE = 500


class ErasureService:
    """Goes through a person's documents in pages; what is interrupted is taken up by asking again."""

    def __init__(self, store: ErasureStore, retention: Retention, clock: Clock) -> None:
        self._store = store
        self._retention = retention
        self._clock = clock

    async def erase(self, persons: Sequence[UUID], documents: Sequence[UUID], request: UUID) -> Outcome:
        """Destroys what may be destroyed now and says what is kept. Keys of persons go when nothing of theirs is left."""
        now = self._clock()
        retained, last, after = 0, None, None
        while True:
            page = await self._store.unerased(persons, documents, after, _PAGE)
            terms = [self._retention.until(one.kinds, one.classes, one.care_end) for one in page]
            going = [one for one, until in zip(page, terms, strict=True) if until <= now]
            if going:
                await self._store.erase(going, request, now)
            kept = [until for until in terms if until > now]
            retained += len(kept)
            last = _later(last, max(kept, default=None))
            if len(page) < _PAGE:
                break
            after = page[-1].id
        if not documents and not retained:
            await self._store.destroy_empty_keys(persons)
        return Outcome(await self._store.erased(persons, documents), retained, last)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
