"""Provisional persons, newborns and work lists over the wire."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.identity.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc
from lienthong.type.v1 import administrative_sex_pb2

from services.chassis.principal import PrincipalKind
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import CITIZEN_ID, citizen_id, demographics, registration
from tests.integration.identity.test_persons import TIMEOUT, reason

FEMALE = administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE


@pytest.fixture
def consent_address(decision_point: Running) -> str:
    """Persons are read here, and each read rests on a decision."""
    return decision_point.address


def ago(hours: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC) - timedelta(hours=hours))
    return stamp


def arrival(hours: float) -> person_service_pb2.RegisterProvisionalPersonRequest:
    return person_service_pb2.RegisterProvisionalPersonRequest(
        request_id=str(uuid4()),
        sex=FEMALE,
        kind=person_pb2.PROVISIONAL_KIND_EMERGENCY,
        arrival_time=ago(hours),
        estimated_age=30,
    )


async def test_the_work_list_of_a_facility_page_by_page(identity: Running) -> None:
    async with identity.as_facility() as channel, identity.as_facility("79002") as other:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        made = [await stub.RegisterProvisionalPerson(arrival(hours), timeout=TIMEOUT) for hours in (50, 30, 1)]
        await person_service_pb2_grpc.PersonServiceStub(other).RegisterProvisionalPerson(arrival(40), timeout=TIMEOUT)
        wanted = person_service_pb2.ListProvisionalPersonsRequest(min_age_hours=24, page_size=1)
        items: list[person_service_pb2.ProvisionalPersonItem] = []
        while True:
            page = await stub.ListProvisionalPersons(wanted, timeout=TIMEOUT)
            items += page.items
            if not page.next_page_token:
                break
            wanted.page_token = page.next_page_token
        due = person_service_pb2.ListProvisionalPersonsRequest(notice_due=True)
        (late,) = (await stub.ListProvisionalPersons(due, timeout=TIMEOUT)).items
        notice = person_service_pb2.RecordAuthorityNoticeRequest(request_id=str(uuid4()), name=late.person.name)
        told = await stub.RecordAuthorityNotice(notice, timeout=TIMEOUT)
        assert await stub.RecordAuthorityNotice(notice, timeout=TIMEOUT) == told
        assert not (await stub.ListProvisionalPersons(due, timeout=TIMEOUT)).items
        wanted.min_age_hours = 25
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListProvisionalPersons(wanted, timeout=TIMEOUT)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [(item.person.name, item.age_hours) for item in items] == [
        (made[0].person.name, 50),
        (made[1].person.name, 30),
    ]
    assert items[0].person.alias == made[0].person.alias
    assert len(made[0].person.alias.split()) == 2
    assert not items[0].person.HasField("demographics")
    assert items[0].notice_deadline.ToDatetime() - items[0].arrival_time.ToDatetime() == timedelta(hours=48)
    assert (late.person.name, late.HasField("notice_time")) == (made[0].person.name, False)
    assert told.item.HasField("notice_time")
    async with identity.as_officer(PrincipalKind.STEWARD) as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        everybody = await stub.ListProvisionalPersons(
            person_service_pb2.ListProvisionalPersonsRequest(), timeout=TIMEOUT
        )
    assert [item.age_hours for item in everybody.items] == [50, 40, 30, 1]


async def test_a_newborn_registered_many_times_at_once_is_one_person(identity: Running) -> None:
    async with identity.as_facility("01001") as one, identity.as_facility("79002") as other:
        stubs = [person_service_pb2_grpc.PersonServiceStub(channel) for channel in (one, other)]
        mother = (await stubs[0].RegisterPerson(registration(), timeout=TIMEOUT)).person
        born = ago(3)

        def birth(order: int) -> person_service_pb2.RegisterNewbornRequest:
            return person_service_pb2.RegisterNewbornRequest(
                request_id=str(uuid4()), mother=mother.name, birth_time=born, birth_order=order, sex=FEMALE
            )

        answers = await asyncio.gather(
            *(stubs[at % 2].RegisterNewborn(birth(1 + at // 2 % 2), timeout=TIMEOUT) for at in range(8))
        )
        twisted = birth(1)
        twisted.sex = administrative_sex_pb2.ADMINISTRATIVE_SEX_MALE
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stubs[0].RegisterNewborn(twisted, timeout=TIMEOUT)
    assert reason(refused.value) == "NEWBORN_CONFLICT"
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert len({answer.person.name for answer in answers}) == 2
    assert mother.name not in {answer.person.name for answer in answers}
    assert len({answer.temporary_identifier for answer in answers}) == 4
    child = answers[0].person
    assert (child.mother, child.birth_order) == (mother.name, 1)
    assert child.provisional_kind == person_pb2.PROVISIONAL_KIND_NEWBORN
    assert not child.demographics.HasField("human_name")


def identification(
    name: str, *numbers: str, request_id: str = ""
) -> person_service_pb2.IdentifyProvisionalPersonRequest:
    return person_service_pb2.IdentifyProvisionalPersonRequest(
        request_id=request_id or str(uuid4()),
        name=name,
        identifiers=[citizen_id(number) for number in numbers],
        demographics=demographics(),
        evidence=person_service_pb2.IDENTIFICATION_EVIDENCE_PAPERS,
    )


async def test_a_patient_is_identified_by_a_person_of_the_index(identity: Running) -> None:
    async with identity.as_facility("79002") as channel:
        known = (
            await person_service_pb2_grpc.PersonServiceStub(channel).RegisterPerson(registration(), timeout=TIMEOUT)
        ).person
    async with identity.as_facility() as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        patient = (await stub.RegisterProvisionalPerson(arrival(2), timeout=TIMEOUT)).person
        wanted = identification(patient.name, CITIZEN_ID)
        wanted.demographics.birth_date.year = 1996
        asked = await stub.IdentifyProvisionalPerson(wanted, timeout=TIMEOUT)
        assert asked.review_task.startswith("reviewTasks/")
        assert (asked.person.name, asked.link) == (patient.name, "")
        done = await stub.IdentifyProvisionalPerson(identification(patient.name, CITIZEN_ID), timeout=TIMEOUT)
        assert not (
            await stub.ListProvisionalPersons(person_service_pb2.ListProvisionalPersonsRequest(), timeout=TIMEOUT)
        ).items
    assert done.person.name == known.name
    assert done.link.startswith("personLinks/")
    assert not done.person.HasField("demographics")
    assert [one.identifier.value for one in done.person.identifiers] == ["********2345"]


async def test_two_desks_that_identify_with_one_new_number_make_one_person(identity: Running) -> None:
    async with identity.as_facility() as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        patients = [(await stub.RegisterProvisionalPerson(arrival(2), timeout=TIMEOUT)).person for _ in range(3)]
        answers = await asyncio.gather(
            *(stub.IdentifyProvisionalPerson(identification(one.name, CITIZEN_ID), timeout=TIMEOUT) for one in patients)
        )
    confirmed = [one for one in answers if not one.link]
    assert len(confirmed) == 1
    assert {one.person.name for one in answers} == {confirmed[0].person.name}
    async with identity.as_officer(PrincipalKind.STEWARD) as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        read = await stub.GetPerson(person_service_pb2.GetPersonRequest(name=confirmed[0].person.name), timeout=TIMEOUT)
    assert read.person.state == person_pb2.PERSON_STATE_ACTIVE
    assert read.person.demographics == demographics()
