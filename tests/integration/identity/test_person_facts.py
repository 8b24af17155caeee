"""What the consent role is told of a person, over mTLS and PostgreSQL: what it needs, to it alone."""

from __future__ import annotations

from uuid import UUID, uuid4

import grpc
import pytest
from google.type import date_pb2
from lienthong.client.errors import from_rpc_error
from lienthong.identity.v1 import (
    person_fact_service_pb2,
    person_fact_service_pb2_grpc,
    person_service_pb2,
    person_service_pb2_grpc,
)

from services.chassis.peers import PeerSettings, channel
from services.chassis.principal import PrincipalKind
from services.consent.errors import PersonUnknown
from services.consent.peers import GrpcPersonFacts
from services.consent.person_facts import KnownPerson
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import CITIZEN_ID, PHONE, citizen_id, demographics, registration
from tests.integration.identity.test_provisional import arrival, identification

pb = person_fact_service_pb2


async def registered(identity: Running, birth: date_pb2.Date, phone: str = PHONE) -> str:
    """Somebody; returns their name."""
    said = demographics()
    said.birth_date.CopyFrom(birth)
    said.phone = phone
    async with identity.as_facility() as through:
        stub = person_service_pb2_grpc.PersonServiceStub(through)
        request = person_service_pb2.RegisterPersonRequest(
            request_id=str(uuid4()), identifiers=[citizen_id()], demographics=said
        )
        name: str = (await stub.RegisterPerson(request, timeout=5)).person.name
        return name


async def facts(identity: Running, person: str, *, with_phone: bool = False) -> pb.GetPersonFactsResponse:
    async with identity.as_role("consent") as through:
        stub = person_fact_service_pb2_grpc.PersonFactServiceStub(through)
        return await stub.GetPersonFacts(pb.GetPersonFactsRequest(person=person, with_phone=with_phone), timeout=5)


@pytest.mark.parametrize(
    "birth",
    [date_pb2.Date(year=2019, month=3, day=2), date_pb2.Date(year=2019, month=3), date_pb2.Date(year=2019)],
    ids=["day", "month", "year"],
)
async def test_a_birth_date_is_told_as_precisely_as_known_and_nothing_else(
    identity: Running, birth: date_pb2.Date
) -> None:
    person = await registered(identity, birth)
    assert await facts(identity, person) == pb.GetPersonFactsResponse(current_person=person, birth_date=birth)


@pytest.mark.parametrize(
    ("written", "told"),
    [("0912345678", "0912345678"), ("01684567890", "0384567890"), ("02438515151", ""), ("", "")],
    ids=["mobile", "of before 2018", "landline", "none"],
)
async def test_a_phone_is_told_where_it_is_asked_for_and_takes_messages(
    identity: Running, written: str, told: str
) -> None:
    person = await registered(identity, date_pb2.Date(year=1985), written)
    assert (await facts(identity, person, with_phone=True)).phone == told
    assert not (await facts(identity, person)).phone


async def test_who_answers_for_an_entry_is_told_with_what_is_best_known(identity: Running) -> None:
    async with identity.as_facility() as through:
        stub = person_service_pb2_grpc.PersonServiceStub(through)
        arrived = await stub.RegisterProvisionalPerson(arrival(1), timeout=5)
        provisional = arrived.person.name
        known = await facts(identity, provisional)
        assert known.provisional
        # Worked out from an estimated age: nobody knows it.
        assert not known.HasField("birth_date")
        person = (await stub.RegisterPerson(registration(), timeout=5)).person.name
        await stub.IdentifyProvisionalPerson(identification(provisional, CITIZEN_ID), timeout=5)
    known = await facts(identity, provisional)
    assert known.current_person == person
    assert not known.provisional
    assert known.birth_date == date_pb2.Date(year=1985, month=3, day=2)


async def test_nobody_and_bad_names_are_refused(identity: Running) -> None:
    for name, code, reason in (
        (f"persons/{uuid4()}", grpc.StatusCode.NOT_FOUND, "PERSON_NOT_FOUND"),
        ("persons/x", grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        ("", grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await facts(identity, name)
        error = from_rpc_error(caught.value)
        assert (error.code, error.reason) == (code, reason)


@pytest.mark.parametrize("role", ["records", "referrals", "gateway"])
async def test_no_other_role_is_told(identity: Running, role: str) -> None:
    async with identity.as_role(role) as through:
        stub = person_fact_service_pb2_grpc.PersonFactServiceStub(through)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetPersonFacts(pb.GetPersonFactsRequest(person=f"persons/{uuid4()}"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_nor_whoever_comes_with_a_principal_through_the_consent_role(identity: Running) -> None:
    person = f"persons/{uuid4()}"
    forwarded = identity.identities.metadata(identity.identities.token(PrincipalKind.CITIZEN, person=person))
    async with identity.as_role("consent", forwarded) as through:
        stub = person_fact_service_pb2_grpc.PersonFactServiceStub(through)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetPersonFacts(pb.GetPersonFactsRequest(person=person), timeout=5)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_consent_roles_client_reads_it(identity: Running) -> None:
    person = await registered(identity, date_pb2.Date(year=2019, month=3))
    settings = identity.identities.server_settings("consent")
    async with channel(PeerSettings("identity", identity.address), settings) as through:
        client = GrpcPersonFacts(through)
        known = await client.of(UUID(person.removeprefix("persons/")), with_phone=True)
        assert known == KnownPerson(UUID(person.removeprefix("persons/")), (2019, 3, 0), phone=PHONE)
        assert PHONE not in repr(known)
        assert "2019" not in repr(known)
        with pytest.raises(PersonUnknown):
            await client.of(uuid4())
