"""The feed of the registries over mTLS and PostgreSQL: every facility and licence as it stands, nothing missed, nobody named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.client.errors import from_rpc_error
from lienthong.identity.v1 import (
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    practitioner_pb2,
    practitioner_service_pb2,
    practitioner_service_pb2_grpc,
    registry_feed_service_pb2,
    registry_feed_service_pb2_grpc,
)
from lienthong.type.v1 import human_name_pb2, period_pb2
from sqlalchemy.engine import make_url

from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.paging import encode_token
from services.chassis.principal import PrincipalKind
from services.identity.config import FeedSettings, Settings
from services.identity.errors import CursorInvalid
from services.identity.postgres import PostgresRegistryPages
from services.identity.registers import RegistryPlace
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Running

pb = registry_feed_service_pb2
LICENCE = "000123/HNO-CCHN"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # Heartbeats are far apart: whatever is heard soon is heard because it happened.
    return replace(settings, feed=FeedSettings(heartbeat_seconds=30.0, poll_seconds=0.02))


@asynccontextmanager
async def watching(identity: Running, cursor: str = "", role: str = "consent") -> AsyncIterator[Any]:
    async with identity.as_role(role) as channel:
        call = registry_feed_service_pb2_grpc.RegistryFeedServiceStub(channel).WatchRegistry(
            pb.WatchRegistryRequest(cursor=cursor), timeout=60
        )
        try:
            yield call
        finally:
            call.cancel()


async def practitioner(identity: Running) -> str:
    """Registers one; returns the name."""
    wanted = practitioner_pb2.Practitioner(
        licence=LICENCE,
        human_name=human_name_pb2.HumanName(text="Trần Văn Bác Sĩ"),
        organizations=["organizations/01001"],
        role="doctor",
        licence_period=period_pb2.Period(start_time=Timestamp(seconds=1_600_000_000)),
        scope="GENERAL",
    )
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = practitioner_service_pb2_grpc.PractitionerServiceStub(channel)
        request = practitioner_service_pb2.CreatePractitionerRequest(request_id=str(uuid4()), practitioner=wanted)
        name: str = (await stub.CreatePractitioner(request, timeout=5)).practitioner.name
        return name


async def suspend(identity: Running) -> None:
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
        name = "organizations/01001"
        found = (
            await stub.GetOrganization(organization_service_pb2.GetOrganizationRequest(name=name), timeout=5)
        ).organization
        request = organization_service_pb2.SuspendOrganizationRequest(
            request_id=str(uuid4()), name=name, etag=found.etag, reason="INSPECTION"
        )
        await stub.SuspendOrganization(request, timeout=5)


async def test_facilities_and_licences_are_told_as_they_stand_and_again_when_they_change(identity: Running) -> None:
    async with asyncio.timeout(20), watching(identity) as watch:
        facility, other = (first := await watch.read()).organizations
        assert other.organization > facility.organization
        assert facility == pb.RegisteredOrganization(
            organization="organizations/01001",
            state=organization_pb2.ORGANIZATION_STATE_ACTIVE,
            care_level=facility.care_level,
        )
        assert not first.more
        assert first.HasField("change_time")
        await practitioner(identity)
        (licence,) = (second := await watch.read()).licences
        assert (licence.licence, licence.role, licence.scope) == (LICENCE, "doctor", "GENERAL")
        assert list(licence.organizations) == ["organizations/01001"]
        assert licence.licence_period.start_time.seconds == 1_600_000_000
        assert not licence.licence_period.HasField("end_time")
        assert "Sĩ".encode() not in second.SerializeToString()
        await suspend(identity)
        (facility,) = (third := await watch.read()).organizations
        assert facility.state == organization_pb2.ORGANIZATION_STATE_SUSPENDED
        assert not third.licences
    async with asyncio.timeout(20), watching(identity, second.cursor) as watch:
        assert [one.organization for one in (await watch.read()).organizations] == ["organizations/01001"]


@pytest.mark.parametrize("role", ["records", "referrals", "gateway"])
async def test_only_consent_hears_it(identity: Running, role: str) -> None:
    async with watching(identity, role=role) as watch:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        encode_token(("1", str(uuid7())), "WatchPersons"),
        encode_token(("1", "PERSON", ""), "WatchRegistry"),
        encode_token(("9" * 18, "LICENCE", ""), "WatchRegistry"),
    ],
    ids=["garbage", "of another feed", "of no registry", "of another database"],
)
async def test_foreign_cursors_are_refused(identity: Running, cursor: str) -> None:
    async with watching(identity, cursor) as watch:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID")


class World:
    """A database written to as several processes would."""

    def __init__(self, url: str, pages: PostgresRegistryPages) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.pages = pages

    async def connection(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._dsn)

    async def facility(self, connection: psycopg.AsyncConnection[Any], code: str) -> None:
        await connection.execute(
            "INSERT INTO organization (code, display_name, care_level, province_code, province_era, state, created_at, version,"
            " capabilities, contact, suspension_reason)"
            " VALUES (%s, 'Bệnh viện', 'BASIC', '01', 'PROVINCES_34', 'ACTIVE', now(), 1, '{}', '', '')",
            (code,),
        )

    async def licence(self, connection: psycopg.AsyncConnection[Any], number: str) -> None:
        await connection.execute(
            "INSERT INTO practitioner (id, licence, human_name, organizations, role, created_at, scope, version)"
            " VALUES (%s, %s, 'Trần Văn Bác Sĩ', '{01001}', 'doctor', now(), '', 1)",
            (uuid7(), number),
        )


@pytest.fixture
async def world(database_for: DatabaseFor) -> AsyncIterator[World]:
    settings = database_for("identity")
    async with Database(settings) as database:
        yield World(settings.url, PostgresRegistryPages(database))


async def test_what_is_committed_late_is_not_passed_over_and_holds_nothing_up(world: World) -> None:
    slow, quick = await world.connection(), await world.connection()
    await world.facility(slow, "01001")
    await world.licence(quick, "1")
    await quick.commit()
    page = await world.pages.page(RegistryPlace(), {}, 500)
    assert [one.key for one in page.changes] == ["1"]
    again = await world.pages.page(page.place, page.early, 500)
    assert again.changes == ()
    # What was told early is told again once it changes.
    await quick.execute(
        "UPDATE practitioner SET role = 'nurse', xid = CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
    )
    await quick.commit()
    changed = await world.pages.page(again.place, again.early, 500)
    assert [(one.key, one.role) for one in changed.changes] == [("1", "nurse")]
    await slow.commit()
    after = await world.pages.page(changed.place, changed.early, 500)
    assert [one.key for one in after.changes] == ["01001"]
    assert after.early == {}
    assert (await world.pages.page(after.place, {}, 500)).changes == ()
    # Who comes back with the cursor from before hears both.
    assert [one.key for one in (await world.pages.page(page.place, {}, 500)).changes] == ["01001", "1"]
    for connection in (slow, quick):
        await connection.close()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_pages_follow_each_other_to_the_end_through_both_registries(world: World, size: int) -> None:
    connection = await world.connection()
    # All of one transaction, as a list that was imported; and then one each.
    for code in ("79001", "01001", "01002"):
        await world.facility(connection, code)
    for number in ("b", "a", "c"):
        await world.licence(connection, number)
    await connection.commit()
    await world.facility(connection, "00001")
    await connection.commit()
    place, told = RegistryPlace(), []
    while True:
        page = await world.pages.page(place, {}, size)
        place = page.place
        told += [one.key for one in page.changes]
        if not page.more:
            break
    assert told == ["01001", "01002", "79001", "a", "b", "c", "00001"]
    with pytest.raises(CursorInvalid):
        await world.pages.page(RegistryPlace(place.xid + 10_000), {}, 3)
    await connection.close()
