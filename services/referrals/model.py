"""Referrals and appointments with their state machines (TT 01/2025/TT-BYT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import Enum
from uuid import UUID

from services.referrals.errors import EtagMismatch, NotTargetFacility, ReferralExpired, ReferralStateWrong

WORKING_DAYS_VALID = 10
"""A referral paper is valid for 10 working days from signing (TT 01/2025/TT-BYT art. 12.1)."""


class ReferralState(Enum):
    """Life of a referral; EXPIRED is computed, never stored."""

    SENT = "SENT"
    ACCEPTED = "ACCEPTED"
    ARRIVED = "ARRIVED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True)
class Step:
    """Who changes a referral and when: facility code, idempotency key (AIP-155), the etag last seen or empty, instant and Vietnamese day."""

    facility: str
    request: str
    etag: str
    at: datetime
    today: date


@dataclass(frozen=True)
class Content:
    """Clinical text of XML13; kept encrypted and given out only on a decision."""

    main_diagnosis: str = ""
    secondary_diagnoses: Sequence[str] = ()
    diagnosis_text: str = ""
    clinical_signs: str = ""
    course: str = ""
    results: str = ""
    treatment: str = ""
    plan: str = ""
    transport: str = ""
    escort: str = ""


@dataclass(frozen=True)
class Referral:
    """A referral paper. Facilities are 5-character codes; `previous` is the chain before the source, oldest first."""

    id: UUID
    number: str
    person: UUID
    document: UUID
    source: str
    target: str
    previous: Sequence[str]
    reason_code: str
    signed_on: date
    valid_through: date
    created_at: datetime
    content: Content = field(repr=False)
    accepted_at: datetime | None = None
    arrived_at: datetime | None = None
    accept_request: str = ""
    arrive_request: str = ""

    def state(self, today: date) -> ReferralState:
        """State on a day of Vietnamese time; the last valid day still counts."""
        if self.arrived_at is not None:
            return ReferralState.ARRIVED
        if today > self.valid_through:
            return ReferralState.EXPIRED
        return ReferralState.ACCEPTED if self.accepted_at is not None else ReferralState.SENT

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return f"{int(self.accepted_at is not None)}{int(self.arrived_at is not None)}"

    def accept(self, step: Step) -> Referral:
        """Accepted by the target facility; only from SENT. The same request again changes nothing."""
        if step.facility == self.target and step.request == self.accept_request:
            return self
        self._may(step, {ReferralState.SENT})
        return replace(self, accepted_at=step.at, accept_request=step.request)

    def arrive(self, step: Step) -> Referral:
        """The person arrived; a referral that nobody accepted beforehand is accepted by the arrival. The same request again changes nothing."""
        if step.facility == self.target and step.request == self.arrive_request:
            return self
        self._may(step, {ReferralState.SENT, ReferralState.ACCEPTED})
        return replace(self, accepted_at=self.accepted_at or step.at, arrived_at=step.at, arrive_request=step.request)

    def _may(self, step: Step, states: set[ReferralState]) -> None:
        if step.facility != self.target:
            raise NotTargetFacility("only the target facility may do this")
        if step.etag and step.etag != self.etag:
            raise EtagMismatch("the referral has changed; read it again")
        state = self.state(step.today)
        if state is ReferralState.EXPIRED:
            raise ReferralExpired(
                "the referral's validity ran out", metadata={"valid_through": self.valid_through.isoformat()}
            )
        if state not in states:
            allowed = {ReferralState.SENT: "accept,registerArrival", ReferralState.ACCEPTED: "registerArrival"}.get(
                state, ""
            )
            raise ReferralStateWrong(
                "the state does not allow this", metadata={"state": state.value, "allowed_actions": allowed}
            )


class AppointmentState(Enum):
    """Life of a follow-up slip."""

    ISSUED = "ISSUED"
    USED = "USED"


@dataclass(frozen=True)
class Appointment:
    """A follow-up appointment from XML14: single use, at the facility that issued it."""

    id: UUID
    number: str
    person: UUID
    document: UUID
    organization: str
    day: date
    created_at: datetime
    state: AppointmentState = AppointmentState.ISSUED

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return self.state.value.lower()


@dataclass(frozen=True)
class Slip:
    """A paper to import, with the event that carries it."""

    event: UUID
    paper: Referral | Appointment


def valid_through(signed_on: date, holidays: frozenset[date]) -> date:
    """Last day of validity: the tenth working day after signing; Saturdays, Sundays and public holidays do not count."""
    day, left = signed_on, WORKING_DAYS_VALID
    while left:
        day += timedelta(days=1)
        if day.weekday() < 5 and day not in holidays:
            left -= 1
    return day
