"""Erasing documents where the law allows it (Law 91/2025/QH15 art. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.records.formats.document import ContentKind
from services.records.sensitivity import SensitivityClass

MOST_PERSONS = 100
MOST_DOCUMENTS = 100


@dataclass(frozen=True)
class Held:
    """A document that is not erased, as the index knows it."""

    id: UUID
    person: UUID
    facility: str
    kinds: tuple[ContentKind, ...]
    classes: frozenset[SensitivityClass]
    care_end: datetime


@dataclass(frozen=True)
class Outcome:
    """What was done: documents erased now or before, those kept, and until when the last of them is."""

    erased: int
    retained: int
    retain_until: datetime | None


class ErasureStore(Protocol):
    """Documents and their erasures."""

    async def unerased(
        self, persons: Sequence[UUID], documents: Sequence[UUID], after: UUID | None, limit: int
    ) -> Sequence[Held]:
        """Documents under these entries that are not erased, by id; only those named where some are."""

    async def erase(self, documents: Sequence[Held], request: UUID, at: datetime) -> None:
        """Destroys what these documents hold, with its keys, and keeps that it was done. Again is nothing new."""

    async def erased(self, persons: Sequence[UUID], documents: Sequence[UUID]) -> int:
        """How many documents under these entries are erased; only of those named where some are."""

    async def destroy_empty_keys(self, persons: Sequence[UUID]) -> int:
        """Destroys the keys of those entries under which nothing is left, so that no copy can be opened either; how many."""
