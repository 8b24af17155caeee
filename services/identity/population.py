"""Loads of an existing population, and proposals afterwards: values, and what a transaction does with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.identity.model import Assurance, Demographics, Identifier


@dataclass(frozen=True)
class PopulationEntry:
    """One row of a population: `faults` are field and reason of what could not be read at all."""

    row: int
    identifiers: tuple[Identifier, ...] = field(repr=False)
    demographics: Demographics = field(repr=False)
    assurance: Assurance = Assurance.TYPED
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, order=True)
class RowFault:
    """One wrong field of a row, never its value."""

    row: int
    field: str
    reason: str


@dataclass(frozen=True)
class PopulationLoad:
    """Progress of a load: `parts` are loaded, without a gap from 0. `entries` are rows read: new ones, known ones, unusable ones, and those with a
    number of somebody whose data disagree.
    """

    source: str
    created_at: datetime
    updated_at: datetime
    parts: int = 0
    entries: int = 0
    created: int = 0
    known: int = 0
    rejected: int = 0
    conflicts: int = 0

    @property
    def name(self) -> str:
        """Resource name."""
        return f"populationLoads/{self.source}"


class PopulationTransaction(Protocol):
    """The part of a transaction that deals with loads and proposals."""

    async def add_load(self, load: PopulationLoad) -> PopulationLoad:
        """Adds a load, or returns the one that has the source."""

    async def load(self, source: str, *, hold: bool = False) -> PopulationLoad | None:
        """A load; with `hold` nobody else writes it until the transaction ends."""

    async def is_last_part(self, source: str, digest: bytes) -> bool:
        """True when this is the digest of the part that was loaded last."""

    async def put_load(self, load: PopulationLoad, digest: bytes, faults: Collection[RowFault]) -> None:
        """Writes progress, the digest of the part loaded last, and the faults of its rows."""

    async def load_faults(self, source: str, after: RowFault | None, limit: int) -> Sequence[RowFault]:
        """Faults of a load by row, after one of them."""

    async def place(self, version: str) -> UUID | None:
        """Up to which entry was searched again with this version of model and normaliser; None before the first. Nobody else goes on from there until
        the transaction ends.
        """

    async def put_place(self, version: str, last: UUID, at: datetime) -> None:
        """Notes up to which entry was searched again."""

    async def entries_after(self, after: UUID | None, limit: int) -> Sequence[UUID]:
        """Entries by id, which is the order in which they came."""
