"""All that a decision rests on. Kept whole with the decision, so that it can be replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from services.consent.model import ALWAYS, Consent, Period, Purpose, Query, Requester, TreatmentEvidence


@dataclass(frozen=True)
class Relation:
    """A fact that shows that a facility treats a person, and while it does."""

    evidence: TreatmentEvidence
    period: Period = ALWAYS


@dataclass(frozen=True)
class Registry:
    """What the registries say of the requester. None is not known. `heard_at` is when the feed was last heard; None is never."""

    heard_at: datetime | None = None
    organization_active: bool | None = None
    care_level: str | None = None
    licence_role: str | None = None
    licence_period: Period | None = None
    licence_organizations: frozenset[str] = frozenset()

    def silence(self, at: datetime) -> timedelta | None:
        """For how long the feed has been silent; None for ever."""
        return None if self.heard_at is None else at - self.heard_at


class RestrictionKind(Enum):
    """Rights of the data subject that stop reading (Law 91/2025/QH15 art. 4)."""

    RESTRICT = "RESTRICT"
    OBJECT = "OBJECT"


@dataclass(frozen=True)
class Restriction:
    """One that is in force. `purpose` is what is objected to."""

    kind: RestrictionKind
    purpose: Purpose | None = None


@dataclass(frozen=True)
class EmergencyGrant:
    """An emergency access that this requester opened or confirmed and that nobody ended. Times are those of its events."""

    id: UUID
    opened_at: datetime
    confirmed_at: datetime | None = None
    widened_at: datetime | None = None
    life_saving: bool = False


@dataclass(frozen=True)
class Facts:
    """All that the rules may look at. `consents` are the person's consents, whatever their state, and `uses` how many reads each has been used
    for: in its interval, or in all where it has none. `guardians` are the person's guardians at the time. `relations` are those of the
    requesting facility, whatever their period; what the asking role has verified stands in the query.
    """

    query: Query
    requester: Requester
    at: datetime
    consents: Sequence[Consent] = ()
    uses: Mapping[UUID, int] = field(default_factory=dict)
    relations: Sequence[Relation] = ()
    emergency: EmergencyGrant | None = None
    registry: Registry = Registry()
    guardians: frozenset[UUID] = frozenset()
    restrictions: Sequence[Restriction] = ()
