"""The register of breaches of personal data: the authority is told within 72 hours, the file is kept for five years (Decree 356/2025/NĐ-CP)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

BREACH_NOTICE = "PERSONAL_DATA_BREACH"
SHORTEST_TEXT = 10
LONGEST_TEXT = 4000
MOST_PERSONS = 1000
Place = tuple[datetime, UUID]
"""Where a page ended: when the last breach was discovered, and its id."""


class Nature(Enum):
    """What was hurt."""

    CONFIDENTIALITY = "CONFIDENTIALITY"
    INTEGRITY = "INTEGRITY"
    AVAILABILITY = "AVAILABILITY"


class State(Enum):
    """Where a breach stands."""

    OPEN = "OPEN"
    NOTIFIED = "NOTIFIED"
    CLOSED = "CLOSED"


class EventType(Enum):
    """What happens; DISCOVERED and PERSONS_ADDED are made by the register itself."""

    DISCOVERED = "DISCOVERED"
    ASSESSED = "ASSESSED"
    CONTAINED = "CONTAINED"
    AUTHORITY_NOTIFIED = "AUTHORITY_NOTIFIED"
    PERSONS_ADDED = "PERSONS_ADDED"
    CLOSED = "CLOSED"


TOLD = frozenset({EventType.ASSESSED, EventType.CONTAINED, EventType.AUTHORITY_NOTIFIED, EventType.CLOSED})
"""What an administrator may add."""


@dataclass(frozen=True)
class Event:
    """One step. `persons` is how many were added."""

    id: UUID
    type: EventType
    at: datetime
    actor: str
    persons: int = 0
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class Breach:
    """One incident with its steps, oldest first. `text` names nobody and lies sealed under the role's own key."""

    id: UUID
    discovered_at: datetime
    nature: Nature
    organization: str
    created_at: datetime
    events: tuple[Event, ...] = ()
    text: str = field(default="", repr=False)

    def first(self, type: EventType) -> Event | None:
        """The first event of a type."""
        return next((one for one in self.events if one.type is type), None)

    @property
    def state(self) -> State:
        """Where it stands."""
        if self.first(EventType.CLOSED):
            return State.CLOSED
        return State.NOTIFIED if self.notified_at else State.OPEN

    @property
    def notified_at(self) -> datetime | None:
        """When the authority was told first."""
        told = self.first(EventType.AUTHORITY_NOTIFIED)
        return told.at if told else None

    @property
    def persons(self) -> int:
        """Persons concerned, as far as known."""
        return sum(one.persons for one in self.events)

    @property
    def last_at(self) -> datetime:
        """When something happened last."""
        return max((one.at for one in self.events), default=self.created_at)


class BreachStore(Protocol):
    """Breaches and their events; rows are only ever added."""

    async def add_breach(self, breach: Breach) -> Breach:
        """Keeps a new breach, or returns the one of this id."""

    async def breach(self, id: UUID) -> Breach | None:
        """A breach by id, with its events."""

    async def breaches(self, only_open: bool, after: Place | None, limit: int) -> Sequence[Breach]:
        """Breaches, discovered first first."""

    async def add_breach_event(self, id: UUID, event: Event) -> Breach | None:
        """Keeps an event, once by its id. Raises BreachClosed, and InvalidArgument for closing what the authority was not told of."""

    async def add_breach_persons(self, id: UUID, event: Event, persons: Sequence[UUID]) -> Breach | None:
        """Keeps persons concerned and a notice to each who was not there before, once by the event's id. Raises BreachClosed."""
