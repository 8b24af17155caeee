"""Emergency access over mTLS and PostgreSQL: opening, confirming, widening, its end, and who may see it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import emergency_access_service_pb2 as messages

from services.chassis.database import Database
from services.chassis.principal import PrincipalKind
from services.consent.emergency_store import MULTI_FACTOR
from services.consent.facts import EmergencyGrant
from services.consent.postgres.emergency_grants import grants_of
from tests.integration.consent.ward import (
    DOCTOR,
    HOSPITAL,
    OTHER,
    SECOND,
    WHY,
    Ward,
    id_of,
    refused,
)

UNCONFIRMED, CONFIRMED, ENDED = (
    messages.EMERGENCY_ACCESS_STATE_UNCONFIRMED,
    messages.EMERGENCY_ACCESS_STATE_CONFIRMED,
    messages.EMERGENCY_ACCESS_STATE_ENDED,
)
THIRD = "000003/BYT-CCHN"


async def test_from_opening_to_the_end_after_four_hours(ward: Ward) -> None:
    person = ward.app.enrol()
    opened = (await ward.open(person)).emergency_access
    assert (opened.state, opened.person, opened.organization) == (UNCONFIRMED, person, f"organizations/{HOSPITAL}")
    assert (opened.practitioner_licence, opened.reason_text) == (DOCTOR, WHY)
    assert await refused(ward.widen(opened.name)) == "EMERGENCY_ACCESS_UNCONFIRMED"
    ward.clock.advance(timedelta(minutes=29, seconds=59))
    confirmed = await ward.confirm(opened.name)
    assert (confirmed.state, confirmed.confirming_licence) == (CONFIRMED, SECOND)
    assert await refused(ward.widen(opened.name, SECOND)) == "PRINCIPAL_NOT_ALLOWED"
    widened = await ward.widen(opened.name)
    assert widened.HasField("widen_time")
    assert not widened.life_saving
    # Only later it turns out that life depends on what the widening left out.
    assert (await ward.widen(opened.name, life_saving=True)).life_saving
    ward.clock.advance(timedelta(hours=3, minutes=30))
    assert (await ward.get(opened.name)).state == CONFIRMED
    ward.clock.advance(timedelta(seconds=1))
    last = await ward.get(opened.name)
    assert (last.state, last.HasField("end_time")) == (ENDED, False)
    assert await refused(ward.widen(opened.name)) == "EMERGENCY_ACCESS_ENDED"
    # Every step has another etag.
    assert len({one.etag for one in (opened, confirmed, widened, last)}) == 4


async def test_what_nobody_confirms_ends_after_half_an_hour(ward: Ward) -> None:
    opened = (await ward.open(ward.app.enrol())).emergency_access
    ward.clock.advance(timedelta(minutes=30))
    assert (await ward.get(opened.name)).state == ENDED
    assert await refused(ward.confirm(opened.name)) == "EMERGENCY_ACCESS_ENDED"


async def test_the_same_practitioner_needs_a_fresh_second_factor(ward: Ward) -> None:
    name = (await ward.open(ward.app.enrol())).emergency_access.name
    now = ward.clock()
    weak = [
        {},
        {"acr": MULTI_FACTOR},
        {"auth_time": now},
        {"acr": "urn:password", "auth_time": now},
        {"acr": MULTI_FACTOR, "auth_time": now - timedelta(minutes=5, seconds=1)},
    ]
    for said in weak:
        assert await refused(ward.confirm(name, DOCTOR, **said)) == "SECOND_FACTOR_REQUIRED"  # type: ignore[arg-type] # a list of keywords
    confirmed = await ward.confirm(name, DOCTOR, acr=MULTI_FACTOR, auth_time=now - timedelta(minutes=5))
    assert (confirmed.state, confirmed.confirming_licence) == (CONFIRMED, DOCTOR)


async def test_other_facilities_neither_confirm_nor_see_it(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    assert await refused(ward.confirm(name, SECOND, OTHER)) == "EMERGENCY_ACCESS_NOT_FOUND"
    assert await refused(ward.end(name, SECOND, OTHER)) == "EMERGENCY_ACCESS_NOT_FOUND"
    request = messages.GetEmergencyAccessRequest(name=name)
    listing = messages.ListEmergencyAccessesRequest()
    for kind, who, sees in (
        (PrincipalKind.FACILITY, {"facility": OTHER}, False),
        (PrincipalKind.FACILITY, {"facility": HOSPITAL}, True),
        (PrincipalKind.CITIZEN, {"person": ward.app.enrol()}, False),
        (PrincipalKind.CITIZEN, {"person": person}, True),
        (PrincipalKind.AUDITOR, {}, True),
    ):
        async with ward.other(kind, **who) as stub:
            listed = await stub.ListEmergencyAccesses(listing, timeout=5)
            assert [one.name for one in listed.emergency_accesses] == [name] * sees
            if sees:
                assert (await stub.GetEmergencyAccess(request, timeout=5)).emergency_access.reason_text == WHY
            else:
                assert await refused(stub.GetEmergencyAccess(request, timeout=5)) == "EMERGENCY_ACCESS_NOT_FOUND"


async def test_two_who_confirm_at_once_are_one_confirmation(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    answers = await asyncio.gather(*(ward.confirm(name, licence) for licence in (SECOND, THIRD) * 4))
    assert len({one.confirming_licence for one in answers}) == 1
    assert len({one.etag for one in answers}) == 1
    told = [one.type for one in await ward.notices(person)]
    assert sorted(told) == ["EMERGENCY_ACCESS_CONFIRMED", "EMERGENCY_ACCESS_OPENED"]


async def test_the_same_request_is_one_access_and_another_under_its_id_is_refused(ward: Ward) -> None:
    person, request_id = ward.app.enrol(), str(uuid4())
    answers = await asyncio.gather(*(ward.open(person, request_id=request_id) for _ in range(4)))
    assert len({one.emergency_access.name for one in answers}) == 1
    assert len(await ward.notices(person)) == 1
    assert await refused(ward.open(ward.app.enrol(), request_id=request_id)) == "REQUEST_ID_REUSED"
    assert await refused(ward.open(person, request_id=request_id, text="Another text")) == "REQUEST_ID_REUSED"
    # The same id of somebody else is another request.
    assert (await ward.open(person, SECOND, request_id=request_id)).emergency_access.name != answers[
        0
    ].emergency_access.name


async def test_bad_input_names_every_wrong_field(ward: Ward) -> None:
    request = messages.RequestEmergencyAccessRequest(
        request_id=str(uuid4()),
        person="people/1",
        reason=99,  # type: ignore[arg-type] # unknown
        reason_text="too short",
    )
    async with ward.doctor() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RequestEmergencyAccess(request, timeout=5)
    found = {(one.field, one.reason) for one in from_rpc_error(caught.value).violations}
    assert found == {
        ("person", "NAME_INVALID"),
        ("reason", "REASON_UNKNOWN"),
        ("reason_text", "LENGTH_OUT_OF_RANGE"),
    }
    name = (await ward.open(ward.app.enrol())).emergency_access.name
    assert await refused(ward.review(name, outcome=7, finding="x")) == "FIELD_INVALID"
    assert await refused(ward.statistics(days=367)) == "FIELD_INVALID"
    assert await refused(ward.queue(organization="hospital")) == "FIELD_INVALID"


async def test_texts_are_sealed_at_rest(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    await ward.confirm(name)
    await ward.widen(name, text="Operation at once, blood group and medicines needed")
    await ward.review(name)
    for table in ("emergency_access", "emergency_access_event"):
        stored = str(ward.rows(f"SELECT t::text FROM {table} AS t WHERE person_id = %s", id_of(person)))  # noqa: S608 - names of our own
        raw = b"".join(
            bytes(row[0])  # type: ignore[call-overload] # bytes
            for row in ward.rows(
                f"SELECT text_sealed FROM {table} WHERE person_id = %s AND text_sealed IS NOT NULL", id_of(person)
            )  # noqa: S608 - names of our own
        )
        assert raw
        for word in ("Unconscious", "Operation", "ambulance"):
            assert word not in stored
            assert word.encode() not in raw


async def test_an_end_by_hand_holds_and_is_kept_once(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    first = await ward.end(name, SECOND)
    ward.clock.advance(timedelta(minutes=1))
    again = await ward.end(name)
    assert (first.state, again.end_time) == (ENDED, first.end_time)
    assert await refused(ward.confirm(name)) == "EMERGENCY_ACCESS_ENDED"
    assert [one.type for one in await ward.notices(person)].count("EMERGENCY_ACCESS_ENDED") == 1


async def test_a_decision_looks_at_the_widest_open_access_of_who_asks(ward: Ward) -> None:
    person = ward.app.enrol()
    entry = id_of(person)
    first = (await ward.open(person)).emergency_access.name

    async def grant(licence: str | None = DOCTOR, organization: str = HOSPITAL) -> EmergencyGrant | None:
        async with Database(ward.database) as database:
            found = await database.read(
                lambda connection: grants_of(connection, {entry: entry}, licence, organization, ward.clock())
            )
        return found.get(entry)

    async def rests_on() -> tuple[str, bool, bool, bool]:
        found = await grant()
        assert found is not None
        return (
            f"emergencyAccesses/{found.id}",
            found.confirmed_at is not None,
            found.widened_at is not None,
            found.life_saving,
        )

    assert await rests_on() == (first, False, False, False)
    assert await grant(SECOND) is None
    assert await grant(DOCTOR, OTHER) is None
    assert await grant(None) is None
    await ward.confirm(first)
    assert await grant(SECOND) is not None
    await ward.widen(first)
    second = (await ward.open(person)).emergency_access.name
    assert await rests_on() == (first, True, True, False)
    await ward.widen(first, life_saving=True)
    assert await rests_on() == (first, True, True, True)
    await ward.end(first)
    assert await rests_on() == (second, False, False, False)
    ward.clock.advance(timedelta(hours=23))
    assert await rests_on() == (second, False, False, False)
    ward.clock.advance(timedelta(hours=1))
    assert await grant() is None
