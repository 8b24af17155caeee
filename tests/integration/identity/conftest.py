"""The identity role as a process would run it: its composition root, mTLS, PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from google.type import date_pb2
from lienthong.identity.v1 import (
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_pb2,
    person_service_pb2,
)
from lienthong.type.v1 import administrative_area_pb2, administrative_sex_pb2, human_name_pb2, identifier_pb2

from services.chassis.principal import PrincipalKind
from services.chassis.settings import TelemetrySettings
from services.identity.__main__ import compose
from services.identity.config import Settings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole

NAME = "Nguyễn Thị Hoà"
CITIZEN_ID = "001185012345"
PHONE = "0912345678"


def demographics(name: str = NAME, year: int = 1985, month: int = 3, day: int = 2) -> person_pb2.Demographics:
    return person_pb2.Demographics(
        human_name=human_name_pb2.HumanName(text=name),
        birth_date=date_pb2.Date(year=year, month=month, day=day),
        sex=administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE,
        phone=PHONE,
    )


def citizen_id(value: str = CITIZEN_ID) -> identifier_pb2.Identifier:
    return identifier_pb2.Identifier(type=identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID, value=value)


def registration(
    value: str = CITIZEN_ID, name: str = NAME, request_id: str = ""
) -> person_service_pb2.RegisterPersonRequest:
    return person_service_pb2.RegisterPersonRequest(
        request_id=request_id or str(uuid4()), identifiers=[citizen_id(value)], demographics=demographics(name)
    )


def organization(code: str) -> organization_pb2.Organization:
    return organization_pb2.Organization(
        code=code,
        display_name=f"Bệnh viện {code}",
        care_level=organization_pb2.CARE_LEVEL_BASIC,
        province=administrative_area_pb2.AdministrativeArea(
            province_code=code[:2], era=administrative_area_pb2.AREA_ERA_PROVINCES_63
        ),
    )


@pytest.fixture
def consent_address() -> str:
    """Nobody listens there; tests that read persons overrule it."""
    return "127.0.0.1:9"


@pytest.fixture
def settings(identities: Identities, database_for: DatabaseFor, keyring_file: Path, consent_address: str) -> Settings:
    return Settings(
        identities.server_settings("identity"),
        database_for("identity"),
        TelemetrySettings(),
        keyring_file,
        consent_address,
        "127.0.0.1:9",
    )


@pytest.fixture
async def identity(start_role: StartRole, settings: Settings) -> AsyncIterator[Running]:
    """The running role with two facilities."""
    async with start_role("identity", compose, settings) as running:
        async with running.as_officer(PrincipalKind.ADMIN) as channel:
            stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
            for code in ("01001", "79002"):
                await stub.CreateOrganization(
                    organization_service_pb2.CreateOrganizationRequest(
                        request_id=str(uuid4()), organization=organization(code)
                    ),
                    timeout=10,
                )
        yield running
