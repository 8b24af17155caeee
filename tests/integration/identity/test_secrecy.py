"""Nothing of a person leaves by a side door: log, error text, or a look at the tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2
from lienthong.identity.v1 import (
    person_pb2,
    person_service_pb2,
    person_service_pb2_grpc,
    source_record_service_pb2_grpc,
)
from lienthong.type.v1 import administrative_sex_pb2

from services.chassis.principal import PrincipalKind
from services.identity.config import Settings
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import CITIZEN_ID, NAME, PHONE, citizen_id, demographics, registration
from tests.integration.identity.test_persons import TIMEOUT, batch

_NOW = datetime.now(UTC).replace(microsecond=0)
# An hour that nothing else happened at.
BORN = _NOW - timedelta(days=40, minutes=7)
DIED = BORN - timedelta(days=100)
FOUND, THIRD_ID = "Nguyễn Thị Mướp", "001185066666"
CHANGED, SECOND_ID = "Nguyễn Thị Khế", "001185077777"
SECRETS = (
    f"{DIED:%Y-%m-%d}",
    CHANGED,
    FOUND,
    "Mướp",
    THIRD_ID,
    "Khế",
    SECOND_ID,
    f"{BORN:%Y-%m-%d}",
    f"{BORN:%H:%M:%S}+00",
    NAME,
    "Hoà",
    "Ho\\u00e0",
    CITIZEN_ID,
    PHONE,
    "BN1",
)


def timestamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


async def use(identity: Running) -> None:
    """Touches every table and several refusals."""
    async with identity.as_facility() as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        person = (await stub.RegisterPerson(registration(), timeout=TIMEOUT)).person
        update = person_service_pb2.UpdatePersonRequest(
            request_id=str(uuid4()),
            person=person_pb2.Person(name=person.name, etag=person.etag, demographics=demographics(CHANGED)),
            add_identifiers=[citizen_id(SECOND_ID)],
        )
        await stub.UpdatePerson(update, timeout=TIMEOUT)
        provisional = person_service_pb2.RegisterProvisionalPersonRequest(
            request_id=str(uuid4()),
            sex=administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE,
            claimed=demographics(),
            local_mrn="BN1",
        )
        woman = (await stub.RegisterProvisionalPerson(provisional, timeout=TIMEOUT)).person
        newborn = person_service_pb2.RegisterNewbornRequest(
            request_id=str(uuid4()),
            mother=woman.name,
            birth_time=timestamp(BORN),
            birth_order=1,
            sex=woman.demographics.sex,
        )
        await stub.RegisterNewborn(newborn, timeout=TIMEOUT)
        identify = person_service_pb2.IdentifyProvisionalPersonRequest(
            request_id=str(uuid4()),
            name=woman.name,
            identifiers=[citizen_id(THIRD_ID)],
            demographics=demographics(FOUND),
            evidence=person_service_pb2.IDENTIFICATION_EVIDENCE_PAPERS,
        )
        assert not (await stub.IdentifyProvisionalPerson(identify, timeout=TIMEOUT)).review_task
        update.request_id, update.person.demographics.human_name.text = str(uuid4()), "Nguyễn Thị Bưởi"
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.UpdatePerson(update, timeout=TIMEOUT)
        for bad in (registration(SECOND_ID, name="Lê Văn Tám"), registration("12345")):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.RegisterPerson(bad, timeout=TIMEOUT)
    async with identity.as_officer(PrincipalKind.STEWARD) as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        death = date_pb2.Date(year=DIED.year, month=DIED.month, day=DIED.day)
        dead = person_service_pb2.UpdatePersonRequest(
            request_id=str(uuid4()), person=person_pb2.Person(name=person.name), death_date=death, protected=True
        )
        assert (await stub.UpdatePerson(dead, timeout=TIMEOUT)).person.death_date == death
    async with identity.as_role("records") as channel:
        records = source_record_service_pb2_grpc.SourceRecordServiceStub(channel)
        await records.FileSourceRecords(batch(10, 4), timeout=TIMEOUT)


async def test_no_person_in_the_log(identity: Running, capsys: pytest.CaptureFixture[str]) -> None:
    await use(identity)
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert sum("RegisterPerson" in json.loads(line).get("method", "") for line in lines) == 3
    assert [secret for secret in SECRETS for line in lines if secret in line] == []


async def test_no_person_readable_in_the_tables(identity: Running, settings: Settings) -> None:
    await use(identity)
    plain = (settings.database.owner_url or "").replace("+psycopg", "")
    with psycopg.connect(plain) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT t::text FROM "{table}" t'.encode()).fetchall()  # noqa: S608 - names of our own
            text = "\n".join(row[0] for row in rows)
            unhexed = b"".join(
                bytes.fromhex(part.split('"')[0].split(",")[0].rstrip(")")) for part in text.split("\\\\x")[1:]
            )
            found = [secret for secret in SECRETS if secret in text or secret.encode() in unhexed]
            assert (table, found) == (table, [])
