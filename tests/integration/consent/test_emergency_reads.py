"""What an emergency access lets its practitioner read: decisions asked for by the records role with the doctor's token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from lienthong.consent.v1 import decision_pb2, decision_service_pb2, decision_service_pb2_grpc
from lienthong.type.v1 import access_context_pb2, document_kind_pb2

from tests.fixtures.registry import Facility, Licence, registered
from tests.integration.consent.ward import DOCTOR, HOSPITAL, OTHER, SECOND, Ward

PERMIT, DENY = decision_pb2.EFFECT_PERMIT, decision_pb2.EFFECT_DENY
SUMMARY = [
    document_kind_pb2.DOCUMENT_KIND_ENCOUNTER_SUMMARY,
    document_kind_pb2.DOCUMENT_KIND_PRESCRIPTION,
    document_kind_pb2.DOCUMENT_KIND_DIAGNOSTIC_REPORT,
]
REFERRAL, HIV = document_kind_pb2.DOCUMENT_KIND_REFERRAL, document_kind_pb2.DOCUMENT_KIND_HIV_CARE
THIRD = "000003/BYT-CCHN"


@pytest.fixture
def hospital(ward: Ward) -> Ward:
    """The ward, whose facilities and doctors are in the registries."""
    places = (HOSPITAL, OTHER)
    registered(
        ward.database,
        facilities=[Facility(code) for code in places],
        licences=[Licence(number, places) for number in (DOCTOR, SECOND, THIRD)],
    )
    return ward


async def asked(
    ward: Ward, person: str, kinds: Sequence[int], licence: str = DOCTOR, facility: str = HOSPITAL
) -> decision_pb2.Decision:
    """What the doctor may see."""
    identities = ward.running.identities
    token = identities.tokens.practitioner(facility, licence=licence, at=ward.clock())
    query = decision_service_pb2.DecisionQuery(
        person=person,
        context=access_context_pb2.AccessContext(
            purpose=access_context_pb2.PURPOSE_OF_USE_EMERGENCY_TREATMENT,
            legal_basis=access_context_pb2.LEGAL_BASIS_EMERGENCY_19_1_A,
        ),
        kinds=kinds,  # type: ignore[arg-type] # enum numbers
        method="lienthong.records.v1.DocumentService/GetHealthBook",
    )
    async with ward.running.as_role("records", identities.metadata(token, facility)) as channel:
        stub = decision_service_pb2_grpc.DecisionServiceStub(channel)
        return (await stub.Decide(decision_service_pb2.DecideRequest(queries=[query]), timeout=5)).decisions[0]


async def seen(
    ward: Ward, person: str, kinds: Sequence[int], licence: str = DOCTOR, facility: str = HOSPITAL
) -> set[int]:
    """The kinds that may be read; none where it is refused."""
    decision = await asked(ward, person, kinds, licence, facility)
    return {kind for part in decision.permissions for kind in part.kinds}


async def test_without_an_emergency_access_the_ground_permits_nothing(hospital: Ward) -> None:
    decision = await asked(hospital, hospital.app.enrol(), SUMMARY)
    assert decision.effect == DENY
    assert [change.code for change in decision.would_change] == ["REQUEST_EMERGENCY_ACCESS"]


async def test_the_summary_until_half_an_hour_then_nothing(hospital: Ward) -> None:
    person = hospital.app.enrol()
    name = (await hospital.open(person)).emergency_access.name
    assert await seen(hospital, person, [*SUMMARY, REFERRAL, HIV]) == set(SUMMARY)
    decision = await asked(hospital, person, [REFERRAL])
    assert decision.effect == DENY
    # Neither a colleague nor the same doctor elsewhere.
    assert await seen(hospital, person, SUMMARY, SECOND) == set()
    assert await seen(hospital, person, SUMMARY, DOCTOR, OTHER) == set()
    hospital.clock.advance(timedelta(minutes=30) - timedelta(microseconds=1))
    assert await seen(hospital, person, SUMMARY) == set(SUMMARY)
    hospital.clock.advance(timedelta(microseconds=1))
    late = await asked(hospital, person, SUMMARY)
    assert (late.effect, [change.code for change in late.would_change]) == (DENY, ["REQUEST_EMERGENCY_ACCESS"])
    shown = await hospital.get(name)
    # The refusal of what a summary does not hold and the late ones rest on nothing.
    assert shown.reads == 2


async def test_confirmed_then_widened_until_four_hours(hospital: Ward) -> None:
    person = hospital.app.enrol()
    name = (await hospital.open(person)).emergency_access.name
    await hospital.confirm(name)
    assert await seen(hospital, person, SUMMARY, SECOND) == set(SUMMARY)
    assert await seen(hospital, person, SUMMARY, THIRD) == set()
    assert await seen(hospital, person, [*SUMMARY, REFERRAL]) == set(SUMMARY)
    await hospital.widen(name)
    assert await seen(hospital, person, [*SUMMARY, REFERRAL, HIV]) == {*SUMMARY, REFERRAL}
    await hospital.widen(name, life_saving=True)
    assert await seen(hospital, person, [*SUMMARY, REFERRAL, HIV]) == {*SUMMARY, REFERRAL, HIV}
    hospital.clock.advance(timedelta(hours=4) - timedelta(microseconds=1))
    assert await seen(hospital, person, SUMMARY) == set(SUMMARY)
    hospital.clock.advance(timedelta(microseconds=1))
    assert await seen(hospital, person, SUMMARY) == set()


async def test_an_end_by_hand_stops_the_next_read(hospital: Ward) -> None:
    person = hospital.app.enrol()
    name = (await hospital.open(person)).emergency_access.name
    assert await seen(hospital, person, SUMMARY) == set(SUMMARY)
    await hospital.end(name)
    assert await seen(hospital, person, SUMMARY) == set()
