"""Finding, registering and reading persons."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from services.chassis.errors import InvalidArgument, RequestIdReused
from services.chassis.principal import Principal, PrincipalKind
from services.identity.errors import (
    IdentifierConflict,
    OrganizationNotFound,
    OrganizationSuspended,
    PersonNotFound,
)
from services.identity.model import (
    Agreement,
    Assurance,
    BirthDate,
    Demographics,
    Identifier,
    IdentifierType,
    Outcome,
    Person,
    Query,
    Sex,
)
from services.identity.resolution import ask
from tests.unit.identity.conftest import ADMIN, CLINIC, HOSPITAL, STEWARD, Operations

HOA = Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985, 3, 2), sex=Sex.FEMALE, phone="0912345678")
CITIZEN_ID = Identifier(IdentifierType.CITIZEN_ID, "001185012345")
CARD = Identifier(IdentifierType.HEALTH_INSURANCE, "DN4010123456789")
OLD_ID = Identifier(IdentifierType.OLD_ID, "012345678")


async def register(
    operations: Operations,
    *identifiers: Identifier,
    demographics: Demographics = HOA,
    principal: Principal = HOSPITAL,
    request_id: str = "r1",
    digest: bytes = b"1",
) -> tuple[Person, bool]:
    return await operations.persons.register(principal, identifiers, demographics, Assurance.TYPED, request_id, digest)


async def outcome(operations: Operations, demographics: Demographics, *identifiers: Identifier) -> Outcome:
    (found,) = await operations.persons.resolve(HOSPITAL, [Query(identifiers, demographics)])
    return found.outcome


async def test_a_registered_person_is_found_by_every_identifier(operations: Operations) -> None:
    person, created = await register(operations, CITIZEN_ID, CARD)
    assert created
    for identifier in (CITIZEN_ID, CARD, Identifier(IdentifierType.SOCIAL_INSURANCE, "0123456789")):
        (found,) = await operations.persons.resolve(CLINIC, [Query((identifier,), HOA)])
        assert (found.outcome, found.person) == (Outcome.MATCH, person.id)


async def test_a_batch_is_answered_in_order(operations: Operations) -> None:
    person, _ = await register(operations, CITIZEN_ID)
    unknown = Identifier(IdentifierType.CITIZEN_ID, "079190000001")
    found = await operations.persons.resolve(
        HOSPITAL,
        [Query((unknown,), HOA), Query((CITIZEN_ID,), HOA), Query((CITIZEN_ID,), replace(HOA, name="Lê Văn Tám"))],
    )
    assert [one.outcome for one in found] == [Outcome.REVIEW, Outcome.MATCH, Outcome.REVIEW]
    assert [one.person for one in found] == [None, person.id, None]


async def test_a_borrowed_card_is_for_review(operations: Operations) -> None:
    await register(operations, CITIZEN_ID, CARD)
    sister = Demographics(name="Nguyễn Thị Hương", birth=BirthDate(1988, 7, 9), sex=Sex.FEMALE)
    assert await outcome(operations, sister, CARD) is Outcome.REVIEW


async def test_identifiers_of_two_persons_are_for_review(operations: Operations) -> None:
    await register(operations, CITIZEN_ID)
    binh = Demographics(name="Trần Văn Bình", birth=BirthDate(1970, 1, 5))
    await register(operations, CARD, demographics=binh, request_id="r2")
    assert await outcome(operations, HOA, CITIZEN_ID, CARD) is Outcome.REVIEW


async def test_a_second_citizen_number_of_a_person_is_for_review(operations: Operations) -> None:
    await register(operations, CITIZEN_ID, CARD)
    other = Identifier(IdentifierType.CITIZEN_ID, "001185999999")
    (found,) = await operations.persons.resolve(HOSPITAL, [Query((CARD, other), HOA)])
    assert found.outcome is Outcome.REVIEW
    assert [one.agreement for one in found.evidence[:2]] == [Agreement.AGREES, Agreement.DISAGREES]


async def test_an_old_number_shared_by_strangers_finds_the_one_who_agrees(operations: Operations) -> None:
    hoa, _ = await register(operations, CITIZEN_ID, OLD_ID)
    binh = Demographics(name="Trần Văn Bình", birth=BirthDate(1970, 1, 5))
    number = Identifier(IdentifierType.CITIZEN_ID, "079070000001")
    await register(operations, number, OLD_ID, demographics=binh, request_id="r2")
    (found,) = await operations.persons.resolve(HOSPITAL, [Query((OLD_ID,), HOA)])
    assert (found.outcome, found.person) == (Outcome.MATCH, hoa.id)


async def test_warnings_name_field_and_code(operations: Operations) -> None:
    bad = (Identifier(IdentifierType.CITIZEN_ID, "123"), Identifier(IdentifierType.CITIZEN_ID, "001085012345"))
    (found,) = await operations.persons.resolve(HOSPITAL, [Query(bad, HOA)])
    assert found.warnings == ("identifiers[0]: CITIZEN_ID_MALFORMED", "identifiers[1]: CITIZEN_ID_SEX_MISMATCH")


async def test_the_same_request_gives_the_first_answer(operations: Operations) -> None:
    first = await register(operations, CITIZEN_ID)
    assert await register(operations, CITIZEN_ID) == first
    with pytest.raises(RequestIdReused):
        await register(operations, CITIZEN_ID, digest=b"2")


async def test_a_known_person_shows_a_facility_no_more_than_it_sent(operations: Operations) -> None:
    first, _ = await register(operations, CITIZEN_ID, CARD)
    again, created = await register(operations, CITIZEN_ID, principal=CLINIC)
    assert (again.id, created, again.demographics) == (first.id, False, Demographics())
    assert [held.identifier.value for held in again.identifiers] == ["********2345"]


async def test_a_match_adds_the_new_identifiers(operations: Operations) -> None:
    first, _ = await register(operations, CITIZEN_ID)
    await register(operations, CITIZEN_ID, CARD, principal=CLINIC)
    person = await operations.persons.get(STEWARD, first.id)
    assert [held.identifier for held in person.identifiers] == [CITIZEN_ID, CARD]
    assert person.version == 2
    history = await operations.store.read(lambda transaction: transaction.history(first.id))
    assert [(line.kind, line.actor) for line in history] == [
        ("PERSON_REGISTERED", "FACILITY/01001"),
        ("IDENTIFIER_ADDED", "PRACTITIONER/79002"),
    ]


async def test_disagreeing_demographics_are_a_conflict_and_write_nothing(operations: Operations) -> None:
    await register(operations, CITIZEN_ID)
    with pytest.raises(IdentifierConflict):
        await register(operations, CITIZEN_ID, CARD, demographics=replace(HOA, name="Lê Văn Tám"), request_id="r2")
    assert not await operations.store.read(lambda transaction: transaction.holders(ask([CARD], HOA).keys))


async def test_a_stranger_with_the_same_old_number_can_be_registered(operations: Operations) -> None:
    hoa, _ = await register(operations, CITIZEN_ID, OLD_ID)
    binh = Demographics(name="Trần Văn Bình", birth=BirthDate(1970, 1, 5))
    number = Identifier(IdentifierType.CITIZEN_ID, "079070000001")
    other, created = await register(operations, number, OLD_ID, demographics=binh, request_id="r2")
    assert created
    assert other.id != hoa.id


async def test_every_fault_of_a_registration_is_named_at_once(operations: Operations) -> None:
    faulty = (Identifier(IdentifierType.CITIZEN_ID, "123"), Identifier(IdentifierType.LOCAL_MRN, "7", "01001"))
    with pytest.raises(InvalidArgument) as refused:
        await operations.persons.register(
            HOSPITAL, faulty, Demographics(name="Vô danh"), Assurance.REGISTRY, "r1", b"1"
        )
    assert {one.field for one in refused.value.violations} == {
        "identifiers[0].value",
        "identifiers[1].type",
        "demographics.human_name.text",
        "demographics.birth_date",
        "assurance",
    }
    assert "123" not in str(refused.value)


@pytest.mark.parametrize(
    ("demographics", "identifiers", "field"),
    [
        (replace(HOA, birth=BirthDate(2030, 1, 1)), (CITIZEN_ID,), "demographics.birth_date"),
        (HOA, (OLD_ID,), "identifiers"),
        (replace(HOA, name="CB Nguyễn Thị Hoà"), (CITIZEN_ID,), "demographics.human_name.text"),
    ],
)
async def test_what_cannot_found_a_person(
    operations: Operations, demographics: Demographics, identifiers: tuple[Identifier, ...], field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await register(operations, *identifiers, demographics=demographics)
    assert [one.field for one in refused.value.violations] == [field]


async def test_only_a_steward_vouches_for_the_registry(operations: Operations) -> None:
    person, _ = await operations.persons.register(STEWARD, [CITIZEN_ID], HOA, Assurance.REGISTRY, "r1", b"1")
    assert person.identifiers[0].assurance is Assurance.REGISTRY
    assert person.identifiers[0].identifier == CITIZEN_ID


async def test_a_suspended_or_unknown_facility_can_neither_register_nor_resolve(operations: Operations) -> None:
    await operations.organizations.suspend(ADMIN, "01001", "", "", "s1", b"1")
    with pytest.raises(OrganizationSuspended):
        await register(operations, CITIZEN_ID)
    with pytest.raises(OrganizationSuspended):
        await operations.persons.resolve(HOSPITAL, [Query((CITIZEN_ID,), HOA)])
    stranger = Principal(PrincipalKind.FACILITY, "x", facility="96999")
    with pytest.raises(OrganizationNotFound):
        await register(operations, CITIZEN_ID, principal=stranger)


async def test_who_may_read_a_person(operations: Operations) -> None:
    person, _ = await register(operations, CITIZEN_ID)
    own = Principal(PrincipalKind.CITIZEN, "c", person=person.name)
    for allowed in (own, STEWARD):
        assert (await operations.persons.get(allowed, person.id)).identifiers[0].identifier == CITIZEN_ID
    for other in (HOSPITAL, CLINIC, ADMIN, Principal(PrincipalKind.CITIZEN, "d", person=f"persons/{UUID(int=99)}")):
        with pytest.raises(PersonNotFound):
            await operations.persons.get(other, person.id)
    with pytest.raises(PersonNotFound):
        await operations.persons.get(STEWARD, UUID(int=99))


def test_persons_stay_out_of_representations() -> None:
    text = repr(HOA) + repr(CITIZEN_ID) + repr(Query((CITIZEN_ID,), HOA))
    assert not any(secret in text for secret in ("Hoà", "1985", "0912", "0011850"))
