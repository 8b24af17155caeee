"""What the operations of the referrals role need from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol
from uuid import UUID

from services.chassis.call import Call
from services.chassis.feed import Entries
from services.referrals.model import Appointment, Referral, ReferralState, Slip
from services.referrals.relations import Relation


@dataclass(frozen=True)
class Worklist:
    """A page of referrals: those sent by or addressed to a facility, newest first, with an id before `before`. `state` is judged on
    `today`; with `persons`, only of these entries.
    """

    facility: str
    incoming: bool
    outgoing: bool
    state: ReferralState | None
    today: date
    before: UUID | None
    limit: int
    persons: Sequence[UUID] = ()


class Store(Protocol):
    """Referrals and appointments."""

    async def import_slips(self, slips: Sequence[Slip]) -> int:
        """Keeps the papers whose event was not imported before; returns how many those were. One transaction."""

    async def entries(self, person: UUID) -> Entries:
        """The entries of the index that stand for a person."""

    async def referral(self, id: UUID) -> Referral | None:
        """A referral by id."""

    async def referrals(self, page: Worklist) -> Sequence[Referral]:
        """A page of a worklist, without content."""

    async def change(self, id: UUID, change: Callable[[Referral], Referral]) -> Referral | None:
        """Applies a change under the row's lock; None when there is no such referral."""

    async def appointment(self, id: UUID) -> Appointment | None:
        """An appointment by id."""

    async def appointments(
        self,
        *,
        organization: str | None,
        persons: Sequence[UUID],
        start: date | None,
        end: date | None,
        after: tuple[date, UUID] | None,
        limit: int,
    ) -> Sequence[Appointment]:
        """Appointments of a facility, or of a person's entries, by day and id."""


class Relations(Protocol):
    """What shows treatment, as it stands."""

    async def relations(self, resources: Sequence[str]) -> Mapping[str, Relation]:
        """By resource name; one that is not there is left out."""


class DecisionPoint(Protocol):
    """The role that keeps what shows treatment. Raises PeerUnavailable and PeerRefused."""

    async def record(self, relations: Sequence[Relation]) -> None:
        """Keeps them; the same again changes nothing."""


@dataclass(frozen=True)
class Ruling:
    """What the consent role said: the decision's name, whether it permits, and what would change the answer."""

    decision: str
    permitted: bool
    would_change: Sequence[str]


Paper = Referral | Appointment


class Consents(Protocol):
    """The decision point. Raises PeerUnavailable."""

    async def may_read(
        self, call: Call, papers: Sequence[Paper], method: str, context: AccessContext | None = None
    ) -> Mapping[UUID, Ruling]:
        """Whether the caller may read papers of one kind, by person: one decision for all papers of a person. Without a context it is that of the
        RPC itself: the law that a facility treats or has issued the paper, or the person's own request. `method` is the RPC that is answered."""


@dataclass(frozen=True)
class AccessContext:
    """Why a read is made: enum numbers of `lienthong.type.v1`, passed on as they came."""

    purpose: int
    legal_basis: int
    reason: str
