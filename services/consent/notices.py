"""What the system tells a citizen, and handing it to the national ID app. A notice holds no clinical content and no name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from services.chassis.feed import Entries

EMERGENCY_OPENED = "EMERGENCY_ACCESS_OPENED"
EMERGENCY_CONFIRMED = "EMERGENCY_ACCESS_CONFIRMED"
EMERGENCY_WIDENED = "EMERGENCY_ACCESS_WIDENED"
EMERGENCY_LIFE_SAVING = "EMERGENCY_ACCESS_LIFE_SAVING"
EMERGENCY_ENDED = "EMERGENCY_ACCESS_ENDED"
EMERGENCY_REVIEWED = "EMERGENCY_ACCESS_REVIEWED"
GUARDIANSHIP_REGISTERED = "GUARDIANSHIP_REGISTERED"
GUARDIANSHIP_ENDED = "GUARDIANSHIP_ENDED"
AGREEMENT_AWAITED = "AGREEMENT_AWAITED"
"""A child or a guardian agreed to something that the other has not agreed to yet."""

APP_UNREACHABLE = "APP_UNREACHABLE"
"""Nobody answered: what else is due would meet the same."""
RECIPIENT_UNKNOWN = "RECIPIENT_UNKNOWN"
"""The app has no account of this recipient, such as of somebody nobody has identified yet."""
_FIRST_PAUSE = timedelta(seconds=1)
_MOST_DOUBLINGS = 20


@dataclass(frozen=True)
class Notice:
    """One notice. `type` is UPPER_SNAKE, at most 48 characters, `resource` what it is about, `organization` a facility code or empty."""

    id: UUID
    person: UUID
    type: str
    resource: str
    organization: str
    created_at: datetime
    delivered_at: datetime | None = None


@dataclass(frozen=True)
class Delivery:
    """A notice on its way to one recipient: the person, or a guardian. `account` is the entry of the index that answers for the recipient now;
    `attempts` counts this delivery too."""

    notice: Notice
    recipient: UUID
    account: UUID
    attempts: int


@dataclass(frozen=True)
class Result:
    """What became of a delivery; `reason` is a stable code where the app did not take it, else empty. `pause` is how long to wait then."""

    delivery: Delivery
    reason: str = ""
    pause: timedelta = timedelta(0)


@dataclass(frozen=True)
class NoticeSettings:
    """`endpoint` is the URL of the app's notice API, by default below the provider's issuer; `delay` how long a notice waits before it is handed
    over the first time. What is not taken is tried again for ever, after pauses that grow from a second to `longest_pause`, and where the app
    does not know the recipient to `unknown_pause`.
    """

    endpoint: str = ""
    delay: timedelta = timedelta(0)
    longest_pause: timedelta = timedelta(minutes=10)
    unknown_pause: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class NoticeBacklog:
    """Deliveries that wait, and how long the oldest has."""

    waiting: int
    oldest: timedelta


def pause_after(attempts: int, longest: timedelta) -> timedelta:
    """How long to wait after so many attempts that failed: doubled each time, at most `longest`."""
    doublings = min(max(attempts - 1, 0), _MOST_DOUBLINGS)
    return min(_FIRST_PAUSE * (1 << doublings), longest)


class NoticeApp(Protocol):
    """The notice API of the national ID app."""

    async def tell(self, delivery: Delivery) -> str:
        """Hands one over; returns a stable code where it was not taken, else an empty text. The app deduplicates by notice and recipient."""


class NoticeStore(Protocol):
    """Notices and their deliveries. Rows of a notice are never changed."""

    async def entries(self, person: UUID) -> Entries:
        """The entries of the index that stand for a person."""

    async def wards(self, guardian: UUID, at: datetime) -> frozenset[UUID]:
        """All entries of those whose guardian this person is, by any of their own entries."""

    async def notices(
        self, persons: Sequence[UUID], before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Notice]:
        """Notices to these entries, newest first, before a place."""

    async def claim_deliveries(
        self, at: datetime, delay: timedelta, lease: timedelta, limit: int
    ) -> Sequence[Delivery]:
        """Deliveries that are due; each is leased to the caller."""

    async def settle_deliveries(self, results: Sequence[Result], at: datetime) -> None:
        """Keeps what became of them."""

    async def notice_backlog(self, at: datetime) -> NoticeBacklog:
        """What waits."""
