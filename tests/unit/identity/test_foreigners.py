"""Foreigners by passport, and protected persons by exact number only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.identity.errors import IdentifierConflict
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
    Resolution,
    Sex,
)
from services.identity.service import Update
from tests.unit.identity.conftest import CLINIC, HOSPITAL, STEWARD, Operations

KIM = Demographics(name="KIM MIN JUN", birth=BirthDate(1990, 7, 1), sex=Sex.MALE, phone="0912345678")
OLD = Identifier(IdentifierType.PASSPORT, "M12345678", "KOR")
NEW = Identifier(IdentifierType.PASSPORT, "M87654321", "KOR")


async def register(
    operations: Operations, *identifiers: Identifier, demographics: Demographics = KIM, request_id: str = "r1"
) -> Person:
    person, _ = await operations.persons.register(
        HOSPITAL, identifiers, demographics, Assurance.TYPED, request_id, request_id.encode()
    )
    return person


async def resolve(operations: Operations, demographics: Demographics, *identifiers: Identifier) -> Resolution:
    (found,) = await operations.persons.resolve(CLINIC, [Query(identifiers, demographics)])
    return found


async def test_a_passport_says_the_nationality_where_nobody_did(operations: Operations) -> None:
    person = await register(operations, OLD)
    assert (await operations.persons.get(STEWARD, person.id)).demographics == replace(KIM, nationality="KOR")
    resident = Identifier(IdentifierType.CITIZEN_ID, "001090012345")
    vietnamese = await register(
        operations, resident, Identifier(IdentifierType.PASSPORT, "B1234567", "VNM"), request_id="r2"
    )
    assert (await operations.persons.get(STEWARD, vietnamese.id)).demographics.nationality is None


async def test_a_new_passport_beside_the_old_one_is_added_and_ends_none(operations: Operations) -> None:
    person = await register(operations, OLD)
    again = await register(operations, NEW, OLD, demographics=replace(KIM, nationality="KOR"), request_id="r2")
    assert again.id == person.id
    held = (await operations.persons.get(STEWARD, person.id)).identifiers
    assert [(one.identifier, one.valid_to) for one in held] == [(OLD, None), (NEW, None)]
    for number in (OLD, NEW):
        assert (await resolve(operations, KIM, number)).person == person.id


async def test_a_new_passport_alone_is_somebody_new(operations: Operations) -> None:
    person = await register(operations, OLD)
    assert (await register(operations, NEW, request_id="r2")).id != person.id


async def test_another_nationality_is_for_a_steward(operations: Operations) -> None:
    await register(operations, OLD)
    with pytest.raises(IdentifierConflict):
        await register(operations, NEW, OLD, demographics=replace(KIM, nationality="USA"), request_id="r2")
    found = await resolve(operations, replace(KIM, nationality="USA"), OLD)
    assert found.outcome is Outcome.REVIEW
    # The same number of another country is another passport, and a new passport alone does not make one person of two.
    found = await resolve(operations, KIM, replace(OLD, assigner="JPN"))
    assert (found.outcome, found.person) == (Outcome.REVIEW, None)


async def test_a_protected_person_is_found_by_what_is_hers_and_shows_nothing_else(operations: Operations) -> None:
    person = await register(operations, OLD)
    await operations.updates.update(STEWARD, Update(person.id, protected=True), "u1", b"1")
    found = await resolve(operations, KIM, OLD)
    assert (found.outcome, found.person) == (Outcome.MATCH, person.id)
    assert [(one.field, one.agreement) for one in found.evidence] == [
        ("identifiers[0]", Agreement.AGREES),
        ("demographics.human_name", Agreement.AGREES),
        ("demographics.birth_date", Agreement.AGREES),
    ]
    # Nobody finds out by trying which of name and birth date is wrong.
    tries = [replace(KIM, name="PARK JI SU"), replace(KIM, birth=BirthDate(1991, 7, 1)), Demographics()]
    answers = [await resolve(operations, one, OLD) for one in tries]
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0].outcome, answers[0].person, answers[0].ask_next) == (Outcome.REVIEW, None, ())
    assert [one.field for one in answers[0].evidence] == ["identifiers[0]"]
