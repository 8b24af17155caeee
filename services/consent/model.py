"""Consents, requests, decisions and ledger lines. Everything that depends on time is computed at the time asked for, never by a timer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

DECISION_LIFE = timedelta(seconds=30)
"""How long a decision may be used for the one read it was made for."""
REQUEST_LIFE = timedelta(minutes=10)
"""How long a person has to answer a consent request."""
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=365)
NO_HASH = bytes(32)
"""What stands for the line before the first."""


class Purpose(Enum):
    """Purpose of use (HL7 v3 PurposeOfUse)."""

    TREATMENT = "TREATMENT"
    EMERGENCY_TREATMENT = "EMERGENCY_TREATMENT"
    PATIENT_REQUEST = "PATIENT_REQUEST"
    PAYMENT = "PAYMENT"
    PUBLIC_HEALTH = "PUBLIC_HEALTH"
    OPERATIONS = "OPERATIONS"


class Basis(Enum):
    """Legal basis (Law 91/2025/QH15 art. 9, 19.1, 26.2)."""

    CONSENT = "CONSENT"
    EMERGENCY_19_1_A = "EMERGENCY_19_1_A"
    PUBLIC_EMERGENCY_19_1_B = "PUBLIC_EMERGENCY_19_1_B"
    STATE_19_1_C = "STATE_19_1_C"
    CONTRACT_19_1_D = "CONTRACT_19_1_D"
    LAW_19_1_DD = "LAW_19_1_DD"
    OWN_DATA = "OWN_DATA"


class Kind(Enum):
    """Kinds of content, as `lienthong.type.v1.DocumentKind`."""

    CHECK_IN = "CHECK_IN"
    ENCOUNTER_SUMMARY = "ENCOUNTER_SUMMARY"
    PRESCRIPTION = "PRESCRIPTION"
    SERVICE = "SERVICE"
    DIAGNOSTIC_REPORT = "DIAGNOSTIC_REPORT"
    CLINICAL_COURSE = "CLINICAL_COURSE"
    HIV_CARE = "HIV_CARE"
    DISCHARGE_PAPER = "DISCHARGE_PAPER"
    RECORD_SUMMARY = "RECORD_SUMMARY"
    BIRTH_CERTIFICATE = "BIRTH_CERTIFICATE"
    PREGNANCY_LEAVE = "PREGNANCY_LEAVE"
    SICK_LEAVE = "SICK_LEAVE"
    MEDICAL_ASSESSMENT = "MEDICAL_ASSESSMENT"
    REFERRAL = "REFERRAL"
    FOLLOW_UP = "FOLLOW_UP"
    TUBERCULOSIS_CARE = "TUBERCULOSIS_CARE"


SENSITIVE = frozenset({Kind.HIV_CARE})
"""Kinds that need a consent which names them and names one facility (Law 71/2020 art. 30)."""


@dataclass(frozen=True)
class Period:
    """Half-open span; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def meet(self, other: Period) -> Period | None:
        """The common part, or None."""
        starts = [at for at in (self.start, other.start) if at is not None]
        ends = [at for at in (self.end, other.end) if at is not None]
        both = Period(max(starts, default=None), min(ends, default=None))
        empty = both.start is not None and both.end is not None and both.start >= both.end
        return None if empty else both


ALWAYS = Period()


@dataclass(frozen=True)
class Terms:
    """What is agreed. `organization` is a facility code; None stands for every facility with proof of treatment."""

    purpose: Purpose
    kinds: frozenset[Kind]
    data_period: Period
    duration: timedelta
    organization: str | None


class Channel(Enum):
    """How the person expressed the will."""

    NATIONAL_ID_APP = "NATIONAL_ID_APP"
    DIRECT = "DIRECT"


@dataclass(frozen=True)
class Evidence:
    """Proof of the expression of will. `assertion` is the signed assertion of the app, empty for DIRECT; it is kept encrypted."""

    channel: Channel
    text_version: str
    text_sha256: str
    assertion: str = field(default="", repr=False)
    acr: str = ""

    @property
    def assertion_sha256(self) -> str:
        """Hex SHA-256 of the assertion, empty when there is none."""
        return hashlib.sha256(self.assertion.encode()).hexdigest() if self.assertion else ""


class ConsentState(Enum):
    """State at a given time."""

    ACTIVE = "ACTIVE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True)
class Consent:
    """One expression of will with its events folded in."""

    id: UUID
    person: UUID
    terms: Terms
    evidence: Evidence
    granted_at: datetime
    revoked_at: datetime | None = None
    request: UUID | None = None

    @property
    def expires_at(self) -> datetime:
        """When reading ends."""
        return self.granted_at + self.terms.duration

    def state(self, at: datetime) -> ConsentState:
        """REVOKED outranks EXPIRED; the last instant before `expires_at` is still ACTIVE."""
        if self.revoked_at is not None and at >= self.revoked_at:
            return ConsentState.REVOKED
        return ConsentState.ACTIVE if at < self.expires_at else ConsentState.EXPIRED

    @property
    def etag(self) -> str:
        """Changes with every event."""
        return "revoked" if self.revoked_at else "granted"


class RequestState(Enum):
    """Where a request stands."""

    PENDING = "PENDING"
    GRANTED = "GRANTED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True)
class ConsentRequest:
    """A facility asks a person. `app_request` is the national ID app's handle (CIBA auth_req_id), a secret."""

    id: UUID
    person: UUID
    organization: str
    terms: Terms
    binding_message: str
    created_at: datetime
    expires_at: datetime
    app_request: str = field(default="", repr=False)
    answer: RequestState | None = None
    consent: UUID | None = None

    def state(self, at: datetime) -> RequestState:
        """The answer, or PENDING until `expires_at`."""
        if self.answer is not None:
            return self.answer
        return RequestState.PENDING if at < self.expires_at else RequestState.EXPIRED


class Effect(Enum):
    """Outcome of a rule or of a decision."""

    PERMIT = "PERMIT"
    DENY = "DENY"
    NOT_APPLICABLE = "NOT_APPLICABLE"


@dataclass(frozen=True)
class Requester:
    """Who asks: principal kind, facility code, practice licence and, for a citizen, the own person id."""

    kind: str
    organization: str | None = None
    licence: str | None = None
    person: UUID | None = None


@dataclass(frozen=True)
class TreatmentEvidence:
    """A fact that the asking role has verified: REFERRAL, APPOINTMENT or OWN_DOCUMENT, with the resource that shows it."""

    type: str
    resource: str


@dataclass(frozen=True)
class Query:
    """May the requester see these kinds of this person, for this purpose, on this ground?"""

    person: UUID
    purpose: Purpose
    basis: Basis
    kinds: frozenset[Kind]
    period: Period
    method: str
    resources: Sequence[str] = ()
    evidence: Sequence[TreatmentEvidence] = ()
    reason: str = ""


@dataclass(frozen=True)
class Permission:
    """A part that may be read."""

    kinds: frozenset[Kind]
    period: Period
    consent: UUID | None = None


@dataclass(frozen=True)
class RuleResult:
    """What one rule said, and the facts it lacked."""

    rule: str
    effect: Effect
    article: str
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Change:
    """What would turn a refusal into a permission."""

    code: str
    description: str


@dataclass(frozen=True)
class Ruling:
    """The pure result of the policy for one query."""

    effect: Effect
    permissions: Sequence[Permission]
    withheld: Sequence[tuple[Kind, str]]
    rules: Sequence[RuleResult]
    would_change: Sequence[Change]
    policy_version: str


@dataclass(frozen=True)
class Decision:
    """A ruling as it was given out, with the ledger line it made."""

    id: UUID
    query: Query
    requester: Requester
    ruling: Ruling
    access: UUID
    decided_at: datetime

    @property
    def expires_at(self) -> datetime:
        """When it can no longer be used."""
        return self.decided_at + DECISION_LIFE


@dataclass(frozen=True)
class Access:
    """One line of a person's ledger. The hash covers every field and the hash before, so a missing or altered line shows."""

    id: UUID
    person: UUID
    sequence: int
    at: datetime
    organization: str
    licence: str
    principal_kind: str
    purpose: Purpose
    basis: Basis
    kinds: Sequence[Kind]
    method: str
    decision: UUID
    effect: Effect
    trace_id: str
    previous_hash: bytes

    def canonical(self) -> bytes:
        """The bytes that are hashed: JSON with sorted names, no spaces, times in microseconds UTC."""
        fields = asdict(self) | {
            "id": str(self.id),
            "person": str(self.person),
            "at": self.at.isoformat(timespec="microseconds"),
            "purpose": self.purpose.value,
            "basis": self.basis.value,
            "kinds": sorted(kind.value for kind in self.kinds),
            "decision": str(self.decision),
            "effect": self.effect.value,
            "previous_hash": self.previous_hash.hex(),
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    @property
    def hash(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes."""
        return hashlib.sha256(self.canonical()).digest()
