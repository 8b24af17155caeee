"""Rights of the data subject (Law 91/2025/QH15 art. 4; Decree 356/2025/NĐ-CP art. 5): a request, what became of it, and its clocks.

A request is a row, what became of it are events, each type at most once; its state and whether a clock has run out are computed at read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from services.chassis.feed import Entries
from services.consent.model import Purpose

ACKNOWLEDGED_NOTICE = "SUBJECT_REQUEST_ACKNOWLEDGED"
PASSED_NOTICE = "SUBJECT_REQUEST_PASSED"
FULFILLED_NOTICE = "SUBJECT_REQUEST_FULFILLED"
REFUSED_NOTICE = "SUBJECT_REQUEST_REFUSED"
LIFTED_NOTICE = "SUBJECT_REQUEST_LIFTED"
LONGEST_TEXT = 2000
LONGEST_ARTICLE = 200
MOST_DOCUMENTS = 100
Place = tuple[datetime, UUID]
"""Where a page ended: when the last one was made, or is due, and its id."""


class Kind(Enum):
    """The right that is used."""

    ACCESS = "ACCESS"
    COPY = "COPY"
    CORRECT = "CORRECT"
    RESTRICT = "RESTRICT"
    OBJECT = "OBJECT"
    DELETE = "DELETE"


RESTRICTING = frozenset({Kind.RESTRICT, Kind.OBJECT})


class State(Enum):
    """Where a request stands."""

    RECEIVED = "RECEIVED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    PASSED = "PASSED"
    FULFILLED = "FULFILLED"
    REFUSED = "REFUSED"
    LIFTED = "LIFTED"


class EventType(Enum):
    """What may happen to a request, each at most once."""

    ACKNOWLEDGED = "ACKNOWLEDGED"
    PASSED = "PASSED"
    FULFILLED = "FULFILLED"
    REFUSED = "REFUSED"
    LIFTED = "LIFTED"


NOTICES: Mapping[EventType, str] = {
    EventType.ACKNOWLEDGED: ACKNOWLEDGED_NOTICE,
    EventType.PASSED: PASSED_NOTICE,
    EventType.FULFILLED: FULFILLED_NOTICE,
    EventType.REFUSED: REFUSED_NOTICE,
    EventType.LIFTED: LIFTED_NOTICE,
}
"""What the person is told of each."""
_OPEN = frozenset({State.RECEIVED, State.ACKNOWLEDGED, State.PASSED})
_FROM: Mapping[EventType, frozenset[State]] = {
    EventType.ACKNOWLEDGED: _OPEN,
    EventType.PASSED: frozenset({State.RECEIVED, State.ACKNOWLEDGED}),
    EventType.FULFILLED: _OPEN,
    EventType.REFUSED: _OPEN,
    EventType.LIFTED: frozenset({State.FULFILLED}),
}


@dataclass(frozen=True)
class Part:
    """What became of one category of data: how many items were erased, how many are kept, by which law and until when."""

    category: str
    erased: int = 0
    retained: int = 0
    article: str = ""
    retain_until: datetime | None = None


@dataclass(frozen=True)
class Event:
    """One event. `actor` is the subject of the token that made it, `documents` what corrects, `parts` what was done."""

    type: EventType
    at: datetime
    actor: str
    organization: str = ""
    article: str = ""
    documents: tuple[UUID, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class SubjectRequest:
    """One use of a right with what became of it. The clocks are those of the law of the day it was made; `text` is empty once it was erased."""

    id: UUID
    person: UUID
    kind: Kind
    purpose: Purpose | None
    documents: tuple[UUID, ...]
    created_at: datetime
    actor: str
    regime: str
    acknowledge_due_at: datetime | None
    first_due_at: datetime
    third_party_due_at: datetime
    events: tuple[Event, ...] = ()
    text: str = field(default="", repr=False)

    def event(self, type: EventType) -> Event | None:
        """The event of a type."""
        return next((one for one in self.events if one.type is type), None)

    @property
    def answer(self) -> Event | None:
        """How it was answered."""
        return self.event(EventType.FULFILLED) or self.event(EventType.REFUSED)

    @property
    def organization(self) -> str:
        """Facility it was passed to, or empty."""
        passed = self.event(EventType.PASSED)
        return passed.organization if passed else ""

    @property
    def state(self) -> State:
        """Where it stands; what comes later in life counts."""
        for type in (
            EventType.LIFTED,
            EventType.REFUSED,
            EventType.FULFILLED,
            EventType.PASSED,
            EventType.ACKNOWLEDGED,
        ):
            if self.event(type):
                return State(type.value)
        return State.RECEIVED

    @property
    def is_open(self) -> bool:
        """Whether it is still to be answered."""
        return self.state in _OPEN

    @property
    def due_at(self) -> datetime:
        """From when on an answer is too late; the longer clock once it was passed on."""
        return self.third_party_due_at if self.organization else self.first_due_at

    @property
    def next_due_at(self) -> datetime:
        """The clock of an open request that ends first: that of the acknowledgement as long as there is none."""
        if self.acknowledge_due_at is None or self.event(EventType.ACKNOWLEDGED) or self.event(EventType.PASSED):
            return self.due_at
        return min(self.acknowledge_due_at, self.due_at)

    def overdue(self, at: datetime) -> bool:
        """Whether a clock has run out and the request still waits."""
        return self.is_open and at >= self.next_due_at

    def allows(self, type: EventType) -> bool:
        """Whether that may happen now. Only what was restricted can be lifted."""
        return self.state in _FROM[type] and (type is not EventType.LIFTED or self.kind in RESTRICTING)

    @property
    def etag(self) -> str:
        """Changes with every event (AIP-154)."""
        marks = [str(self.id), *sorted(f"{one.type.value}@{one.at.isoformat()}" for one in self.events)]
        return hashlib.sha256("|".join(marks).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Holdings:
    """What the consent role holds of a category: how many items, and when the last of them was made or ended."""

    count: int
    last: datetime | None


@dataclass(frozen=True)
class OverdueRequest:
    """A request whose clock ran out since somebody last looked."""

    id: UUID
    kind: Kind


class SubjectStore(Protocol):
    """Requests and their events. Rows are only ever added; only a text is erased."""

    async def entries(self, person: UUID) -> Entries:
        """The entries of the index that stand for a person."""

    async def wards(self, guardian: UUID, at: datetime) -> frozenset[UUID]:
        """All entries of those whose guardian this person is."""

    async def add_subject_request(self, request: SubjectRequest) -> SubjectRequest:
        """Keeps a new request, or returns the one of this id. RequestIdReused when that is of another person."""

    async def subject_request(self, id: UUID) -> SubjectRequest | None:
        """A request by id."""

    async def subject_requests(
        self, persons: Sequence[UUID], only_open: bool, overdue_at: datetime | None, before: Place | None, limit: int
    ) -> Sequence[SubjectRequest]:
        """Requests of these entries, newest first."""

    async def subject_queue(
        self, organization: str | None, overdue_at: datetime | None, after: Place | None, limit: int
    ) -> Sequence[SubjectRequest]:
        """Open requests, of one facility or all, what is due soonest first."""

    async def all_subject_requests(
        self, organization: str | None, after: Place | None, limit: int
    ) -> Sequence[SubjectRequest]:
        """All requests, of one facility or all, what was due first first."""

    async def record_subject_event(self, id: UUID, event: Event) -> SubjectRequest | None:
        """Keeps an event with its effects and its notice, when the request allows it; else the request stays. None when there is no such request."""

    async def holdings(self, persons: Sequence[UUID]) -> Mapping[str, Holdings]:
        """What lies here of these entries and is kept by law: `evidence`, `ledger`, `emergency`."""

    async def claim_overdue(self, at: datetime, limit: int) -> Sequence[OverdueRequest]:
        """Open requests whose clock ran out and that were not claimed for that clock before."""

    async def overdue_by_kind(self, at: datetime) -> Mapping[Kind, int]:
        """How many open requests are overdue."""


class Eraser(Protocol):
    """The records role: erases documents where the law allows."""

    async def erase(self, persons: Sequence[UUID], documents: Sequence[UUID], request: UUID) -> Part:
        """Destroys the keys of what may be erased; idempotent. Raises PeerUnavailable."""
