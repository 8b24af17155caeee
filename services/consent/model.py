"""Consents, requests, decisions and ledger lines. Everything that depends on time is computed at the time asked for, never by a timer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property
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


class SensitivityClass(Enum):
    """Classes of care that need a permission of their own, as `lienthong.type.v1.SensitivityClass`."""

    HIV = "HIV"
    PSYCHIATRIC = "PSYCHIATRIC"
    REPRODUCTIVE = "REPRODUCTIVE"


SENSITIVE = frozenset({Kind.HIV_CARE})
"""Kinds that need a consent which names them and names one facility (Law 71/2020 art. 30)."""
CLASS_OF = {Kind.HIV_CARE: SensitivityClass.HIV}
"""Kinds that tell of a sensitive class whatever stands in them."""


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
class Frequency:
    """At most so many reads in any span of `interval`; None is for all time."""

    reads: int
    interval: timedelta | None = None


@dataclass(frozen=True)
class Terms:
    """What is agreed. `organization` is a facility code, with `licence` one practitioner there; None stands for every facility with proof of
    treatment, of `organization_class` (care level) where that is set. `erase_after` counts from the grant; None is when reading ends.
    `sources` are facility codes; none means every one.
    """

    purpose: Purpose
    kinds: frozenset[Kind]
    data_period: Period
    duration: timedelta
    organization: str | None
    licence: str | None = None
    organization_class: str | None = None
    erase_after: timedelta | None = None
    frequency: Frequency | None = None
    classes: frozenset[SensitivityClass] = frozenset()
    sources: tuple[str, ...] = ()


class Channel(Enum):
    """How the person expressed the will."""

    NATIONAL_ID_APP = "NATIONAL_ID_APP"
    DIRECT = "DIRECT"
    KIOSK_QR = "KIOSK_QR"
    SMS_CODE = "SMS_CODE"
    SIGNED_PAPER = "SIGNED_PAPER"


@dataclass(frozen=True)
class Evidence:
    """Proof of the expression of will. `assertion` is what is kept as evidence (the app's signed assertion; for a paper the hex SHA-256 of its
    scan, which lies elsewhere), empty for DIRECT; it is kept encrypted. `witness` is the licence of the practitioner who vouches for a signed paper.
    """

    channel: Channel
    text_version: str
    text_sha256: str
    assertion: str = field(default="", repr=False)
    acr: str = ""
    witness: str = ""

    @property
    def assertion_sha256(self) -> str:
        """Hex SHA-256 of the assertion or the scan, empty when there is none."""
        if self.channel is Channel.SIGNED_PAPER:
            return self.assertion
        return hashlib.sha256(self.assertion.encode()).hexdigest() if self.assertion else ""


class ConsentState(Enum):
    """State at a given time."""

    ACTIVE = "ACTIVE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    EXHAUSTED = "EXHAUSTED"
    AWAITING_AGREEMENT = "AWAITING_AGREEMENT"


class AgreementRole(Enum):
    """As who somebody agrees."""

    SELF = "SELF"
    GUARDIAN = "GUARDIAN"


@dataclass(frozen=True)
class Agreement:
    """One person's expression of will."""

    role: AgreementRole
    person: UUID
    at: datetime
    evidence: Evidence


ALONE = frozenset({AgreementRole.SELF})


@dataclass(frozen=True)
class Consent:
    """One expression of will with its events folded in. `evidence` and `granted_at` are those of the first agreement, given by `granted_by` as
    `granted_as`; `agreed` holds the others. `required` says whose agreement the law asks for. `ends_by` is a child's birthday, from which on others
    must agree. `revoked_by` is who withdrew it, where it was not the person. `source` is the facility whose documents are meant, None for every one.
    """

    id: UUID
    person: UUID
    terms: Terms
    evidence: Evidence
    granted_at: datetime
    revoked_at: datetime | None = None
    request: UUID | None = None
    source: str | None = None
    required: frozenset[AgreementRole] = ALONE
    granted_as: AgreementRole = AgreementRole.SELF
    granted_by: UUID | None = None
    agreed: tuple[Agreement, ...] = ()
    ends_by: datetime | None = None
    revoked_by: UUID | None = None

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """All of them, the first first."""
        return (
            Agreement(self.granted_as, self.granted_by or self.person, self.granted_at, self.evidence),
            *self.agreed,
        )

    @property
    def effective_at(self) -> datetime | None:
        """When the last agreement that is required was given; None while one is awaited."""
        given = {one.role: one.at for one in reversed(self.agreements)}
        return max(given[role] for role in self.required) if self.required <= given.keys() else None

    @property
    def guardian(self) -> UUID | None:
        """Who agreed as guardian, if anybody did."""
        return next((one.person for one in self.agreements if one.role is AgreementRole.GUARDIAN), None)

    @property
    def expires_at(self) -> datetime:
        """When reading ends; while an agreement is awaited, when it would if it were given with the grant."""
        end = (self.effective_at or self.granted_at) + self.terms.duration
        return end if self.ends_by is None else min(end, self.ends_by)

    @property
    def erase_at(self) -> datetime:
        """When recipients must have erased what they were given; a withdrawal brings it forward to itself."""
        after = self.terms.erase_after
        planned = self.expires_at if after is None else max(self.granted_at + after, self.expires_at)
        return planned if self.revoked_at is None else min(planned, self.revoked_at)

    def state(self, at: datetime, uses: int = 0) -> ConsentState:
        """REVOKED outranks EXPIRED, and that the rest; the last instant before `expires_at` is still ACTIVE. `uses` are the reads made in all;
        who used them up in an interval only is ACTIVE and may read again later.
        """
        if self.revoked_at is not None and at >= self.revoked_at:
            return ConsentState.REVOKED
        if at >= self.expires_at:
            return ConsentState.EXPIRED
        if self.effective_at is None or at < self.effective_at:
            return ConsentState.AWAITING_AGREEMENT
        limit = self.terms.frequency
        used_up = limit is not None and limit.interval is None and uses >= limit.reads
        return ConsentState.EXHAUSTED if used_up else ConsentState.ACTIVE

    @property
    def etag(self) -> str:
        """Changes with every event."""
        return "revoked" if self.revoked_at else "granted" if not self.agreed else f"agreed-{len(self.agreed)}"


class RequestState(Enum):
    """Where a request stands."""

    PENDING = "PENDING"
    GRANTED = "GRANTED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True)
class ConsentRequest:
    """A facility asks a person, or the guardian `asked`. `app_request` is the national ID app's handle (CIBA auth_req_id), a secret. `required` and
    `ends_by` are those of a consent that comes of it; a request never outlasts `ends_by`, so that whose agreement is needed is settled when it is
    made. `code` is the keyed hash of the code that answers a request by KIOSK_QR or SMS_CODE.
    """

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
    channel: Channel = Channel.NATIONAL_ID_APP
    asked: UUID | None = None
    required: frozenset[AgreementRole] = ALONE
    ends_by: datetime | None = None
    code: bytes = field(default=b"", repr=False)

    @property
    def asked_as(self) -> AgreementRole:
        """As who the one answers who was asked."""
        return AgreementRole.SELF if self.asked is None else AgreementRole.GUARDIAN

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
    """Who asks: principal kind, facility code, practice licence and role as the token says them and, for a citizen, the own person id."""

    kind: str
    organization: str | None = None
    licence: str | None = None
    person: UUID | None = None
    role: str | None = None


@dataclass(frozen=True)
class TreatmentEvidence:
    """A fact that shows treatment, or another lawful interest, with the resource that shows it: REFERRAL, APPOINTMENT, CHECK_IN, OWN_DOCUMENT,
    OWN_REGISTRATION, REVIEW_TASK, PERSON_LINK.
    """

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
    classes: frozenset[SensitivityClass] = frozenset()
    source: str | None = None


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
    withheld_classes: Sequence[tuple[SensitivityClass, str]] = ()
    obligations: Sequence[str] = ()


LEDGER_FORM = 2
"""Version of a ledger line's canonical form. Form 1 had neither who acted, what was named, the emergency, nor sensitive classes."""


@dataclass(frozen=True)
class Access:
    """One line of a person's ledger. The hash covers every field and the hash before, so a missing or altered line shows. `acting_person` is the
    citizen who acted: the person or a guardian.
    """

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
    acting_person: UUID | None = None
    resources: Sequence[str] = ()
    emergency: UUID | None = None
    classes: Sequence[SensitivityClass] = ()
    form: int = LEDGER_FORM

    def canonical(self) -> bytes:
        """The bytes that are hashed: JSON with sorted names, no spaces, times in microseconds UTC."""
        fields: dict[str, object] = {
            "id": str(self.id),
            "person": str(self.person),
            "sequence": self.sequence,
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "organization": self.organization,
            "licence": self.licence,
            "principal_kind": self.principal_kind,
            "purpose": self.purpose.value,
            "basis": self.basis.value,
            "kinds": sorted(kind.value for kind in self.kinds),
            "method": self.method,
            "decision": str(self.decision),
            "effect": self.effect.value,
            "trace_id": self.trace_id,
            "previous_hash": self.previous_hash.hex(),
        }
        if self.form > 1:
            fields |= {
                "form": self.form,
                "acting_person": str(self.acting_person) if self.acting_person else "",
                "resources": list(self.resources),
                "emergency": str(self.emergency) if self.emergency else "",
                "classes": sorted(one.value for one in self.classes),
            }
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes."""
        return hashlib.sha256(self.canonical()).digest()
