"""Persons, organizations and practitioners: values, states, invariants. Personal values stay out of every `repr`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from uuid import UUID

from services.chassis.errors import FieldViolation, InvalidArgument


class PersonState(Enum):
    """Life of a person entry."""

    ACTIVE = "ACTIVE"
    PROVISIONAL = "PROVISIONAL"
    MERGED = "MERGED"


class IdentifierType(Enum):
    """Register an identifier belongs to."""

    CITIZEN_ID = "CITIZEN_ID"
    OLD_ID = "OLD_ID"
    PASSPORT = "PASSPORT"
    HEALTH_INSURANCE = "HEALTH_INSURANCE"
    SOCIAL_INSURANCE = "SOCIAL_INSURANCE"
    LOCAL_MRN = "LOCAL_MRN"
    TEMPORARY = "TEMPORARY"


FOUNDING = frozenset({IdentifierType.CITIZEN_ID, IdentifierType.PASSPORT, IdentifierType.SOCIAL_INSURANCE})
"""Key types that may found a person. An insurance card counts, because its last ten digits are the social-insurance
number; an old identity card does not, as the same nine digits were given out in several provinces.
"""
LOCAL = frozenset({IdentifierType.LOCAL_MRN, IdentifierType.TEMPORARY})
"""Types a facility gives out itself; only provisional persons are looked up by them."""
SHARED = frozenset({IdentifierType.OLD_ID})
"""Key types whose number may be held by several persons."""
SINGLE = frozenset({IdentifierType.CITIZEN_ID, IdentifierType.SOCIAL_INSURANCE})
"""Key types of which a living person holds one number at a time; a second one is a conflict, not an addition."""


class Assurance(Enum):
    """How an identifier became known, weakest first."""

    TYPED = "TYPED"
    CARD_CODE = "CARD_CODE"
    CHIP_OR_APP = "CHIP_OR_APP"
    REGISTRY = "REGISTRY"


class Sex(Enum):
    """Administrative sex (GIOI_TINH of QĐ 130)."""

    MALE = "MALE"
    FEMALE = "FEMALE"
    UNDETERMINED = "UNDETERMINED"


class Era(Enum):
    """List of provinces a code belongs to: the same digits mean another province in another era."""

    PROVINCES_63 = "PROVINCES_63"
    PROVINCES_34 = "PROVINCES_34"


@dataclass(frozen=True)
class Area:
    """A province in the code system of one era, and the ward within it in the list in force on `ward_date` (None: today)."""

    province_code: str
    era: Era
    ward_code: str | None = field(default=None, repr=False)
    ward_date: date | None = field(default=None, repr=False)


class DatePrecision(Enum):
    """How much of a date is known."""

    DAY = "DAY"
    MONTH = "MONTH"
    YEAR = "YEAR"


@dataclass(frozen=True)
class BirthDate:
    """A date of birth with its precision: month or day 0 means unknown; `estimated` marks a year worked out from an
    estimated age.
    """

    year: int
    month: int = 0
    day: int = 0
    estimated: bool = False

    def __post_init__(self) -> None:
        if not 1850 <= self.year <= 9999 or (self.day and not self.month):
            raise ValueError("not a date of birth")
        date(self.year, self.month or 1, self.day or 1)

    def __repr__(self) -> str:
        return f"BirthDate({self.precision.value})"

    @property
    def precision(self) -> DatePrecision:
        """How much is known."""
        if self.day:
            return DatePrecision.DAY
        return DatePrecision.MONTH if self.month else DatePrecision.YEAR

    @property
    def placeholder(self) -> bool:
        """True for 1 January, which is written for every unknown day and month."""
        return (self.month, self.day) == (1, 1)


@dataclass(frozen=True)
class Demographics:
    """What is known of a person beside identifiers, as it was written (NFC); absent values are None."""

    name: str | None = field(default=None, repr=False)
    birth: BirthDate | None = field(default=None, repr=False)
    sex: Sex | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    residence: Area | None = field(default=None, repr=False)
    mother_name: str | None = field(default=None, repr=False)
    nationality: str | None = field(default=None, repr=False)
    """ISO 3166 alpha-3."""


@dataclass(frozen=True)
class Identifier:
    """A typed number as it was sent."""

    type: IdentifierType
    value: str = field(repr=False)
    assigner: str = field(default="", repr=False)


@dataclass(frozen=True, order=True)
class IdentifierKey:
    """What an identifier is looked up by: its register and the canonical value. An insurance card has the key of its
    social-insurance number, and a twelve-digit number in an insurance field that of the citizen number, so that
    all spellings of one number meet.
    """

    kind: str
    value: str = field(repr=False)

    @property
    def type(self) -> IdentifierType:
        """The register."""
        return IdentifierType(self.kind)

    @property
    def exclusive(self) -> bool:
        """True when at most one person may hold it at a time."""
        return self.type not in SHARED


@dataclass(frozen=True)
class PersonIdentifier:
    """An identifier of a person, valid from `valid_from` until `valid_to` (None: still)."""

    identifier: Identifier
    key: IdentifierKey
    assurance: Assurance
    valid_from: datetime
    valid_to: datetime | None = None


class ProvisionalKind(Enum):
    """Why a person is provisional."""

    UNIDENTIFIED = "UNIDENTIFIED"
    EMERGENCY = "EMERGENCY"
    NEWBORN = "NEWBORN"


@dataclass(frozen=True)
class Provisional:
    """How a provisional person came to `facility`; it stays when the person is identified. `notice_due_at` is when the authority of the
    commune has to be told (None: not at all), `notice_at` when it was. `mother`, `birth_at` and `birth_order` (from 1) are those of a newborn.
    """

    facility: str
    kind: ProvisionalKind
    arrival_at: datetime
    alias: str = ""
    notice_due_at: datetime | None = None
    notice_at: datetime | None = None
    mother: UUID | None = None
    birth_at: datetime | None = field(default=None, repr=False)
    birth_order: int = 0


@dataclass(frozen=True)
class Person:
    """One entry of the index. `facility` is the registering facility of a provisional person, else None; `version`
    counts changes. A `protected` person is found by exact identifier only; `death` is since when the person is dead.
    """

    id: UUID
    state: PersonState
    demographics: Demographics
    identifiers: tuple[PersonIdentifier, ...]
    facility: str | None
    created_at: datetime
    version: int = 1
    provisional: Provisional | None = None
    protected: bool = False
    death: date | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.state is PersonState.PROVISIONAL) != (self.facility is not None):
            raise ValueError("a provisional person, and no other, has a registering facility")

    @property
    def name(self) -> str:
        """Resource name."""
        return f"persons/{self.id}"

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return f'"{self.version}"'

    def first(self, type: IdentifierType) -> PersonIdentifier | None:
        """The oldest active identifier of a type."""
        return next((held for held in self.identifiers if held.identifier.type is type and held.valid_to is None), None)


@dataclass(frozen=True)
class Statement:
    """What somebody said of a person at a time, as it was said; `actor` as in histories. Statements are only added."""

    id: UUID
    at: datetime
    demographics: Demographics
    assurance: Assurance
    actor: str


@dataclass(frozen=True)
class Holder:
    """A person found by keys: which of the asked keys it holds, and of which key types it holds any number at all.
    Of the keys found, `former` are the person's no longer. `current` answers for it, where it is linked.
    """

    person: UUID
    state: PersonState
    demographics: Demographics
    facility: str | None
    matched: frozenset[IdentifierKey]
    held: frozenset[IdentifierType]
    former: frozenset[IdentifierKey] = frozenset()
    protected: bool = False
    current: UUID | None = None

    def exclusive(self, keys: Collection[IdentifierKey]) -> bool:
        """True when one of the keys is this person's and at most one person's at a time."""
        return any(key.exclusive for key in (self.matched - self.former) & frozenset(keys))


@dataclass(frozen=True)
class WaitingCount:
    """How many provisional persons of a facility have been waiting for at least a day, a week, 30 days, and for how many an authority was to be
    told and was not.
    """

    facility: str
    day: int = 0
    week: int = 0
    month: int = 0
    notice: int = 0


class Agreement(Enum):
    """How one field compares."""

    AGREES = "AGREES"
    PARTIAL = "PARTIAL"
    DISAGREES = "DISAGREES"
    ABSENT = "ABSENT"


@dataclass(frozen=True)
class FieldEvidence:
    """The comparison of one field, named by its path in the query; never a value. `bits` is what it adds to a score, log2 of the likelihood
    ratio; 0 where no score was made.
    """

    field: str
    agreement: Agreement
    bits: float = 0.0


class Outcome(Enum):
    """Answer to a resolve query."""

    MATCH = "MATCH"
    REVIEW = "REVIEW"
    NONE = "NONE"


@dataclass(frozen=True)
class Query:
    """Asks who a person is. In an `emergency` nothing is matched by itself; `estimated_age` is in years, where no birth date is known."""

    identifiers: tuple[Identifier, ...]
    demographics: Demographics
    emergency: bool = False
    estimated_age: int | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Resolution:
    """Answer to one query; `person` is set on MATCH only, and answers for `entry`, the one that was found, and for the `superseded`. `score` is
    log2 of the odds of the best candidate where demographics were searched, `incomplete` when part of that search was left out for its size.
    """

    outcome: Outcome
    person: UUID | None = None
    evidence: tuple[FieldEvidence, ...] = ()
    ask_next: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    entry: UUID | None = None
    superseded: tuple[UUID, ...] = ()
    score: float | None = None
    incomplete: bool = False
    model_version: str = ""


class FilingOutcome(Enum):
    """How a source record was filed."""

    MATCHED = "MATCHED"
    REGISTERED = "REGISTERED"
    PROVISIONAL = "PROVISIONAL"
    REVIEW = "REVIEW"


@dataclass(frozen=True)
class SourceRecord:
    """What one document says about its patient."""

    facility: str
    local_mrn: str = field(repr=False)
    identifiers: tuple[Identifier, ...]
    demographics: Demographics
    faults: tuple[str, ...] = ()
    """Reason codes of what could not be read at all, such as an impossible date."""


@dataclass(frozen=True)
class FilingKey:
    """Names a source record: facility, patient number there, and the canonical bytes of what was said."""

    facility: str
    local_mrn: str = field(repr=False)
    said: bytes = field(repr=False)


@dataclass(frozen=True)
class Filing:
    """How a source record was filed, and under whom."""

    outcome: FilingOutcome
    person: UUID
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PersonEvent:
    """A line of a person's append-only history; `detail` holds codes, never a person's data."""

    person: UUID
    id: UUID
    kind: str
    at: datetime
    actor: str
    detail: Mapping[str, str]


def invalid(field: str, description: str, reason: str) -> InvalidArgument:
    """An InvalidArgument of one violation."""
    return InvalidArgument.of(FieldViolation(field, description, reason))
