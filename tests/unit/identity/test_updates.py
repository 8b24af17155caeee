"""What becomes known of a person, and what stays of what was known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from services.chassis.errors import InvalidArgument, RequestIdReused
from services.chassis.principal import Principal
from services.identity.errors import EtagMismatch, IdentificationConflict, IdentifierConflict, PersonNotFound
from services.identity.golden import etag
from services.identity.links import ChangeKind
from services.identity.model import (
    Assurance,
    BirthDate,
    Demographics,
    Identifier,
    IdentifierType,
    Outcome,
    Person,
    Query,
    Sex,
    SourceRecord,
    Statement,
)
from services.identity.service import Arrival, Update
from services.identity.service.links import Wish
from services.identity.statements import current
from tests.unit.identity.conftest import CLINIC, HOSPITAL, NOW, RECORDS, STEWARD, Operations

HOA = Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985, 3, 2), sex=Sex.FEMALE, phone="0912345678")
CITIZEN_ID = Identifier(IdentifierType.CITIZEN_ID, "001185012345")
RENEWED = Identifier(IdentifierType.CITIZEN_ID, "001185999999")
CARD = Identifier(IdentifierType.HEALTH_INSURANCE, "DN4010123456789")
PASSPORT = Identifier(IdentifierType.PASSPORT, "B1234567", "VNM")


async def register(
    operations: Operations,
    *identifiers: Identifier,
    demographics: Demographics = HOA,
    principal: Principal = HOSPITAL,
    assurance: Assurance = Assurance.TYPED,
) -> Person:
    request = str(identifiers[0].value)
    person, _ = await operations.persons.register(
        principal, identifiers, demographics, assurance, request, request.encode()
    )
    return person


async def change(
    operations: Operations, update: Update, principal: Principal = HOSPITAL, request_id: str = "u1"
) -> Person:
    return await operations.updates.update(principal, update, request_id, request_id.encode())


async def read(operations: Operations, id: UUID) -> Person:
    return await operations.persons.get(STEWARD, id)


async def outcome(
    operations: Operations, demographics: Demographics, number: Identifier
) -> tuple[Outcome, UUID | None]:
    (found,) = await operations.persons.resolve(CLINIC, [Query((number,), demographics)])
    return found.outcome, found.person


async def test_newer_values_stand_and_older_ones_stay_in_the_history(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID)
    operations.clock.advance(timedelta(days=1))
    shown = await change(operations, Update(person.id, demographics=Demographics(phone="0987654321")))
    assert shown.demographics == Demographics()
    after = await read(operations, person.id)
    assert after.demographics == replace(HOA, phone="0987654321")
    assert after.version == 2
    said = await operations.store.read(lambda transaction: transaction.statements(person.id))
    assert [(one.at, one.demographics.phone, one.actor) for one in said] == [
        (NOW, "0912345678", "FACILITY/01001"),
        (NOW + timedelta(days=1), "0987654321", "FACILITY/01001"),
    ]
    history = await operations.store.read(lambda transaction: transaction.history(person.id))
    assert [(one.kind, dict(one.detail)) for one in history[1:]] == [("DEMOGRAPHICS_CHANGED", {"fields": "phone"})]
    assert [one.kind for one in operations.store._state.changes] == [ChangeKind.CREATED, ChangeKind.UPDATED]


async def test_what_is_typed_later_does_not_stand_above_what_the_registry_said(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID, principal=STEWARD, assurance=Assurance.REGISTRY)
    await operations.filing.file(RECORDS, [SourceRecord("01001", "BN1", (CITIZEN_ID,), HOA)])
    operations.clock.advance(timedelta(days=1))
    await change(operations, Update(person.id, demographics=Demographics(name="Nguyễn Thị Hoa", phone="0987654321")))
    assert (await read(operations, person.id)).demographics == HOA


async def test_a_second_citizen_number_ends_the_first_which_stays_findable(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID, CARD)
    await change(operations, Update(person.id, add=(RENEWED,)))
    numbers = {held.identifier: held.valid_to for held in (await read(operations, person.id)).identifiers}
    assert numbers == {CITIZEN_ID: NOW, CARD: None, RENEWED: None}
    for number in (CITIZEN_ID, RENEWED, CARD):
        assert await outcome(operations, HOA, number) == (Outcome.MATCH, person.id)
    history = await operations.store.read(lambda transaction: transaction.history(person.id))
    assert [one.kind for one in history[1:]] == ["IDENTIFIER_ENDED", "IDENTIFIER_ADDED"]


async def test_a_number_that_ended_may_be_another_persons(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID)
    await change(operations, Update(person.id, add=(RENEWED,)))
    binh = Demographics(name="Trần Văn Bình", birth=BirthDate(1970, 1, 5))
    other, _ = await operations.persons.register(HOSPITAL, [CITIZEN_ID], binh, Assurance.TYPED, "r9", b"9")
    assert other.id != person.id
    assert await outcome(operations, binh, CITIZEN_ID) == (Outcome.MATCH, other.id)
    with pytest.raises(IdentifierConflict):
        await change(operations, Update(person.id, add=(CITIZEN_ID,)), request_id="u2")


async def test_a_number_can_be_taken_up_again(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID)
    await change(operations, Update(person.id, add=(RENEWED,)))
    await change(operations, Update(person.id, add=(CITIZEN_ID,)), request_id="u2")
    active = {one.identifier for one in (await read(operations, person.id)).identifiers if one.valid_to is None}
    assert active == {CITIZEN_ID}


async def test_a_new_passport_ends_none_unless_told(operations: Operations) -> None:
    person = await register(operations, PASSPORT)
    renewed = Identifier(IdentifierType.PASSPORT, "C7654321", "VNM")
    await change(operations, Update(person.id, add=(renewed,)))
    active = [one.identifier for one in (await read(operations, person.id)).identifiers if one.valid_to is None]
    assert active == [PASSPORT, renewed]
    await change(operations, Update(person.id, end=(PASSPORT,)), request_id="u2")
    active = [one.identifier for one in (await read(operations, person.id)).identifiers if one.valid_to is None]
    assert active == [renewed]


async def test_what_a_chip_said_is_not_ended_by_typing(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID, assurance=Assurance.CHIP_OR_APP)
    with pytest.raises(IdentifierConflict):
        await change(operations, Update(person.id, add=(RENEWED,)))
    await change(operations, Update(person.id, add=(RENEWED,), assurance=Assurance.CHIP_OR_APP), request_id="u2")
    await change(operations, Update(person.id, add=(CITIZEN_ID,)), STEWARD, "u3")
    active = {one.identifier for one in (await read(operations, person.id)).identifiers if one.valid_to is None}
    assert active == {CITIZEN_ID}


async def test_a_number_of_another_person_is_a_conflict_and_writes_nothing(operations: Operations) -> None:
    await register(operations, CARD, demographics=Demographics(name="Trần Văn Bình", birth=BirthDate(1970, 1, 5)))
    person = await register(operations, CITIZEN_ID)
    update = Update(person.id, demographics=Demographics(phone="0987654321"), add=(CARD,))
    with pytest.raises(IdentifierConflict):
        await change(operations, update)
    assert (await read(operations, person.id)).version == 1


async def test_the_wrong_etag_changes_nothing(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID)
    update = Update(person.id, person.etag, Demographics(phone="0987654321"))
    assert (await change(operations, update)).etag == '"2"'
    # The same call again gets the first answer, though the etag is an old one by now; another one does not.
    assert (await change(operations, update)).etag == '"2"'
    with pytest.raises(EtagMismatch):
        await change(operations, update, request_id="u2")
    with pytest.raises(RequestIdReused):
        await operations.updates.update(HOSPITAL, update, "u1", b"other")


async def test_the_etag_of_a_person_of_several_entries_will_do(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID)
    other = await register(operations, CARD)
    await operations.links.link_persons(STEWARD, Wish(other.id, person.id, "SAME_NUMBER"), "l1", b"1")
    entries = await operations.store.read(lambda transaction: transaction.persons([person.id, other.id]))
    read = etag(entries[person.id], [entries[other.id]])
    update = Update(person.id, read, Demographics(phone="0987654321"))
    await change(operations, update)
    with pytest.raises(EtagMismatch):
        await change(operations, update, request_id="u2")


async def test_a_facility_changes_only_whom_it_registered_or_filed(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID)
    update = Update(person.id, demographics=Demographics(phone="0987654321"))
    for id in (person.id, UUID(int=99)):
        with pytest.raises(PersonNotFound):
            await change(operations, replace(update, person=id), CLINIC)
    await operations.filing.file(RECORDS, [SourceRecord("79002", "BN1", (CITIZEN_ID,), HOA)])
    await change(operations, update, CLINIC)
    assert (await read(operations, person.id)).demographics.phone == "0987654321"
    elsewhere, _ = await operations.provisional.register(HOSPITAL, Arrival(Sex.MALE), "p1", b"1")
    with pytest.raises(PersonNotFound):
        await change(operations, replace(update, person=elsewhere.id), CLINIC, "u2")


async def test_name_and_birth_date_of_somebody_else_are_a_conflict(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID)
    married = Demographics(name="Lê Thị Bưởi", birth=HOA.birth)
    await change(operations, Update(person.id, demographics=married))
    other = Demographics(name="Trần Văn Bình", birth=BirthDate(1970, 1, 5))
    with pytest.raises(IdentificationConflict):
        await change(operations, Update(person.id, demographics=other), request_id="u2")
    await change(operations, Update(person.id, demographics=other), STEWARD, "u3")
    assert (await read(operations, person.id)).demographics.name == "Trần Văn Bình"


async def test_death_and_protection_are_the_stewards(operations: Operations) -> None:
    person = await register(operations, CITIZEN_ID)
    update = Update(person.id, death=date(2026, 11, 22), protected=True)
    with pytest.raises(InvalidArgument) as refused:
        await change(operations, update)
    assert {one.field for one in refused.value.violations} == {"death_date", "protected"}
    after = await change(operations, update, STEWARD)
    assert (after.death, after.protected) == (date(2026, 11, 22), True)
    history = await operations.store.read(lambda transaction: transaction.history(person.id))
    assert [one.kind for one in history[1:]] == ["DEATH_RECORDED", "PROTECTION_CHANGED"]
    again = await change(operations, Update(person.id, protected=False), STEWARD, "u2")
    # What was not sent is not shown, and stays.
    assert (again.protected, again.death, again.demographics) == (False, None, Demographics())
    kept = await operations.store.read(lambda transaction: transaction.person(person.id))
    assert kept is not None
    assert kept.death == date(2026, 11, 22)


async def test_the_death_of_an_unidentified_patient_is_told_within_a_day(operations: Operations) -> None:
    person, _ = await operations.provisional.register(HOSPITAL, Arrival(Sex.MALE), "p1", b"1")
    after = await change(operations, Update(person.id, death=date(2026, 11, 23)), STEWARD)
    assert after.provisional is not None
    assert after.provisional.notice_due_at == datetime(2026, 11, 23, 17, tzinfo=UTC)


async def test_a_provisional_person_gets_its_first_numbers_elsewhere(operations: Operations) -> None:
    person, _ = await operations.provisional.register(HOSPITAL, Arrival(Sex.FEMALE), "p1", b"1")
    with pytest.raises(InvalidArgument) as refused:
        await change(operations, Update(person.id, add=(CITIZEN_ID,)))
    assert [one.reason for one in refused.value.violations] == ["PERSON_PROVISIONAL"]
    shown = await change(operations, Update(person.id, demographics=HOA), request_id="u2")
    assert shown.demographics == HOA


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (Update(UUID(int=0), end=(CARD,)), "IDENTIFIER_NOT_HELD"),
        (Update(UUID(int=0), end=(CITIZEN_ID,)), "LAST_IDENTIFIER"),
        (Update(UUID(int=0), add=(CARD,), end=(CARD,)), "IDENTIFIER_BOTH"),
        (Update(UUID(int=0), add=(Identifier(IdentifierType.LOCAL_MRN, "7", "01001"),)), "TYPE_NOT_NATIONAL"),
        (Update(UUID(int=0), add=(Identifier(IdentifierType.CITIZEN_ID, "12"),)), "CITIZEN_ID_MALFORMED"),
        (Update(UUID(int=0), assurance=Assurance.REGISTRY), "ASSURANCE_RESERVED"),
        (Update(UUID(int=0), demographics=Demographics(name="CB Nguyễn Thị Hoà")), "NAME_PLACEHOLDER"),
        (Update(UUID(int=0), demographics=Demographics(birth=BirthDate(2030))), "BIRTH_DATE_IN_FUTURE"),
    ],
)
async def test_what_no_update_can_say(operations: Operations, update: Update, reason: str) -> None:
    person = await register(operations, CITIZEN_ID)
    with pytest.raises(InvalidArgument) as refused:
        await change(operations, replace(update, person=person.id))
    assert [one.reason for one in refused.value.violations] == [reason]


def said(
    at: int, demographics: Demographics, assurance: Assurance = Assurance.TYPED, actor: str = "FACILITY/1"
) -> Statement:
    return Statement(UUID(int=at), NOW + timedelta(hours=at), demographics, assurance, actor)


def test_per_value_the_most_trusted_then_the_newest_stands() -> None:
    typed = said(1, Demographics(name="A", phone="1"))
    later = said(4, Demographics(name="B", phone="2"))
    steward = said(2, Demographics(name="C"), actor="STEWARD/s")
    chip = said(0, Demographics(birth=BirthDate(1985, 3, 2)), Assurance.CHIP_OR_APP)
    claim = said(5, Demographics(birth=BirthDate(1990)))
    expected = Demographics(name="C", birth=BirthDate(1985, 3, 2), phone="2")
    assert current([typed, later, steward, chip, claim]) == current([claim, chip, steward, later, typed]) == expected
    registry = said(0, Demographics(name="D"), Assurance.REGISTRY)
    assert current([typed, later, steward, registry]).name == "D"


def test_an_estimate_never_takes_the_place_of_a_date() -> None:
    known, estimate = BirthDate(1985, 3, 2), BirthDate(1980, estimated=True)
    assert current([said(1, Demographics(birth=known)), said(2, Demographics(birth=estimate))]).birth == known
    assert current([said(1, Demographics(birth=estimate)), said(2, Demographics(birth=known))]).birth == known
