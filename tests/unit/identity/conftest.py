"""The operations over the store in memory, with a frozen clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest

from services.chassis.clock import FrozenClock
from services.chassis.principal import Principal, PrincipalKind
from services.identity.model import Area, Era
from services.identity.registers import CareLevel, Organization, OrganizationState
from services.identity.service import (
    FilingService,
    IdentificationService,
    LinkService,
    Matcher,
    NewbornService,
    OrganizationImport,
    OrganizationService,
    PersonService,
    PopulationService,
    PractitionerService,
    ProposalService,
    ProvisionalService,
    UpdateService,
)
from tests.fakes.identity_memory import MemoryStore

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HOSPITAL = Principal(PrincipalKind.FACILITY, "system-01001", facility="01001")
CLINIC = Principal(PrincipalKind.PRACTITIONER, "staff-7", facility="79002", licence="000123/HCM-CCHN", role="doctor")
ADMIN = Principal(PrincipalKind.ADMIN, "admin-1")
STEWARD = Principal(PrincipalKind.STEWARD, "steward-1")
RECORDS = Principal(PrincipalKind.WORKLOAD, "records")


def facility(code: str) -> Organization:
    return Organization(
        code=code,
        display_name=f"Bệnh viện {code}",
        care_level=CareLevel.BASIC,
        province=Area(code[:2], Era.PROVINCES_63),
        parent=None,
        state=OrganizationState.ACTIVE,
        created_at=NOW,
    )


@dataclass
class Operations:
    """All operations over one store."""

    store: MemoryStore
    clock: FrozenClock
    persons: PersonService
    provisional: ProvisionalService
    newborns: NewbornService
    updates: UpdateService
    links: LinkService
    identification: IdentificationService
    filing: FilingService
    organizations: OrganizationService
    lists: OrganizationImport
    population: PopulationService
    proposals: ProposalService
    practitioners: PractitionerService


@pytest.fixture
async def operations() -> Operations:
    return await fresh_operations()


async def fresh_operations() -> Operations:
    """All operations over an empty store with two facilities."""
    store, clock, numbers = MemoryStore(), FrozenClock(NOW), count(1)

    def new_id() -> UUID:
        return UUID(int=next(numbers))

    links = LinkService(store, clock, new_id)
    made = Operations(
        store,
        clock,
        PersonService(store, clock, new_id),
        ProvisionalService(store, clock, new_id),
        NewbornService(store, clock, new_id),
        UpdateService(store, clock, new_id),
        links,
        IdentificationService(store, clock, new_id, links),
        FilingService(store, clock, new_id, links),
        OrganizationService(store, clock, new_id),
        OrganizationImport(store, clock, new_id),
        PopulationService(store, clock, new_id),
        ProposalService(store, clock, new_id, Matcher(clock)),
        PractitionerService(store, clock, new_id),
    )
    for code in ("01001", "79002"):
        await made.organizations.create(ADMIN, facility(code), f"setup-{code}", code.encode())
    return made
