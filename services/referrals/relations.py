"""Which facility treats a person, and while it does, as referrals and appointments show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from uuid import UUID

from services.referrals.model import Appointment, Referral

TOPIC = "treatment_relations"
"""Topic of the outbox. A message names a referral or an appointment; what is told is how it stands when it is delivered."""
VIETNAM = timezone(timedelta(hours=7))
"""Indochina Time; Viet Nam keeps no summer time. Days of papers are days there."""
EPISODE = timedelta(days=30)
"""A referral that runs out during an episode holds until the episode ends (TT 01/2025/TT-BYT art. 12). Nobody tells when it ends; for so long
after the arrival it is taken to last, and a stay that lasts longer is shown by documents and check-ins of the facility."""


@dataclass(frozen=True)
class Relation:
    """A fact of treatment from `starts` until before `ends`, as it was known at `recorded`. `resource` is a referral's or appointment's name."""

    type: str
    resource: str
    person: UUID
    organization: str
    starts: datetime
    ends: datetime
    recorded: datetime


def of_referral(paper: Referral) -> Relation:
    """The target facility treats the person from when the paper came until its last valid day, or until the episode ends that began in time."""
    ends = _begin(paper.valid_through + timedelta(days=1))
    if paper.arrived_at is not None:
        ends = max(ends, paper.arrived_at + EPISODE)
    recorded = max(at for at in (paper.created_at, paper.accepted_at, paper.arrived_at) if at is not None)
    # A paper that came after it had run out shows nothing: it holds for no time.
    return Relation(
        "REFERRAL",
        f"referrals/{paper.id}",
        paper.person,
        paper.target,
        paper.created_at,
        max(ends, paper.created_at),
        recorded,
    )


def of_appointment(slip: Appointment) -> Relation:
    """The facility treats the person on the day of the appointment, and on no other: the law names no days of grace (TT 01/2025/TT-BYT art. 11)."""
    return Relation(
        "APPOINTMENT",
        f"appointments/{slip.id}",
        slip.person,
        slip.organization,
        _begin(slip.day),
        _begin(slip.day + timedelta(days=1)),
        slip.created_at,
    )


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), VIETNAM)
