"""Provisional persons: how they are registered, their work lists, and the notice to the authority."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from lienthong.client import wristband
from lienthong.client.temporary_identifier import issue

from services.chassis.errors import InvalidArgument, RequestIdReused
from services.chassis.principal import Principal
from services.identity.errors import (
    NotProvisional,
    OrganizationNotFound,
    OrganizationSuspended,
    PersonNotFound,
    TemporaryIdentifierRefused,
)
from services.identity.model import (
    BirthDate,
    Demographics,
    Identifier,
    IdentifierType,
    Person,
    PersonState,
    ProvisionalKind,
    Sex,
    SourceRecord,
)
from services.identity.service import Arrival, Line, Wanted
from tests.unit.identity.conftest import ADMIN, CLINIC, HOSPITAL, NOW, RECORDS, STEWARD, Operations

HOUR = timedelta(hours=1)
ALL = Wanted()
MAN = Arrival(Sex.MALE)


async def arrive(
    operations: Operations, arrival: Arrival = MAN, request_id: str = "p1", principal: Principal = HOSPITAL
) -> tuple[Person, str]:
    return await operations.provisional.register(principal, arrival, request_id, request_id.encode())


async def lines(operations: Operations, wanted: Wanted = ALL, principal: Principal = HOSPITAL) -> list[Line]:
    return list(await operations.provisional.list(principal, wanted, None, 99))


async def test_a_provisional_person_gets_a_number_and_an_alias_and_belongs_to_its_facility(
    operations: Operations,
) -> None:
    emergency = Arrival(Sex.MALE, ProvisionalKind.EMERGENCY, estimated_age=40)
    person, number = await arrive(operations, emergency)
    assert number.startswith("T-01001-")
    assert (person.state, person.facility) == (PersonState.PROVISIONAL, "01001")
    assert person.demographics == Demographics(birth=BirthDate(1986, estimated=True), sex=Sex.MALE)
    assert person.provisional is not None
    assert person.provisional.kind is ProvisionalKind.EMERGENCY
    assert wristband.parse(person.provisional.alias) == person.provisional.alias
    assert (await operations.persons.get(HOSPITAL, person.id)).id == person.id
    with pytest.raises(PersonNotFound):
        await operations.persons.get(CLINIC, person.id)
    assert await arrive(operations, emergency) == (person, number)
    with pytest.raises(RequestIdReused):
        await operations.provisional.register(HOSPITAL, emergency, "p1", b"2")


async def test_a_number_issued_offline_is_adopted_once(operations: Operations) -> None:
    offline = str(issue("01001"))
    first, number = await arrive(operations, replace(MAN, temporary=offline.lower().replace("-", "")))
    assert number == offline
    again, same = await arrive(operations, replace(MAN, temporary=offline), "p2")
    assert (again.id, same) == (first.id, offline)


async def test_what_was_issued_offline_is_kept_with_its_time(operations: Operations) -> None:
    early = replace(MAN, temporary=str(issue("01001")), alias="den huou", at=NOW - 5 * HOUR)
    person, _ = await arrive(operations, early)
    assert person.provisional is not None
    assert (person.provisional.alias, person.provisional.arrival_at) == ("Đèn Hươu", NOW - 5 * HOUR)
    assert person.provisional.notice_due_at == NOW + 43 * HOUR


async def test_an_alias_is_one_patients_of_a_facility_for_90_days(operations: Operations) -> None:
    banded = replace(MAN, alias="Đèn Hươu")
    first, _ = await arrive(operations, banded)
    with pytest.raises(InvalidArgument) as refused:
        await arrive(operations, banded, "p2")
    assert [one.reason for one in refused.value.violations] == ["ALIAS_TAKEN"]
    elsewhere, _ = await arrive(operations, banded, "p3", CLINIC)
    operations.clock.advance(timedelta(days=90))
    later, _ = await arrive(operations, replace(banded, at=None), "p4")
    assert len({first.id, elsewhere.id, later.id}) == 3


async def test_a_name_is_no_alias(operations: Operations) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await arrive(operations, replace(MAN, alias="Nguyễn Văn"))
    assert [one.reason for one in refused.value.violations] == ["ALIAS_INVALID"]


async def test_the_same_patient_number_is_the_same_provisional_person(operations: Operations) -> None:
    first = await arrive(operations, replace(MAN, mrn="BN 7"))
    again = await arrive(operations, replace(MAN, mrn="BN  7"), "p2")
    elsewhere, _ = await arrive(operations, replace(MAN, mrn="BN 7"), "p3", CLINIC)
    assert again == first
    assert elsewhere.id != first[0].id


async def test_a_document_that_came_first_does_not_hide_how_the_patient_came(operations: Operations) -> None:
    band = str(issue("01001"))
    said = SourceRecord("01001", "BN1", (Identifier(IdentifierType.TEMPORARY, band),), Demographics(sex=Sex.MALE))
    (filing,) = await operations.filing.file(RECORDS, [said])
    (line,) = await lines(operations)
    assert (line.came.alias, line.came.notice_due_at) == ("", None)
    emergency = replace(MAN, kind=ProvisionalKind.EMERGENCY, temporary=band, alias="Đèn Hươu", at=NOW - HOUR)
    person, _ = await arrive(operations, emergency)
    assert person.id == filing.person
    (line,) = await lines(operations)
    assert (line.came.alias, line.came.kind, line.age_hours) == ("Đèn Hươu", ProvisionalKind.EMERGENCY, 1)
    assert line.came.notice_due_at == NOW + 47 * HOUR
    # What was said first stays: nobody is banded anew by a second registration.
    await arrive(operations, replace(emergency, alias="Ghế Sóc"), "p2")
    assert [one.came.alias for one in await lines(operations)] == ["Đèn Hươu"]


@pytest.mark.parametrize(
    "temporary", ["T-01001-0000000-00", "nonsense", str(issue("79002"))], ids=["wrong", "nonsense", "foreign"]
)
async def test_a_wrong_or_foreign_number_is_refused(operations: Operations, temporary: str) -> None:
    with pytest.raises(TemporaryIdentifierRefused) as refused:
        await arrive(operations, replace(MAN, temporary=temporary))
    assert [one.field for one in refused.value.violations] == ["temporary_identifier"]


async def test_every_fault_of_an_arrival_is_named_at_once(operations: Operations) -> None:
    faulty = Arrival(
        Sex.MALE,
        ProvisionalKind.NEWBORN,
        estimated_age=131,
        claimed=Demographics(birth=BirthDate(2030)),
        at=NOW + HOUR,
    )
    with pytest.raises(InvalidArgument) as refused:
        await arrive(operations, faulty)
    fields = {one.field for one in refused.value.violations}
    assert fields == {"kind", "estimated_age", "claimed.birth_date", "arrival_time"}
    for wrong in (replace(MAN, estimated_age=-1), replace(MAN, at=NOW - timedelta(days=367)), replace(MAN, mrn=" ")):
        with pytest.raises(InvalidArgument):
            await arrive(operations, wrong)


async def test_a_suspended_facility_registers_and_lists_nobody(operations: Operations) -> None:
    await operations.organizations.suspend(ADMIN, "01001", "", "", "s1", b"1")
    with pytest.raises(OrganizationSuspended):
        await arrive(operations)
    with pytest.raises(OrganizationSuspended):
        await lines(operations)


async def test_the_work_lists_are_by_age_oldest_first_and_a_facilitys_own(operations: Operations) -> None:
    ages = {"young": 1, "day": 24, "week": 168, "month": 720}
    made = {
        name: (await arrive(operations, replace(MAN, at=NOW - age * HOUR), name))[0].id for name, age in ages.items()
    }
    other, _ = await arrive(operations, replace(MAN, at=NOW - 30 * HOUR), "other", CLINIC)

    async def listed(principal: Principal, hours: int = 0, facility: str | None = None) -> list[UUID]:
        return [one.person.id for one in await lines(operations, Wanted(facility, hours), principal)]

    assert await listed(HOSPITAL) == [made[name] for name in ("month", "week", "day", "young")]
    assert await listed(HOSPITAL, 24) == [made[name] for name in ("month", "week", "day")]
    assert await listed(HOSPITAL, 168) == [made[name] for name in ("month", "week")]
    assert await listed(HOSPITAL, 721) == []
    assert await listed(STEWARD, 24) == [made["month"], made["week"], other.id, made["day"]]
    assert await listed(STEWARD, 0, "79002") == await listed(CLINIC) == [other.id]
    with pytest.raises(OrganizationNotFound):
        await listed(HOSPITAL, 0, "79002")
    with pytest.raises(InvalidArgument):
        await listed(HOSPITAL, -1)


async def test_pages_of_a_work_list_join_without_loss(operations: Operations) -> None:
    # Three came at the same moment: the id decides between them.
    for at in range(5):
        await arrive(operations, replace(MAN, at=NOW - max(at, 2) * HOUR), f"p{at}")
    whole = [(one.came.arrival_at, one.person.id) for one in await lines(operations)]
    paged, after = [], None
    while page := await operations.provisional.list(HOSPITAL, Wanted(), after, 2):
        paged += [(one.came.arrival_at, one.person.id) for one in page]
        after = paged[-1]
    assert paged == whole == sorted(whole)
    assert len(whole) == 5


async def test_a_line_shows_the_wristband_and_nothing_that_was_claimed(operations: Operations) -> None:
    claimed = Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985, 3, 2), phone="0912345678")
    _, number = await arrive(operations, replace(MAN, claimed=claimed, mrn="BN1"))
    (line,) = await lines(operations)
    assert line.person.demographics == Demographics()
    assert [held.identifier.value for held in line.person.identifiers] == [number, "BN1"]


async def test_the_authority_is_due_after_48_hours_until_it_is_told(operations: Operations) -> None:
    person, _ = await arrive(operations)
    due = Wanted(notice_due=True)
    operations.clock.advance(48 * HOUR - timedelta(seconds=1))
    assert await lines(operations, due) == []
    operations.clock.advance(timedelta(seconds=1))
    assert [one.person.id for one in await lines(operations, due)] == [person.id]
    told = NOW + 48 * HOUR
    line = await operations.provisional.note_notice(HOSPITAL, person.id, None, "n1", b"1")
    assert line.came.notice_at == told
    assert await lines(operations, due) == []
    # The first notice stays, whether the call is repeated or made anew.
    operations.clock.advance(HOUR)
    for request_id in ("n1", "n2"):
        again = await operations.provisional.note_notice(HOSPITAL, person.id, None, request_id, b"1")
        assert again.came.notice_at == told
    history = await operations.store.read(lambda transaction: transaction.history(person.id))
    assert [one.kind for one in history] == ["PROVISIONAL_REGISTERED", "AUTHORITY_NOTICED"]


async def test_a_notice_is_of_an_own_provisional_person_and_at_a_possible_time(operations: Operations) -> None:
    person, _ = await arrive(operations)
    for principal, id in ((CLINIC, person.id), (HOSPITAL, UUID(int=99))):
        with pytest.raises(PersonNotFound):
            await operations.provisional.note_notice(principal, id, None, "n1", b"1")
    for at, reason in ((NOW + HOUR, "TIME_IN_FUTURE"), (NOW - HOUR, "NOTICE_BEFORE_ARRIVAL")):
        with pytest.raises(InvalidArgument) as refused:
            await operations.provisional.note_notice(HOSPITAL, person.id, at, "n2", b"2")
        assert [one.reason for one in refused.value.violations] == [reason]
    confirmed = replace(person, state=PersonState.ACTIVE, facility=None)
    operations.store._state.persons[person.id] = confirmed
    with pytest.raises(NotProvisional):
        await operations.provisional.note_notice(HOSPITAL, person.id, None, "n3", b"3")
    assert await lines(operations) == []
