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
    check_in_service_pb2,
    check_in_service_pb2_grpc,
    person_link_pb2,
    person_link_service_pb2,
    person_pb2,
    person_service_pb2,
    person_service_pb2_grpc,
    population_service_pb2,
    population_service_pb2_grpc,
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)
from lienthong.type.v1 import administrative_sex_pb2

from services.chassis.principal import PrincipalKind
from services.identity.config import Settings
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import CITIZEN_ID, NAME, PHONE, citizen_id, demographics, registration
from tests.integration.identity.stewards import link_request, steward
from tests.integration.identity.test_links import as_of
from tests.integration.identity.test_persons import TIMEOUT, batch

_NOW = datetime.now(UTC).replace(microsecond=0)
# An hour that nothing else happened at.
BORN = _NOW - timedelta(days=40, minutes=7)
DIED = BORN - timedelta(days=100)
FOUND, THIRD_ID = "Nguyễn Thị Mướp", "001185066666"
CHANGED, SECOND_ID = "Nguyễn Thị Khế", "001185077777"
LINKED, LINKED_ID = "Nguyễn Thị Sầu Riêng", "001185055555"
SECRETS = (
    LINKED,
    "Sầu",
    LINKED_ID,
    "BN77",
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


@pytest.fixture
def consent_address(decision_point: Running) -> str:
    """Persons are read here, and each read rests on a decision."""
    return decision_point.address


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
    await use_desk(identity)
    await use_kiosk(identity)
    await use_load(identity)
    async with identity.as_role("records") as channel:
        records = source_record_service_pb2_grpc.SourceRecordServiceStub(channel)
        await records.FileSourceRecords(batch(10, 4), timeout=TIMEOUT)


async def use_kiosk(identity: Running) -> None:
    """Checks in with a card and with what is none."""
    async with identity.as_facility() as channel:
        stub = check_in_service_pb2_grpc.CheckInServiceStub(channel)
        card = f"{THIRD_ID}||{FOUND}|02031985|Nữ|Số 1, Ba Đình|10052021"
        read = await stub.ParseCardCode(check_in_service_pb2.ParseCardCodeRequest(code=card), timeout=TIMEOUT)
        assert read.card_code.query.identifiers[0].value == THIRD_ID
        answer = await stub.CheckIn(check_in_service_pb2.CheckInRequest(code=card), timeout=TIMEOUT)
        assert answer.resolution.outcome == person_service_pb2.RESOLUTION_OUTCOME_MATCH
        # Nobody listens where referrals would be.
        assert {one.part for one in answer.unavailable} == {"appointments", "referrals"}
        for bad in (
            check_in_service_pb2.CheckInRequest(code=f"{FOUND}|{THIRD_ID}"),
            check_in_service_pb2.CheckInRequest(app_assertion=f"{FOUND}.{THIRD_ID}.x"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.CheckIn(bad, timeout=TIMEOUT)
            assert not any(secret in str(refused.value) for secret in SECRETS)


async def use_load(identity: Running) -> None:
    """Loads one good row, one that names somebody else, and bad ones."""
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = population_service_pb2_grpc.PopulationServiceStub(channel)
        begin = population_service_pb2.CreatePopulationLoadRequest(request_id=str(uuid4()), source="registry")
        name = (await stub.CreatePopulationLoad(begin, timeout=TIMEOUT)).load.name
        rows = [
            population_service_pb2.PopulationEntry(row=at, identifiers=[citizen_id(number)], demographics=said)
            for at, (number, said) in enumerate(
                (
                    (THIRD_ID, demographics(FOUND)),
                    (THIRD_ID, demographics(CHANGED, year=1950)),
                    ("12345", demographics(LINKED)),
                    (SECOND_ID, demographics("Không rõ")),
                ),
                start=1,
            )
        ]
        part = population_service_pb2.LoadPopulationPartRequest(name=name, entries=rows)
        done = (await stub.LoadPopulationPart(part, timeout=TIMEOUT)).load
        assert (done.known_count, done.conflict_count, done.rejected_count) == (1, 1, 2)
        listed = population_service_pb2.ListPopulationLoadErrorsRequest(name=name)
        errors = (await stub.ListPopulationLoadErrors(listed, timeout=TIMEOUT)).errors
        assert not any(secret in str(errors) for secret in SECRETS)


async def use_desk(identity: Running) -> None:
    """Links, parts, refuses, reviews and looks back, with refusals that have a name or a number at hand."""
    async with steward(identity) as desk, steward(identity, "steward-2") as second:
        one = await desk.register(LINKED_ID, LINKED)
        two = await desk.register("001185055556", LINKED, verified=True)
        link = await desk.link(one, two)
        assert (await desk.person(one)).person.redirected_from == one
        await desk.links.GetPersonAsOf(as_of(one, datetime.now(UTC)), timeout=TIMEOUT)
        for bad in (link_request(two, one), link_request(one, LINKED), link_request(one, f"persons/{LINKED_ID}")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await desk.links.LinkPersons(bad, timeout=TIMEOUT)
            assert not any(secret in str(refused.value) for secret in SECRETS)
        worded = link_request(one, two)
        worded.reason = LINKED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.LinkPersons(worded, timeout=TIMEOUT)
        assert LINKED not in str(refused.value)
        await desk.unlink(link.name)
        with pytest.raises(grpc.aio.AioRpcError):
            await second.link(one, two)
        said = source_record_service_pb2.SourceRecord(
            facility="01001", local_mrn="BN77", demographics=demographics(LINKED)
        )
        said.demographics.phone = ""
        async with identity.as_role("records") as channel:
            records = source_record_service_pb2_grpc.SourceRecordServiceStub(channel)
            await records.FileSourceRecords(
                source_record_service_pb2.FileSourceRecordsRequest(records=[said]), timeout=TIMEOUT
            )
        claim = person_link_service_pb2.ClaimReviewTaskRequest(request_id=str(uuid4()))
        task = (await desk.links.ClaimReviewTask(claim, timeout=TIMEOUT)).task
        # Both sides are shown to whoever holds the claim, and stay with the answer.
        assert any(field.candidate_value == LINKED for one in task.candidates for field in one.fields)
        decide = person_link_service_pb2.DecideReviewTaskRequest(
            request_id=str(uuid4()),
            name=task.name,
            decision=person_link_pb2.REVIEW_DECISION_DIFFERENT,
            reason="SEEN_BOTH",
        )
        await desk.links.DecideReviewTask(decide, timeout=TIMEOUT)
        assert len(await desk.events(one)) >= 2


async def test_no_person_in_the_log(identity: Running, capsys: pytest.CaptureFixture[str]) -> None:
    await use(identity)
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert sum("RegisterPerson" in json.loads(line).get("method", "") for line in lines) == 5
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
