"""What the operations of the consent role need from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.feed import Entries
from services.consent.anchors import Anchored, Anchoring, Head
from services.consent.decision import Asked, Decision
from services.consent.model import Access, Agreement, Consent, ConsentRequest, RequestState
from services.consent.recipients import Recipient


@dataclass(frozen=True)
class Made:
    """A decision with its record as JSON and its ledger line."""

    decision: Decision
    content: Mapping[str, Any]
    line: Access


Judge = Callable[
    [Mapping[UUID, Entries], Sequence[Mapping[str, Any]], Mapping[UUID, tuple[int, bytes]], datetime], Sequence[Made]
]
"""Given the entries that stand for each one named, what was gathered for each query (services.consent.record), by person the ledger head
(sequence, hash), and the time: the decisions."""
LedgerPlace = tuple[datetime, int, UUID]
"""Where a page of the ledger ended: time, sequence and id of its last line."""


class Persons(Protocol):
    """Which entries of the index stand for whom, and who acts for whom."""

    async def entries(self, person: UUID) -> Entries:
        """The entries of the index that stand for a person."""

    async def wards(self, guardian: UUID, at: datetime) -> frozenset[UUID]:
        """All entries of those whose guardian this person is at the time, by any of their own entries."""


class Store(Persons, Protocol):
    """Consents, requests, decisions and the ledger. Rows of a consent, decision or line are never changed."""

    async def add_request(self, request: ConsentRequest) -> None:
        """Keeps a new request."""

    async def request(self, id: UUID) -> ConsentRequest | None:
        """A request by id."""

    async def requests(
        self, persons: Sequence[UUID], before: UUID | None, limit: int, *, organization: str | None = None
    ) -> Sequence[ConsentRequest]:
        """Requests put to any of these entries, by one facility or by all, newest first, with an id before `before`."""

    async def claim_pending(self, at: datetime, lease: timedelta, limit: int) -> Sequence[ConsentRequest]:
        """Unanswered requests whose next poll is due; each is leased to the caller."""

    async def grant(self, new: Sequence[Consent], request: UUID | None) -> Sequence[Consent]:
        """Keeps the consents of one grant and, with a request, its answer, in one transaction. A request that was answered by then keeps its
        answer: the consents it led to are returned instead, as on a retry. Raises ConsentRequestClosed when the answer was a refusal."""

    async def consents_of_request(self, id: UUID, persons: Sequence[UUID]) -> Sequence[Consent]:
        """The consents that came of a request."""

    async def uses(self, consents: Sequence[Consent], at: datetime) -> Mapping[UUID, int]:
        """Reads that the frequency of each counts by a time; those without a limit are left out."""

    async def recipients(
        self, of: Consent, after: str, limit: int, *, organization: str | None = None
    ) -> Sequence[Recipient]:
        """Facilities that were given something on the ground of a consent, by code, after one; or only one facility."""

    async def acknowledge_erasure(
        self, of: Consent, organization: str, licence: str, retained_under: str, at: datetime
    ) -> None:
        """Keeps that a facility has erased what it was given. What it said first stays."""

    async def count_wrong_code(self, id: UUID, most: int, at: datetime) -> int:
        """Counts a wrong code of an unanswered request; how many there were. At the most the request is closed as denied."""

    async def close_request(self, id: UUID, answer: RequestState, at: datetime) -> ConsentRequest | None:
        """Keeps the answer of an unanswered request; returns the request as it then stands."""

    async def agree(self, of: Consent, agreement: Agreement) -> Consent | None:
        """Keeps an agreement; the first in a role counts. None when there is no such consent any more."""

    async def revoke(self, id: UUID, persons: Sequence[UUID], at: datetime, by: UUID | None = None) -> Consent | None:
        """Keeps a withdrawal, and who withdrew where it was not the person; the first one counts. None when none of these entries has such a consent."""

    async def consent(self, id: UUID) -> Consent | None:
        """A consent by id."""

    async def consents(self, persons: Sequence[UUID], before: UUID | None, limit: int) -> Sequence[Consent]:
        """Consents of these entries, newest first."""

    async def decide(self, asked: Sequence[Asked], clock: Clock, judge: Judge) -> Sequence[Decision]:
        """Locks the ledgers of those who answer for the persons, gathers what the rules look at, calls `judge`, and keeps decisions, lines and
        uses, in one transaction. Nothing of it is visible, and nothing is returned, before it is durable. `clock` is read under the locks."""

    async def decision(self, id: UUID) -> Decision | None:
        """A decision by id."""


class LedgerStore(Persons, Protocol):
    """Lines and their anchors."""

    async def accesses(self, persons: Sequence[UUID], before: LedgerPlace | None, limit: int) -> Sequence[Access]:
        """Ledger lines of these entries, newest first, before a place."""

    async def lines(self, persons: Sequence[UUID], after: tuple[UUID, int] | None, limit: int) -> Sequence[Access]:
        """Lines of these entries, by entry and number, after a place."""

    async def anchors(self, persons: Sequence[UUID]) -> Sequence[Anchored]:
        """The newest proven anchor of each of these entries, or the newest where none is proven."""

    async def grown(self, limit: int) -> Sequence[Head]:
        """Heads that no anchor names yet."""

    async def add_anchoring(self, new: Anchoring) -> bool:
        """Keeps an anchoring; False, and nothing, where another process is keeping one now."""

    async def unlogged(self, limit: int) -> Sequence[tuple[UUID, bytes]]:
        """Entries without a place in the log."""

    async def place(self, places: Mapping[UUID, int]) -> None:
        """Keeps the places of entries."""

    async def unproven(self, limit: int) -> Sequence[tuple[UUID, int]]:
        """Entries with a place and without a proof."""

    async def prove(self, proofs: Mapping[UUID, str]) -> None:
        """Keeps the proofs of entries."""


class Log(Protocol):
    """The transparency log."""

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """The log index per entry; an entry that is in the log keeps its index."""

    async def proofs(self, indexes: Sequence[int]) -> Sequence[str]:
        """tlog-proofs; empty where no published checkpoint covers the entry yet."""


@dataclass(frozen=True)
class AppPending:
    """The person has not answered yet; ask again after `interval`."""


@dataclass(frozen=True)
class AppApproved:
    """The person approved; `assertion` is the signed assertion (verified), `acr` its authentication context."""

    assertion: str = field(repr=False)
    acr: str


@dataclass(frozen=True)
class AppRefused:
    """The person refused, or the request lapsed at the app."""

    state: RequestState


AppAnswer = AppPending | AppApproved | AppRefused


class IdApp(Protocol):
    """The national ID app (OpenID CIBA, poll mode). Raises IdAppUnavailable."""

    async def ask(self, request: ConsentRequest) -> str:
        """Puts a request before the person; returns the handle."""

    async def poll(self, request: ConsentRequest) -> AppAnswer:
        """The person's answer so far."""
