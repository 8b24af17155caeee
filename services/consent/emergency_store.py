"""What emergency access needs from the store and from settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from services.chassis.feed import Entries
from services.consent.emergency import EmergencyAccess, Event

Place = tuple[datetime, UUID]
"""Where a page of accesses ended: when the last one was opened, and its id."""
MULTI_FACTOR = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"
"""The acr of an authentication by more than one factor (OpenID PAPE 1.0)."""


@dataclass(frozen=True)
class EmergencySettings:
    """`strong_acr` and `strong_amr` are what tokens say of an authentication by several factors; it is fresh for `fresh`. A practitioner or a
    facility that opens more than `practitioner_limit` or `facility_limit` in `limit_window` is unusual: it raises an alarm and never stops care.
    """

    strong_acr: tuple[str, ...] = (MULTI_FACTOR,)
    strong_amr: tuple[str, ...] = ("mfa",)
    fresh: timedelta = timedelta(minutes=5)
    practitioner_limit: int = 5
    facility_limit: int = 40
    limit_window: timedelta = timedelta(days=1)


@dataclass(frozen=True)
class Opened:
    """An access as it was opened, and how many its practitioner and its facility had opened in the window that ended then, this one too. `first`
    when it was opened now, and not by an earlier call of the same request."""

    access: EmergencyAccess
    by_practitioner: int
    by_facility: int
    first: bool


@dataclass(frozen=True)
class Recorded:
    """An access after an event was put to it. `first` when the event was kept, and not one of its type that was there before; `event` is the one
    that is kept."""

    access: EmergencyAccess
    event: Event
    first: bool


@dataclass(frozen=True)
class Counts:
    """Accesses of a facility, or of a practitioner there, in a span of time. `over_median` compares with the others of the page's list."""

    organization: str
    licence: str
    opened: int
    unconfirmed: int
    widened: int
    reviewed: int
    unjustified: int
    overdue: int
    over_median: float


@dataclass(frozen=True)
class ReviewBacklog:
    """Accesses that nobody has reviewed: those that are not due yet, and those that are."""

    waiting: int
    overdue: int


class EmergencyStore(Protocol):
    """Accesses and their events. Rows are only ever added. Texts are sealed; those of an erased person read as empty."""

    async def entries(self, person: UUID) -> Entries:
        """The entries of the index that stand for a person."""

    async def wards(self, guardian: UUID, at: datetime) -> frozenset[UUID]:
        """All entries of those whose guardian this person is."""

    async def open_emergency(self, access: EmergencyAccess, event: Event, window: timedelta) -> Opened:
        """Keeps a new access under the entry that answers for the person, with the notice to them, in one transaction. One that has the same id
        stays as it is and is returned. `event` says who opened it, and how they were authenticated."""

    async def emergency(self, id: UUID) -> EmergencyAccess | None:
        """An access by id."""

    async def record_emergency_event(self, id: UUID, event: Event) -> Recorded | None:
        """Keeps an event, with the notice to the person, in one transaction; the first of its type counts. None when there is no such access."""

    async def emergencies_of(
        self, persons: Sequence[UUID], before: Place | None, limit: int
    ) -> Sequence[EmergencyAccess]:
        """Accesses to these entries, newest first."""

    async def emergencies_at(
        self, organization: str, unreviewed: bool, before: Place | None, limit: int
    ) -> Sequence[EmergencyAccess]:
        """Accesses of a facility, newest first."""

    async def emergency_queue(
        self, unreviewed: bool, organization: str | None, but: str | None, after: Place | None, limit: int
    ) -> Sequence[EmergencyAccess]:
        """Accesses of one facility or of all but one, longest due first."""

    async def emergency_statistics(
        self, since: datetime, at: datetime, organization: str | None, after: tuple[int, str, str] | None, limit: int
    ) -> Sequence[Counts]:
        """Counts of what was opened after `since` and until `at`: by facility, or of one facility as a whole and by practitioner; most accesses
        first, after a place (opened, facility, licence)."""

    async def review_backlog(self, at: datetime) -> ReviewBacklog:
        """What waits to be reviewed."""

    async def restore_reviews(self) -> int:
        """Puts back on the list of reviews what nobody has reviewed and is not on it; returns how many."""
