"""Persons over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import cast
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from lienthong.identity.v1 import (
    person_pb2,
    person_service_pb2,
    person_service_pb2_grpc,
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)
from lienthong.type.v1 import administrative_sex_pb2

from services.chassis.principal import PrincipalKind
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import CITIZEN_ID, NAME, PHONE, citizen_id, demographics, registration

MATCH = person_service_pb2.RESOLUTION_OUTCOME_MATCH
TIMEOUT = 10


@pytest.fixture
def consent_address(decision_point: Running) -> str:
    """Persons are read here, and each read rests on a decision."""
    return decision_point.address


def details(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc status of a refusal."""
    trailers = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata())
    (carried,) = (value for key, value in trailers if key == "grpc-status-details-bin")
    assert isinstance(carried, bytes)
    return status_pb2.Status.FromString(carried)


def reason(error: grpc.aio.AioRpcError) -> str:
    """The ErrorInfo reason of a refusal; its domain is ours."""
    info = error_details_pb2.ErrorInfo()
    assert details(error).details[0].Unpack(info)
    assert info.domain == "identity.lienthong.vn"
    return str(info.reason)


def query(name: str = NAME, value: str = CITIZEN_ID) -> person_service_pb2.ResolvePersonsRequest:
    return person_service_pb2.ResolvePersonsRequest(
        queries=[person_service_pb2.PersonQuery(identifiers=[citizen_id(value)], demographics=demographics(name))]
    )


async def test_registered_here_found_there_and_read_by_the_person(identity: Running) -> None:
    async with identity.as_facility("01001") as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        made = await stub.RegisterPerson(registration(), timeout=TIMEOUT)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetPerson(person_service_pb2.GetPersonRequest(name=made.person.name), timeout=TIMEOUT)
    assert made.created
    assert made.person.identifiers[0].identifier.value == "********2345"
    assert (refused.value.code(), reason(refused.value)) == (grpc.StatusCode.NOT_FOUND, "PERSON_NOT_FOUND")
    async with identity.as_facility("79002", PrincipalKind.PRACTITIONER) as channel:
        found = await person_service_pb2_grpc.PersonServiceStub(channel).ResolvePersons(query(), timeout=TIMEOUT)
    assert [(one.outcome, one.person) for one in found.resolutions] == [(MATCH, made.person.name)]
    async with identity.as_citizen(made.person.name) as channel:
        own = await person_service_pb2_grpc.PersonServiceStub(channel).GetPerson(
            person_service_pb2.GetPersonRequest(name=made.person.name), timeout=TIMEOUT
        )
    assert own.person.identifiers[0].identifier.value == CITIZEN_ID
    assert own.person.demographics == demographics()


async def test_a_retry_gets_the_first_answer_and_a_reused_id_is_refused(identity: Running) -> None:
    async with identity.as_facility() as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        request_id = str(uuid4())
        first = await stub.RegisterPerson(registration(request_id=request_id), timeout=TIMEOUT)
        assert await stub.RegisterPerson(registration(request_id=request_id), timeout=TIMEOUT) == first
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RegisterPerson(registration("001185000001", request_id=request_id), timeout=TIMEOUT)
    assert (refused.value.code(), reason(refused.value)) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_one_new_number_registered_many_times_at_once_is_one_person(identity: Running) -> None:
    async with identity.as_facility("01001") as one, identity.as_facility("79002") as other:
        stubs = [person_service_pb2_grpc.PersonServiceStub(channel) for channel in (one, other)]
        answers: Sequence[person_service_pb2.RegisterPersonResponse] = await asyncio.gather(
            *(stubs[at % 2].RegisterPerson(registration(), timeout=TIMEOUT) for at in range(12))
        )
    assert len({answer.person.name for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1


def batch(start: int, size: int) -> source_record_service_pb2.FileSourceRecordsRequest:
    """Records of `size` persons, from `start` on; half of them have a citizen number."""
    return source_record_service_pb2.FileSourceRecordsRequest(
        records=[
            source_record_service_pb2.SourceRecord(
                facility="01001",
                local_mrn=f"BN{at}",
                identifiers=[citizen_id(f"001185{at:06d}")] if at % 2 else [],
                demographics=demographics(),
            )
            for at in range(start, start + size)
        ]
    )


async def test_overlapping_batches_at_once_file_every_record_once(identity: Running) -> None:
    async with identity.as_role("records") as channel:
        stub = source_record_service_pb2_grpc.SourceRecordServiceStub(channel)
        batches = [batch(1, 60), batch(31, 60), batch(1, 90), batch(1, 60)]
        # One of them in the opposite order: locks are taken in one order whatever the order of the records.
        batches[3].records.reverse()
        answers = await asyncio.gather(*(stub.FileSourceRecords(one, timeout=30) for one in batches))
        again = await stub.FileSourceRecords(batch(1, 90), timeout=30)
    persons: dict[str, set[str]] = {}
    for one, answer in zip(batches, answers, strict=True):
        for record, filing in zip(one.records, answer.filings, strict=True):
            persons.setdefault(record.local_mrn, set()).add(filing.person)
    assert {len(found) for found in persons.values()} == {1}
    assert len({next(iter(found)) for found in persons.values()}) == 90
    assert {filing.person for filing in again.filings} == {next(iter(found)) for found in persons.values()}


async def test_a_provisional_person_is_read_by_its_facility_only(identity: Running) -> None:
    request = person_service_pb2.RegisterProvisionalPersonRequest(
        request_id=str(uuid4()), sex=administrative_sex_pb2.ADMINISTRATIVE_SEX_MALE, estimated_age=40, local_mrn="BN7"
    )
    async with identity.as_facility("01001") as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        made = await stub.RegisterProvisionalPerson(request, timeout=TIMEOUT)
        wanted = person_service_pb2.GetPersonRequest(name=made.person.name)
        read = await stub.GetPerson(wanted, timeout=TIMEOUT)
        request.request_id, request.temporary_identifier = str(uuid4()), "T-01001-0000000-00"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RegisterProvisionalPerson(request, timeout=TIMEOUT)
    assert read.person == made.person
    assert read.person.state == person_pb2.PERSON_STATE_PROVISIONAL
    assert reason(refused.value) == "TEMPORARY_IDENTIFIER_INVALID"
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    async with identity.as_facility("79002") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as unseen:
            await person_service_pb2_grpc.PersonServiceStub(channel).GetPerson(wanted, timeout=TIMEOUT)
    assert reason(unseen.value) == "PERSON_NOT_FOUND"


async def test_all_missing_fields_are_named_at_once(identity: Running) -> None:
    async with identity.as_facility() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await person_service_pb2_grpc.PersonServiceStub(channel).RegisterPerson(
                person_service_pb2.RegisterPersonRequest(), timeout=TIMEOUT
            )
    wrong = error_details_pb2.BadRequest()
    assert any(detail.Unpack(wrong) for detail in details(refused.value).details)
    assert {one.field for one in wrong.field_violations} == {"request_id", "identifiers", "demographics"}


async def test_a_conflict_is_refused_without_a_word_about_the_person(identity: Running) -> None:
    async with identity.as_facility() as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        await stub.RegisterPerson(registration(), timeout=TIMEOUT)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RegisterPerson(registration(name="Lê Văn Tám"), timeout=TIMEOUT)
    assert (refused.value.code(), reason(refused.value)) == (grpc.StatusCode.ALREADY_EXISTS, "IDENTIFIER_CONFLICT")
    told = details(refused.value).SerializeToString()
    assert not any(secret.encode() in told for secret in (NAME, CITIZEN_ID, PHONE))


async def test_too_many_queries_are_refused(identity: Running) -> None:
    request = person_service_pb2.ResolvePersonsRequest(queries=[query().queries[0]] * 101)
    async with identity.as_facility() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await person_service_pb2_grpc.PersonServiceStub(channel).ResolvePersons(request, timeout=TIMEOUT)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
