"""Reading without consent where life or health is at risk (Law 91/2025/QH15 art. 19.1 a): what it is, how long it lasts, who may use it.

Nothing here has a timer: an access is a row, what became of it are events, and its state is computed from them for the time of asking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from services.consent.facts import EmergencyGrant

CONFIRM_WITHIN = timedelta(minutes=30)
LONGEST = timedelta(hours=4)
REVIEW_WITHIN = timedelta(hours=72)
SHORTEST_TEXT = 10
LONGEST_TEXT = 500
LONGEST_FINDING = 2000


class Reason(Enum):
    """Why consent could not be waited for."""

    UNCONSCIOUS = "UNCONSCIOUS"
    LIFE_THREATENING = "LIFE_THREATENING"
    GUARDIAN_UNREACHABLE = "GUARDIAN_UNREACHABLE"
    PROTECTION_OF_OTHERS = "PROTECTION_OF_OTHERS"
    OTHER = "OTHER"


class State(Enum):
    """How an access stands at a time."""

    UNCONFIRMED = "UNCONFIRMED"
    CONFIRMED = "CONFIRMED"
    ENDED = "ENDED"


class Outcome(Enum):
    """What a reviewer found."""

    JUSTIFIED = "JUSTIFIED"
    UNJUSTIFIED = "UNJUSTIFIED"


class EventType(Enum):
    """What may happen to an access, each at most once. LIFE_SAVING follows a widening that did not assert it. OPENED is the access itself."""

    OPENED = "OPENED"
    CONFIRMED = "CONFIRMED"
    WIDENED = "WIDENED"
    LIFE_SAVING = "LIFE_SAVING"
    ENDED = "ENDED"
    REVIEWED = "REVIEWED"


@dataclass(frozen=True)
class Event:
    """One event. `actor` is the subject of the token that made it and `acr` how they were authenticated, `text` what was said (sealed at rest)."""

    type: EventType
    at: datetime
    actor: str
    organization: str = ""
    licence: str = ""
    life_saving: bool = False
    outcome: Outcome | None = None
    acr: str = ""
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class EmergencyAccess:
    """One use of the emergency ground by one practitioner for one person, with what became of it. `text` is empty where the person was erased;
    `reads` are the decisions that rest on it, `notified_at` is when the first of the person and their guardians was told."""

    id: UUID
    person: UUID
    organization: str
    licence: str
    reason: Reason
    opened_at: datetime
    confirmed_at: datetime | None = None
    confirmed_by: str = ""
    widened_at: datetime | None = None
    life_saving: bool = False
    ended_at: datetime | None = None
    reviewed_at: datetime | None = None
    outcome: Outcome | None = None
    text: str = field(default="", repr=False)
    reads: int = 0
    notified_at: datetime | None = None

    @property
    def confirm_due_at(self) -> datetime:
        """From when on it has ended unless somebody confirmed it."""
        return self.opened_at + CONFIRM_WITHIN

    @property
    def expires_at(self) -> datetime:
        """From when on it has ended in any case."""
        return self.opened_at + LONGEST

    @property
    def review_due_at(self) -> datetime:
        """From when on a review that was not made is overdue."""
        return self.opened_at + REVIEW_WITHIN

    def state(self, at: datetime) -> State:
        """The state at a time; every bound is the first moment that is outside."""
        if at >= self.expires_at or (self.ended_at is not None and at >= self.ended_at):
            return State.ENDED
        if self.confirmed_at is not None:
            return State.CONFIRMED
        return State.UNCONFIRMED if at < self.confirm_due_at else State.ENDED

    def is_open(self, at: datetime) -> bool:
        """Whether anything may be read under it at a time."""
        return self.state(at) is not State.ENDED

    def usable_by(self, licence: str, organization: str) -> bool:
        """Whether this practitioner may read under it: of its facility, and the one who opened or confirmed it."""
        return bool(licence) and organization == self.organization and licence in (self.licence, self.confirmed_by)

    @property
    def width(self) -> tuple[bool, bool]:
        """Greater where more may be read."""
        return self.life_saving, self.widened_at is not None

    @property
    def etag(self) -> str:
        """Changes with every event (AIP-154)."""
        times = (self.confirmed_at, self.widened_at, self.ended_at, self.reviewed_at)
        marks = [str(self.id), *(at.isoformat() if at else "-" for at in times), str(self.life_saving)]
        return hashlib.sha256("|".join(marks).encode()).hexdigest()[:16]


def open_grant(
    accesses: Iterable[EmergencyAccess], licence: str | None, organization: str | None, at: datetime
) -> EmergencyAccess | None:
    """The access that a decision rests on: of this facility, opened or confirmed by this licence, and not ended by hand. Of several those that
    are open first, then the widest, then the newest: a further opening never takes away what was widened. One that time has ended is returned
    where there is no other, so that the rules can say why it does not permit any more. None where there is none.
    """
    if not licence or not organization:
        return None
    usable = [
        one for one in accesses if one.usable_by(licence, organization) and not (one.ended_at and at >= one.ended_at)
    ]
    return max(usable, key=lambda one: (one.is_open(at), *one.width, one.opened_at, one.id), default=None)


def grant_of(access: EmergencyAccess | None) -> EmergencyGrant | None:
    """What of an access the rules look at."""
    if access is None:
        return None
    return EmergencyGrant(
        access.id, access.opened_at, access.confirmed_at, access.widened_at, life_saving=access.life_saving
    )
