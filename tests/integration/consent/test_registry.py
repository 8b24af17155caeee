"""What the registries of a real identity role say reaches the database that decisions rest on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from joserfc.jwk import ECKey
from lienthong.consent.v1 import decision_pb2
from lienthong.identity.v1 import (
    organization_service_pb2,
    organization_service_pb2_grpc,
    practitioner_pb2,
    practitioner_service_pb2,
    practitioner_service_pb2_grpc,
)
from lienthong.type.v1 import human_name_pb2, period_pb2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.principal import PrincipalKind
from services.chassis.settings import TelemetrySettings
from services.consent.__main__ import compose
from services.consent.ciba import CibaSettings
from services.consent.config import Settings
from services.consent.registry import heard_at
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.fixtures.person_index import PersonIndex
from tests.fixtures.tokens import LICENCE
from tests.integration.consent.test_flow import decide, grant, terms

NAME = "organizations/01001"


@dataclass
class Follower:
    """A consent role that follows, and its database."""

    consent: Running
    database: Database
    index: Running

    async def row(self, statement: str) -> tuple[object, ...] | None:
        """The one row of a statement."""

        async def work(connection: AsyncConnection) -> tuple[object, ...] | None:
            found = (await connection.execute(text(statement))).one_or_none()
            return None if found is None else tuple(found)

        return await self.database.read(work)

    async def suspend(self) -> str:
        """An administrator suspends the facility; returns its etag."""
        async with self.index.as_officer(PrincipalKind.ADMIN) as channel:
            stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
            found = await stub.GetOrganization(organization_service_pb2.GetOrganizationRequest(name=NAME), timeout=5)
            request = organization_service_pb2.SuspendOrganizationRequest(
                request_id=str(uuid4()), name=NAME, etag=found.organization.etag, reason="INSPECTION"
            )
            return str((await stub.SuspendOrganization(request, timeout=5)).organization.etag)

    async def reinstate(self, etag: str) -> None:
        """And takes that back."""
        async with self.index.as_officer(PrincipalKind.ADMIN) as channel:
            stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
            request = organization_service_pb2.ReinstateOrganizationRequest(
                request_id=str(uuid4()), name=NAME, etag=etag
            )
            await stub.ReinstateOrganization(request, timeout=5)

    async def until(self, statement: str, wanted: tuple[object, ...]) -> None:
        """Waits for a row to be so."""
        async with asyncio.timeout(10):
            while await self.row(statement) != wanted:
                await asyncio.sleep(0.02)


@pytest.fixture
async def following(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    person_index: PersonIndex,
) -> AsyncIterator[Follower]:
    key = tmp_path / "client.jwk"
    key.write_text(json.dumps(ECKey.generate_key("P-256").as_dict(private=True)), "utf-8")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(identities.issuer.jwks), "utf-8")
    settings = Settings(
        server=identities.server_settings("consent"),
        database=database_for("consent"),
        telemetry=TelemetrySettings(log_level="error"),
        ciba=CibaSettings("https://127.0.0.1:1", jwks, identities.pki.authority, "lienthong", key),
        keyring=keyring_file,
        identity_address=person_index.running.address,
        signing_address="127.0.0.1:1",
        records_address="127.0.0.1:1",
    )
    async with start_role("consent", compose, settings) as running, Database(settings.database) as database:
        yield Follower(running, database, person_index.running)


FACILITY = "SELECT state, care_level FROM registered_organization WHERE organization = '01001'"
DOCTOR = "SELECT role, scope, organizations, ends_at FROM registered_licence"
HEARD = "SELECT fresh_until FROM feed_cursor WHERE name = 'registry'"


async def test_a_facility_and_its_suspension_arrive(following: Follower) -> None:
    await following.until(FACILITY, ("ACTIVE", "BASIC"))
    etag = await following.suspend()
    await following.until(FACILITY, ("SUSPENDED", "BASIC"))
    await following.reinstate(etag)
    await following.until(FACILITY, ("ACTIVE", "BASIC"))


async def test_a_suspension_stops_reading_and_a_reinstatement_lets_it_go_on(
    following: Follower, person_index: PersonIndex
) -> None:
    person = await person_index.person("001185000001")
    await grant(following.consent, person, terms("01001"))

    async def until_decided(effect: int) -> decision_pb2.Decision:
        async with asyncio.timeout(10):
            while (decision := await decide(following.consent, person, "01001")).effect != effect:
                await asyncio.sleep(0.02)
        return decision

    await until_decided(decision_pb2.EFFECT_PERMIT)
    etag = await following.suspend()
    refused = await until_decided(decision_pb2.EFFECT_DENY)
    assert [change.code for change in refused.would_change] == ["REINSTATE_FACILITY"]
    await following.reinstate(etag)
    await until_decided(decision_pb2.EFFECT_PERMIT)


async def test_a_licence_arrives_and_its_end(following: Follower) -> None:
    wanted = practitioner_pb2.Practitioner(
        licence=LICENCE,
        human_name=human_name_pb2.HumanName(text="Trần Văn Bác Sĩ"),
        organizations=["organizations/01001"],
        role="doctor",
        scope="GENERAL",
    )
    async with following.index.as_officer(PrincipalKind.ADMIN) as channel:
        stub = practitioner_service_pb2_grpc.PractitionerServiceStub(channel)
        made = await stub.CreatePractitioner(
            practitioner_service_pb2.CreatePractitionerRequest(request_id=str(uuid4()), practitioner=wanted), timeout=5
        )
        await following.until(DOCTOR, ("doctor", "GENERAL", ["01001"], None))
        ended = made.practitioner
        ended.licence_period.CopyFrom(period_pb2.Period(end_time=Timestamp(seconds=1_700_000_000)))
        request = practitioner_service_pb2.UpdatePractitionerRequest(request_id=str(uuid4()), practitioner=ended)
        request.update_mask.paths.append("licence_period")
        await stub.UpdatePractitioner(request, timeout=5)
    end = Timestamp(seconds=1_700_000_000).ToDatetime(system_clock().tzinfo)
    await following.until(DOCTOR, ("doctor", "GENERAL", ["01001"], end))


async def test_hearing_nothing_new_is_hearing(following: Follower) -> None:
    await following.until(FACILITY, ("ACTIVE", "BASIC"))
    first = await following.row(HEARD)
    async with asyncio.timeout(10):
        while await following.row(HEARD) == first:
            await asyncio.sleep(0.02)
    (until,) = await following.row(HEARD) or (None,)
    heard = heard_at(until)  # type: ignore[arg-type] # a row of several types
    assert heard is not None
