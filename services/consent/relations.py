"""Facts that show that a facility treats a person, as the roles that know them tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from services.consent.model import Period

CHECK_IN_HOLDS = timedelta(hours=24)
"""For how long a check-in shows treatment, at the most."""
LONGEST = timedelta(days=400)
"""A referral for the diseases of annex III is valid for a year (TT 01/2025/TT-BYT art. 12.1); no fact holds for longer."""
COLLECTIONS = {"REFERRAL": "referrals", "APPOINTMENT": "appointments", "CHECK_IN": "checkIns"}
"""Types of facts, with the collection of the resource that shows each."""
TELLERS = {"REFERRAL": "referrals", "APPOINTMENT": "referrals", "CHECK_IN": "identity"}
"""The role that tells each type; nobody else may."""


@dataclass(frozen=True)
class TreatmentRelation:
    """One fact: `resource` shows that the facility `organization` treats the person during `period`, as was known at `recorded_at`."""

    person: UUID
    resource: str
    type: str
    organization: str
    period: Period
    recorded_at: datetime

    @property
    def longest(self) -> timedelta:
        """For how long a fact of this type may hold."""
        return CHECK_IN_HOLDS if self.type == "CHECK_IN" else LONGEST


class RelationStore(Protocol):
    """Where they are kept."""

    async def record_relations(self, relations: Sequence[TreatmentRelation]) -> None:
        """Keeps them; of one resource what was recorded last counts, in whatever order it comes."""
