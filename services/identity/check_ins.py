"""That somebody came to a facility. For a day it shows that the facility treats the person, and decisions on reads rest on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

CHECK_IN_HOLDS = timedelta(hours=24)
"""For how long a check-in shows that the facility treats the person."""
TOPIC = "check_ins"
"""Topic of the outbox. A message names a check-in that could not be told at once."""
_CHECK_INS = UUID("6f1c7a52-6d5e-5c55-9c3c-0d6f3a4f9b1e")


@dataclass(frozen=True)
class KeptCheckIn:
    """That a person came to a facility, a code; the same again on a day is the same check-in, at its last time."""

    id: UUID
    person: UUID
    facility: str
    at: datetime

    @classmethod
    def of(cls, person: UUID, facility: str, at: datetime, day: date) -> KeptCheckIn:
        """A check-in at a time of a day."""
        return cls(uuid5(_CHECK_INS, f"{person}|{facility}|{day.isoformat()}"), person, facility, at)

    @property
    def name(self) -> str:
        """Resource name."""
        return f"checkIns/{self.id}"


class CheckIns(Protocol):
    """The decision point, which has to know who treats whom. Raises PeerUnavailable and PeerRefused."""

    async def tell(self, check_ins: Sequence[KeptCheckIn]) -> None:
        """Tells it, at most 200; the same again changes nothing."""


class CheckInTransaction(Protocol):
    """The part of a transaction that deals with check-ins."""

    async def keep_check_in(self, one: KeptCheckIn, *, told: bool) -> None:
        """Keeps one; what is not told yet is put into the outbox with it."""

    async def check_ins(self, ids: Sequence[UUID]) -> Mapping[UUID, KeptCheckIn]:
        """Those that are there, by id."""
