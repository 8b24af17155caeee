"""What a format adapter gives to the rest of records: facts, findings and the one error, none of them bound to a
format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Protocol

from services.chassis.errors import FieldViolation, InvalidArgument
from services.records.formats.health_book import HealthBookEntry


class ContentKind(Enum):
    """Kind of content; the names are those of `lienthong.type.v1.DocumentKind` without its prefix."""

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


class IdentifierType(Enum):
    """Register of an identifier; the names are those of `lienthong.type.v1.IdentifierType`, plus UNKNOWN for what fits
    none.
    """

    CITIZEN_ID = "CITIZEN_ID"
    OLD_ID = "OLD_ID"
    PASSPORT = "PASSPORT"
    HEALTH_INSURANCE = "HEALTH_INSURANCE"
    SOCIAL_INSURANCE = "SOCIAL_INSURANCE"
    LOCAL_MRN = "LOCAL_MRN"
    TEMPORARY = "TEMPORARY"
    UNKNOWN = "UNKNOWN"


class Precision(Enum):
    """How much of a partial date is known."""

    YEAR = "YEAR"
    MONTH = "MONTH"
    DAY = "DAY"
    MINUTE = "MINUTE"


class AreaEra(Enum):
    """List of provinces a code belongs to: 63 until 2025-06-30, 34 from 2025-07-01 (Resolution 202/2025/QH15)."""

    PROVINCES_63 = "PROVINCES_63"
    PROVINCES_34 = "PROVINCES_34"


class Severity(Enum):
    """Weight of a finding; none of them refuses a document."""

    INFORMATION = "INFORMATION"
    WARNING = "WARNING"


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A date of which the tail may be unknown: `value` is yyyymmdd or yyyymmddHHMM with zeros for the unknown parts."""

    value: str
    precision: Precision

    @property
    def year(self) -> int:
        """Four-digit year, never 0."""
        return int(self.value[:4])

    @property
    def month(self) -> int:
        """1-12, or 0 for unknown."""
        return int(self.value[4:6])

    @property
    def day(self) -> int:
        """1-31, or 0 for unknown."""
        return int(self.value[6:8])


@dataclass(frozen=True, slots=True, repr=False)
class IdentifierFact:
    """An identifier as typed by the adapter; `raw` is the field's text, `assigner` the facility code of a LOCAL_MRN or TEMPORARY."""

    type: IdentifierType
    value: str
    raw: str
    assigner: str = ""

    def __repr__(self) -> str:
        return f"IdentifierFact({self.type.value})"


@dataclass(frozen=True, slots=True, repr=False)
class PatientFacts:
    """What the document says of its patient. The repr tells nothing, so that no log can."""

    full_name: str
    birth: PartialDate | None
    sex: str
    identifiers: tuple[IdentifierFact, ...]
    address: str = ""
    province_code: str = ""
    province_era: AreaEra = AreaEra.PROVINCES_63
    ward_code: str = ""
    phone: str = ""
    nationality: str = ""

    def __repr__(self) -> str:
        return "PatientFacts(...)"


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """A fault that does not make the document unusable. `row` counts from 1; 0 is the table itself. Holds no value of
    the field.
    """

    table: str
    row: int
    field: str
    rule: str
    reason: str
    severity: Severity


@dataclass(frozen=True, slots=True, repr=False)
class ReferralSlip:
    """A referral paper (XML13), whichever version named the fields; `signed_on` is the day of discharge in Viet Nam."""

    number: str
    target_facility: str
    previous_facilities: tuple[str, ...]
    reason_code: str
    signed_on: date
    main_diagnosis: str = ""
    secondary_diagnoses: tuple[str, ...] = ()
    diagnosis_text: str = ""
    clinical_signs: str = ""
    course: str = ""
    results: str = ""
    treatment: str = ""
    plan: str = ""
    transport: str = ""
    escort: str = ""

    def __repr__(self) -> str:
        return f"ReferralSlip(target_facility={self.target_facility!r})"


@dataclass(frozen=True, slots=True)
class FollowUpSlip:
    """A follow-up slip (XML14): `SO_GIAYHEN_KL` and the appointed day in Viet Nam."""

    number: str
    appointed_on: date


@dataclass(frozen=True, slots=True, repr=False)
class SignablePart:
    """A part that can be signed by itself, with its exact decoded bytes. `enveloped` says that it carries a signature of
    its own.
    """

    name: str
    content: bytes
    enveloped: bool

    def __repr__(self) -> str:
        return f"SignablePart({self.name!r}, {len(self.content)} bytes)"


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A readable document. Times are aware and UTC; None where the document gives none that can be read. `signed` says
    that it carries a signature inside; `parts` are those that can be signed by themselves. `diagnosis_codes` are all ICD-10 codes anywhere in it.
    """

    format: str
    version: str
    facility: str
    episode_key: str
    admitted: datetime | None
    discharged: datetime | None
    kinds: tuple[ContentKind, ...]
    patient: PatientFacts
    findings: tuple[QualityFinding, ...] = ()
    referral: ReferralSlip | None = None
    follow_up: FollowUpSlip | None = None
    health_book_entry: HealthBookEntry | None = field(default=None, repr=False)
    signed: bool = False
    parts: tuple[SignablePart, ...] = ()
    diagnosis_codes: frozenset[str] = field(default=frozenset(), repr=False)


class DocumentUnusable(InvalidArgument):
    """The document cannot be read or not be trusted to mean one thing; `rejection` is the stable reason, `field` where
    it lies.

    The text names places and limits only, never content.
    """

    reason = "DOCUMENT_REJECTED"

    def __init__(self, rejection: str, field: str, description: str) -> None:
        super().__init__(
            f"{field}: {description}",
            metadata={"rejection": rejection},
            violations=(FieldViolation(field=field, description=description, reason=rejection),),
        )
        self.rejection = rejection
        self.field = field
        self.description = description

    def __reduce__(self) -> tuple[type[DocumentUnusable], tuple[str, str, str]]:
        # An exception with its own signature needs this to come back from a worker process.
        return type(self), (self.rejection, self.field, self.description)


class DocumentFormat(Protocol):
    """One format that documents may arrive in."""

    @property
    def name(self) -> str:
        """Name as in `lienthong.records.v1.DocumentFormat`, such as `XML130`."""
        ...

    def sniff(self, content: bytes) -> bool:
        """Tell from the first bytes whether the content looks like this format; cheap, no promise that it parses."""
        ...

    def parse(self, content: bytes) -> ParsedDocument:
        """Read and check. Raises DocumentUnusable; every lesser fault is a finding. CPU only: run it off the event
        loop.
        """
        ...


def format_of(content: bytes, formats: Sequence[DocumentFormat]) -> DocumentFormat | None:
    """Return the first format that recognises the content."""
    return next((candidate for candidate in formats if candidate.sniff(content)), None)
