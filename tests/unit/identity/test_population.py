"""Loading an existing population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.chassis.errors import InvalidArgument
from services.identity.errors import PopulationLoadNotFound, PopulationPartOutOfOrder
from services.identity.links import ReviewReason
from services.identity.model import (
    Assurance,
    BirthDate,
    Demographics,
    FilingOutcome,
    Identifier,
    IdentifierType,
    Outcome,
    Query,
    Sex,
)
from services.identity.population import PopulationEntry, PopulationLoad, RowFault
from tests.unit.identity.conftest import ADMIN, HOSPITAL, Operations
from tests.unit.identity.test_filing import CARD, HOA, file, said

LAN = Demographics(name="Trần Thị Mỹ Lan", birth=BirthDate(1979, 11, 23), sex=Sex.FEMALE, phone="0903456781")


def number(value: int) -> Identifier:
    return Identifier(IdentifierType.CITIZEN_ID, f"079179{value:06}")


def entry(row: int, *identifiers: Identifier, demographics: Demographics = LAN) -> PopulationEntry:
    return PopulationEntry(row, identifiers, demographics, Assurance.REGISTRY)


async def load(operations: Operations, part: int, *rows: PopulationEntry, digest: bytes = b"") -> PopulationLoad:
    return await operations.population.load(ADMIN, "registry", part, rows, digest or repr(part).encode())


@pytest.fixture
async def started(operations: Operations) -> Operations:
    await operations.population.create(ADMIN, "registry", "r1", b"1")
    return operations


async def faults(operations: Operations) -> Sequence[RowFault]:
    return await operations.population.faults("registry", None, 100)


async def test_parts_come_in_order_and_each_once(started: Operations) -> None:
    with pytest.raises(PopulationPartOutOfOrder) as refused:
        await load(started, 1, entry(1, number(1)))
    assert refused.value.metadata == {"next_part": "0"}
    first = await load(started, 0, entry(1, number(1)), entry(2, number(2), demographics=HOA))
    assert (first.parts, first.entries, first.created) == (1, 2, 2)
    assert await load(started, 0, entry(1, number(1)), entry(2, number(2), demographics=HOA)) == first
    with pytest.raises(PopulationPartOutOfOrder):
        await load(started, 0, entry(1, number(9)), digest=b"other")
    second = await load(started, 1, entry(3, number(1)), entry(4, number(4), demographics=replace(HOA, phone=None)))
    assert (second.parts, second.entries, second.created, second.known) == (2, 4, 3, 1)
    # Starting again goes on, and does not begin anew.
    assert await started.population.create(ADMIN, "registry", "r2", b"2") == second
    assert await started.population.get("registry") == second


async def test_who_was_loaded_is_found_by_number_and_by_demographics(started: Operations) -> None:
    await load(started, 0, entry(1, number(1)))
    by_number, by_name = await started.persons.resolve(HOSPITAL, [Query((number(1),), LAN), Query((), LAN)])
    assert (by_number.outcome, by_name.outcome) == (Outcome.MATCH, Outcome.MATCH)
    assert by_number.person == by_name.person
    (filing,) = await file(started, said(number(1), demographics=LAN))
    assert (filing.outcome, filing.person) == (FilingOutcome.MATCHED, by_number.person)
    person = await started.store.read(lambda transaction: transaction.person(filing.person))
    assert person is not None
    assert {one.assurance for one in person.identifiers} == {Assurance.REGISTRY}


async def test_bad_rows_are_named_and_keep_no_other_out(started: Operations) -> None:
    done = await load(
        started,
        0,
        entry(1, number(1)),
        entry(2),
        entry(3, Identifier(IdentifierType.CITIZEN_ID, "12"), demographics=replace(LAN, name="Không rõ", birth=None)),
        entry(4, number(4), demographics=replace(LAN, birth=BirthDate(2031, 1, 2))),
        replace(entry(5, number(5)), faults=(("demographics.birth_date", "DATE_INVALID"),)),
        entry(6, number(6), Identifier(IdentifierType.LOCAL_MRN, "1", "01001"), demographics=HOA),
    )
    assert (done.entries, done.created, done.rejected, done.conflicts) == (6, 1, 5, 0)
    assert [(one.row, one.field, one.reason) for one in await faults(started)] == [
        (2, "identifiers", "NATIONAL_IDENTIFIER_MISSING"),
        (3, "demographics.birth_date", "BIRTH_DATE_MISSING"),
        (3, "demographics.human_name", "NAME_MISSING"),
        (3, "identifiers", "NATIONAL_IDENTIFIER_MISSING"),
        (3, "identifiers[0].value", "CITIZEN_ID_MALFORMED"),
        (4, "demographics.birth_date", "BIRTH_DATE_IN_FUTURE"),
        (5, "demographics.birth_date", "DATE_INVALID"),
        (6, "identifiers[1].type", "TYPE_NOT_NATIONAL"),
    ]
    page = await started.population.faults("registry", RowFault(3, "identifiers", "NATIONAL_IDENTIFIER_MISSING"), 2)
    assert [one.row for one in page] == [3, 4]


async def test_a_number_of_somebody_else_is_for_a_steward_and_nothing_is_lost(started: Operations) -> None:
    (owner,) = await file(started, said(number(1), demographics=HOA))
    done = await load(started, 0, entry(1, number(1), CARD), entry(2, number(2), demographics=HOA))
    assert (done.created, done.conflicts, done.rejected) == (1, 1, 0)
    assert await faults(started) == [RowFault(1, "identifiers[0]", "IDENTIFIER_CONFLICT")]
    (task,) = await started.store.read(lambda transaction: transaction.review_tasks(None, None, None, 10))
    assert (task.reason, task.documents_waiting) == (ReviewReason.IDENTIFIER_CONFLICT, 0)
    assert [one.person for one in task.candidates] == [owner.person]
    kept = await started.store.read(lambda transaction: transaction.person(task.person))
    assert kept is not None
    assert kept.demographics == LAN
    assert {one.key.kind for one in kept.identifiers} != {IdentifierType.CITIZEN_ID.value}


async def test_two_rows_of_one_part_with_one_number_are_one_person(started: Operations) -> None:
    done = await load(started, 0, entry(1, number(1)), entry(2, number(1), CARD), entry(3, CARD))
    assert (done.created, done.known) == (1, 2)


async def test_loads_that_are_not_there(operations: Operations) -> None:
    for call in (operations.population.get("x"), operations.population.faults("x", None, 1), load(operations, 0)):
        with pytest.raises(PopulationLoadNotFound):
            await call
    with pytest.raises(InvalidArgument):
        await operations.population.create(ADMIN, "Not a source", "r1", b"1")
