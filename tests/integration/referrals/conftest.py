"""A running referrals role with a running consent role beside it, and the papers that reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from google.type import date_pb2
from lienthong.referrals.v1 import (
    referral_pb2,
    referral_service_pb2,
    referral_service_pb2_grpc,
    slip_import_service_pb2,
    slip_import_service_pb2_grpc,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.settings import TelemetrySettings
from services.consent.config import Settings as ConsentSettings
from services.referrals.config import Settings
from services.referrals.relations import VIETNAM
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running

SOURCE, TARGET = "01001", "79001"


def today() -> date:
    """The day in Viet Nam."""
    return system_clock().astimezone(VIETNAM).date()


def _date(day: date) -> date_pb2.Date:
    return date_pb2.Date(year=day.year, month=day.month, day=day.day)


def referral_slip(person: str, signed: date | None = None) -> slip_import_service_pb2.Slip:
    """A referral from SOURCE to TARGET, signed today or on another day."""
    return slip_import_service_pb2.Slip(
        event_id=str(uuid4()),
        document=f"documents/{uuid4()}",
        person=person,
        facility=SOURCE,
        referral=slip_import_service_pb2.ReferralSlip(
            referral_number="GCT-1",
            target_facility=TARGET,
            sign_date=_date(signed or today()),
            content=referral_pb2.ReferralContent(diagnosis_text="Viêm phổi"),
        ),
    )


def follow_up_slip(person: str, day: date | None = None) -> slip_import_service_pb2.Slip:
    """An appointment at SOURCE, today or on another day."""
    return slip_import_service_pb2.Slip(
        event_id=str(uuid4()),
        document=f"documents/{uuid4()}",
        person=person,
        facility=SOURCE,
        follow_up=slip_import_service_pb2.FollowUpSlip(slip_number="GHK-1", appointment_date=_date(day or today())),
    )


@dataclass
class Referrals:
    """The role, and its database."""

    running: Running
    database: Database

    async def imports(self, *slips: slip_import_service_pb2.Slip) -> int:
        """What the records role hands over."""
        async with self.running.as_role("records") as channel:
            stub = slip_import_service_pb2_grpc.SlipImportServiceStub(channel)
            answer = await stub.ImportSlips(slip_import_service_pb2.ImportSlipsRequest(slips=slips), timeout=10)
            return int(answer.imported_count)

    async def arrive(self, name: str) -> None:
        """The target registers the arrival."""
        async with self.running.as_facility(TARGET) as channel:
            stub = referral_service_pb2_grpc.ReferralServiceStub(channel)
            request = referral_service_pb2.RegisterArrivalRequest(request_id=str(uuid4()), name=name)
            await stub.RegisterArrival(request, timeout=5)

    async def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Rows of its database."""
        return await rows(self.database, statement)


async def rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    """The rows of a statement."""

    async def work(connection: AsyncConnection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in await connection.execute(text(statement))]

    return await database.read(work)


@pytest.fixture
async def kept(decision_settings: ConsentSettings) -> AsyncIterator[Database]:
    """The database of the consent role."""
    async with Database(decision_settings.database) as database:
        yield database


@pytest.fixture
def settings(identities: Identities, database_for: DatabaseFor, keyring_file: Path) -> Settings:
    """Of a referrals role that reaches nobody."""
    return Settings(
        server=identities.server_settings("referrals"),
        database=database_for("referrals"),
        telemetry=TelemetrySettings(log_level="error"),
        consent_address="127.0.0.1:1",
        keyring=keyring_file,
        identity_address="127.0.0.1:1",
    )


def person() -> str:
    """A person whom nobody has to know."""
    return f"persons/{UUID(int=uuid4().int)}"
