"""Facilities and practitioners: values, states, invariants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from uuid import UUID

from services.identity.model import Area

MAX_DEPTH = 8
"""Facilities from a root of the hierarchy down to its deepest leaf, both counted."""


class CareLevel(Enum):
    """Professional level of a facility (Law 15/2023, TT 01/2025/TT-BYT)."""

    INITIAL = "INITIAL"
    BASIC = "BASIC"
    SPECIALISED = "SPECIALISED"


class OrganizationState(Enum):
    """Whether a facility may take part."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


@dataclass(frozen=True)
class Organization:
    """A health facility; `code` and `parent` are MA_CSKCB codes of 5 characters, `capabilities` codes in order. `suspension_reason` is a code, empty
    unless it is suspended and one was given.
    """

    code: str
    display_name: str
    care_level: CareLevel
    province: Area
    parent: str | None
    state: OrganizationState
    created_at: datetime
    version: int = 1
    capabilities: tuple[str, ...] = ()
    contact: str = field(default="", repr=False)
    suspension_reason: str = ""

    @property
    def name(self) -> str:
        """Resource name."""
        return f"organizations/{self.code}"

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return f'"{self.version}"'

    def content(self) -> Mapping[str, object]:
        """What describes the facility, by the name of the field; what became of it is left out."""
        return {
            "display_name": self.display_name,
            "care_level": self.care_level,
            "province": self.province,
            "parent": self.parent,
            "capabilities": self.capabilities,
            "contact": self.contact,
        }

    def same_content(self, other: Organization) -> bool:
        """True when both describe the facility alike, whatever became of it since."""
        return self.code == other.code and self.content() == other.content()


class RegistryEventKind(Enum):
    """What became of a facility or a practitioner."""

    REGISTERED = "REGISTERED"
    CHANGED = "CHANGED"
    SUSPENDED = "SUSPENDED"
    REINSTATED = "REINSTATED"


@dataclass(frozen=True)
class RegistryEvent:
    """A line of a history, only ever added; `subject` is a resource name. `detail` holds codes: the reason of a suspension, the names of the fields
    that changed.
    """

    subject: str
    id: UUID
    kind: RegistryEventKind
    at: datetime
    actor: str
    detail: Mapping[str, str]


@dataclass(frozen=True)
class OrganizationFilter:
    """Which facilities are wanted; None and empty: all. `ancestor` is a code, what belongs to it directly or not is wanted; `province_code` is of the
    list of 34.
    """

    level: CareLevel | None = None
    state: OrganizationState | None = None
    ancestor: str = ""
    capability: str = ""
    province_code: str = ""


PRACTITIONER_ROLES = frozenset({"doctor", "nurse", "pharmacist", "clerk"})


@dataclass(frozen=True)
class Practitioner:
    """A licensed health worker; `organizations` are facility codes, sorted. The licence holds from `licence_from` (None: since ever) until before
    `licence_until` (None: still).
    """

    id: UUID
    licence: str
    human_name: str = field(repr=False)
    organizations: tuple[str, ...]
    role: str
    created_at: datetime
    licence_from: datetime | None = None
    licence_until: datetime | None = None
    scope: str = ""
    version: int = 1

    @property
    def name(self) -> str:
        """Resource name."""
        return f"practitioners/{self.id}"

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return f'"{self.version}"'

    def licensed(self, at: datetime) -> bool:
        """True when the licence holds at a time."""
        return (self.licence_from is None or self.licence_from <= at) and (
            self.licence_until is None or at < self.licence_until
        )

    def content(self) -> Mapping[str, object]:
        """What describes the practitioner, by the name of the field."""
        return {
            "human_name": self.human_name,
            "organizations": self.organizations,
            "role": self.role,
            "licence_period": (self.licence_from, self.licence_until),
            "scope": self.scope,
        }

    def same_content(self, other: Practitioner) -> bool:
        """True when both describe the practitioner alike."""
        return self.licence == other.licence and self.content() == other.content()


class RegistryKind(Enum):
    """Which registry a line of their feed is of."""

    ORGANIZATION = "ORGANIZATION"
    LICENCE = "LICENCE"


RegistryKey = tuple[RegistryKind, str]
"""A facility by its code or a licence by its number."""


@dataclass(frozen=True)
class RegistryPlace:
    """A place in the feed of the registries: told is all of transactions below `xid`, and of that one the facilities, then the licences, up to
    this one. The empty key comes before all."""

    xid: int = 0
    kind: RegistryKind = RegistryKind.ORGANIZATION
    key: str = ""


@dataclass(frozen=True)
class RegistryLine:
    """A facility or a licence as it stands: `state` and `care_level` are of a facility, all the others of a licence."""

    kind: RegistryKind
    key: str
    at: datetime
    state: OrganizationState = OrganizationState.ACTIVE
    care_level: CareLevel = CareLevel.BASIC
    role: str = ""
    scope: str = ""
    licence_from: datetime | None = None
    licence_until: datetime | None = None
    organizations: tuple[str, ...] = ()
