"""A check-in shows treatment: what is consented to whoever treats the person may be read at once, and no longer after a day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from lienthong.consent.v1 import consent_pb2, decision_pb2
from lienthong.identity.v1 import check_in_service_pb2, check_in_service_pb2_grpc, person_service_pb2
from lienthong.type.v1 import access_context_pb2

from deploy.local.ports import Ports
from services.consent.__main__ import compose as compose_consent
from services.consent.config import Settings as ConsentSettings
from services.identity.__main__ import compose
from services.identity.config import Settings
from tests.fixtures.identities import Running, StartRole
from tests.integration.consent.test_flow import KINDS, decide, grant
from tests.integration.identity.conftest import citizen_id, demographics
from tests.integration.identity.stewards import steward

HERE, ELSEWHERE = "79002", "79001"
PERMIT, DENY = decision_pb2.EFFECT_PERMIT, decision_pb2.EFFECT_DENY


def whoever_treats() -> consent_pb2.ConsentTerms:
    return consent_pb2.ConsentTerms(
        purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT,
        kinds=KINDS,
        permission_duration=Duration(seconds=30 * 86400),
        grantee=consent_pb2.Grantee(any_treating=True),
    )


async def check_in(identity: Running) -> check_in_service_pb2.CheckInResponse:
    query = person_service_pb2.PersonQuery(identifiers=[citizen_id()], demographics=demographics())
    async with identity.as_facility(HERE) as channel:
        stub = check_in_service_pb2_grpc.CheckInServiceStub(channel)
        answer: check_in_service_pb2.CheckInResponse = await stub.CheckIn(
            check_in_service_pb2.CheckInRequest(query=query), timeout=10
        )
        return answer


@pytest.fixture
def consent_address(decision_point: Running) -> str:
    return decision_point.address


async def test_what_is_consented_to_whoever_treats_is_read_at_once_and_not_the_next_day(
    identity: Running, decision_point: Running, decision_settings: ConsentSettings
) -> None:
    async with steward(identity) as desk:
        person = await desk.register(citizen_id().value)
    await grant(decision_point, person, whoever_treats())
    before = await decide(decision_point, person, HERE)
    assert (before.effect, [one.code for one in before.would_change]) == (DENY, ["SHOW_TREATMENT"])
    answer = await check_in(identity)
    assert answer.resolution.person == person
    assert answer.check_in
    assert answer.decision
    assert {one.part for one in answer.unavailable} == {"appointments", "referrals"}
    assert (await decide(decision_point, person, HERE)).effect == PERMIT
    assert (await decide(decision_point, person, ELSEWHERE)).effect == DENY
    a_day_later(decision_settings)
    assert (await decide(decision_point, person, HERE)).effect == DENY


def a_day_later(settings: ConsentSettings) -> None:
    """For what shows treatment: it began a day earlier."""
    owner = (settings.database.owner_url or "").replace("+psycopg", "")
    with psycopg.connect(owner) as connection:
        connection.execute(
            "UPDATE treatment_relation SET starts_at = starts_at - interval '24 hours', ends_at = ends_at - interval '24 hours'"
        )


@pytest.fixture
def ports() -> Iterator[Ports]:
    held = Ports()
    yield held
    held.release()


async def test_what_could_not_be_told_is_told_once_the_decision_point_is_back(
    start_role: StartRole, settings: Settings, identity: Running, decision_settings: ConsentSettings, ports: Ports
) -> None:
    address = ports.reserve()
    async with steward(identity) as desk:
        person = await desk.register(citizen_id().value)
    async with start_role("identity", compose, replace(settings, consent_address=address)) as cut_off:
        answer = await check_in(cut_off)
        assert answer.resolution.person == person
        assert answer.check_in
        assert ("check_in", "PEER_UNAVAILABLE") in {(one.part, one.reason) for one in answer.unavailable}
        assert not answer.decision
        there = replace(decision_settings, server=replace(decision_settings.server, listen=address))
        async with start_role("consent", compose_consent, there) as back:
            await grant(back, person, whoever_treats())
            async with asyncio.timeout(15):
                while (await decide(back, person, HERE)).effect != PERMIT:
                    await asyncio.sleep(0.1)
