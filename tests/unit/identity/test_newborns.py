"""Newborns: an entry of their own, found again by mother, day and order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from lienthong.client.temporary_identifier import issue

from services.chassis.errors import InvalidArgument
from services.chassis.principal import Principal
from services.identity.errors import NewbornConflict, PersonNotFound
from services.identity.model import (
    Assurance,
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
from services.identity.service import Arrival, Birth
from tests.unit.identity.conftest import CLINIC, HOSPITAL, NOW, RECORDS, Operations

BORN = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
HOA = Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985, 3, 2), sex=Sex.FEMALE)


@pytest.fixture
async def mother(operations: Operations) -> Person:
    number = Identifier(IdentifierType.CITIZEN_ID, "001185012345")
    person, _ = await operations.persons.register(HOSPITAL, [number], HOA, Assurance.TYPED, "m1", b"1")
    return person


async def bear(
    operations: Operations, birth: Birth, request_id: str = "b1", principal: Principal = HOSPITAL
) -> tuple[Person, str]:
    return await operations.newborns.register(principal, birth, request_id, request_id.encode())


def girl(mother: Person | None, order: int = 1) -> Birth:
    return Birth(None if mother is None else mother.id, BORN, order, Sex.FEMALE)


async def test_a_newborn_is_a_person_of_its_own_without_a_name(operations: Operations, mother: Person) -> None:
    child, number = await bear(operations, girl(mother))
    assert number.startswith("T-01001-")
    assert child.id != mother.id
    assert (child.state, child.facility) == (PersonState.PROVISIONAL, "01001")
    # Half past one in the night in Hanoi: the next day there.
    assert child.demographics == Demographics(birth=BirthDate(2026, 11, 23), sex=Sex.FEMALE)
    came = child.provisional
    assert came is not None
    assert (came.kind, came.mother, came.birth_order) == (ProvisionalKind.NEWBORN, mother.id, 1)
    assert came.notice_due_at is None
    assert await bear(operations, girl(mother)) == (child, number)


async def test_the_same_child_in_another_call_is_the_same_entry(operations: Operations, mother: Person) -> None:
    first, number = await bear(operations, replace(girl(mother), mrn="S1"))
    for birth in (
        girl(mother),
        replace(girl(mother), temporary=number, mrn="S1"),
        replace(girl(mother), at=BORN + timedelta(seconds=59)),
        replace(girl(mother), sex=Sex.UNDETERMINED),
    ):
        again, same = await bear(operations, birth, f"again-{birth.mrn}-{birth.at}-{birth.sex}")
        assert (again.id, same) == (first.id, number)


async def test_twins_are_told_apart_by_order(operations: Operations, mother: Person) -> None:
    first, _ = await bear(operations, girl(mother))
    second, _ = await bear(operations, girl(mother, 2), "b2")
    assert first.id != second.id


@pytest.mark.parametrize(
    "change",
    [
        {"sex": Sex.MALE},
        {"at": BORN + timedelta(minutes=1)},
        {"temporary": str(issue("01001"))},
        {"mrn": "S2"},
    ],
    ids=["sex", "minute", "wristband", "patient number"],
)
async def test_twins_that_both_are_the_first_are_a_conflict(
    operations: Operations, mother: Person, change: dict[str, object]
) -> None:
    child, _ = await bear(operations, replace(girl(mother), mrn="S1"))
    with pytest.raises(NewbornConflict):
        await bear(operations, replace(girl(mother), **change), "b2")  # type: ignore[arg-type]
    history = await operations.store.read(lambda transaction: transaction.history(child.id))
    assert len(history) == 1


async def test_a_later_birth_of_the_mother_is_another_child(operations: Operations, mother: Person) -> None:
    first, _ = await bear(operations, replace(girl(mother), at=BORN - timedelta(days=300)))
    second, _ = await bear(operations, girl(mother), "b2")
    assert first.id != second.id


async def test_a_newborn_is_never_its_mother(operations: Operations) -> None:
    woman = Arrival(Sex.FEMALE, temporary=str(issue("01001")), mrn="BN1")
    mother, _ = await operations.provisional.register(HOSPITAL, woman, "p1", b"1")
    for birth in (replace(girl(mother), mrn="BN1"), replace(girl(mother), temporary=woman.temporary)):
        with pytest.raises(NewbornConflict):
            await bear(operations, birth, f"b{birth.mrn}")
    child, _ = await bear(operations, girl(mother), "b3")
    assert child.id != mother.id


async def test_the_child_of_another_hospital_is_found_again_and_shows_no_more_than_was_sent(
    operations: Operations, mother: Person
) -> None:
    first, number = await bear(operations, girl(mother))
    again, other = await bear(operations, replace(girl(mother), mrn="NHI1"), "b2", CLINIC)
    assert again.id == first.id
    assert other.startswith("T-79002-")
    assert again.demographics == Demographics()
    assert number not in {held.identifier.value for held in again.identifiers}


async def test_who_can_be_named_as_mother(operations: Operations) -> None:
    elsewhere, _ = await operations.provisional.register(CLINIC, Arrival(Sex.FEMALE), "p1", b"1")
    for unknown in (elsewhere.id, UUID(int=99)):
        with pytest.raises(PersonNotFound):
            await bear(operations, Birth(unknown, BORN, 1, Sex.MALE), str(unknown))


async def test_a_foundling_has_no_mother_and_the_authority_is_told(operations: Operations) -> None:
    first, number = await bear(operations, girl(None))
    second, _ = await bear(operations, girl(None), "b2")
    assert first.id != second.id
    assert first.provisional is not None
    assert first.provisional.notice_due_at == NOW + timedelta(hours=48)
    with pytest.raises(NewbornConflict):
        await bear(operations, replace(girl(None), temporary=number), "b3")


async def test_a_document_that_came_first_becomes_the_newborns(operations: Operations, mother: Person) -> None:
    band = str(issue("01001"))
    said = SourceRecord("01001", "S1", (Identifier(IdentifierType.TEMPORARY, band),), Demographics(sex=Sex.FEMALE))
    (filing,) = await operations.filing.file(RECORDS, [said])
    child, number = await bear(operations, replace(girl(mother), temporary=band))
    assert (child.id, number) == (filing.person, band)
    assert child.provisional is not None
    assert child.provisional.mother == mother.id


async def test_every_fault_is_named_at_once(operations: Operations, mother: Person) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await bear(operations, replace(girl(mother), at=NOW + timedelta(hours=1), order=0))
    assert {one.field for one in refused.value.violations} == {"birth_time", "birth_order"}
