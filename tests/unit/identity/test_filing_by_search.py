"""Filing what documents say of somebody whom their numbers do not settle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lienthong.client.temporary_identifier import issue

from services.identity.links import LinkMethod, ReviewReason, ReviewTask
from services.identity.model import (
    Area,
    BirthDate,
    Demographics,
    Era,
    FilingOutcome,
    Identifier,
    IdentifierType,
    PersonState,
    Sex,
)
from tests.unit.identity.conftest import HOSPITAL, STEWARD, Operations
from tests.unit.identity.test_filing import CARD, CITIZEN_ID, HOA, file, said

LAN = Demographics(
    name="Trần Thị Mỹ Lan",
    birth=BirthDate(1979, 11, 23),
    sex=Sex.FEMALE,
    phone="0903456781",
    residence=Area("79", Era.PROVINCES_34),
)
NUMBER = Identifier(IdentifierType.CITIZEN_ID, "079179012345")
OTHER_NUMBER = Identifier(IdentifierType.CITIZEN_ID, "079179954321")
PLAIN = replace(LAN, name="TRAN THI MY LAN")


async def tasks(operations: Operations) -> list[ReviewTask]:
    return list(await operations.store.read(lambda transaction: transaction.review_tasks(None, None, None, 10)))


async def test_a_document_without_a_number_is_filed_under_whom_name_birth_and_phone_tell(
    operations: Operations,
) -> None:
    known, unknown = await file(operations, said(NUMBER, demographics=LAN), said(demographics=PLAIN, mrn="BN2"))
    # Within one batch nobody is searched for who only just came.
    assert unknown.outcome is FilingOutcome.PROVISIONAL
    (found,) = await file(operations, said(demographics=PLAIN, mrn="BN3", facility="79002"))
    assert (found.outcome, found.person) == (FilingOutcome.MATCHED, known.person)
    assert await tasks(operations) == []


async def test_without_a_third_fact_people_look_and_the_documents_wait(operations: Operations) -> None:
    (known,) = await file(operations, said(CITIZEN_ID))
    first, second = await file(operations, said(mrn="BN2"), said(Identifier(IdentifierType.CITIZEN_ID, "1"), mrn="BN2"))
    assert {one.outcome for one in (first, second)} == {FilingOutcome.REVIEW}
    assert first.person == second.person != known.person
    (task,) = await tasks(operations)
    assert (task.person, task.reason, task.facility, task.documents_waiting) == (
        first.person,
        ReviewReason.SCORE_BAND,
        "01001",
        2,
    )
    assert [one.person for one in task.candidates] == [known.person]
    assert sum(one.bits for one in task.candidates[0].evidence) > 0
    # What comes next under the same patient number waits with it.
    await file(operations, said(mrn="BN2", demographics=replace(HOA, phone="0912345678")))
    (task,) = await tasks(operations)
    assert task.documents_waiting == 3


@pytest.mark.parametrize("way", ["wristband", "admitted before"])
async def test_who_waits_for_an_identification_is_matched_by_no_search(operations: Operations, way: str) -> None:
    await file(operations, said(NUMBER, demographics=LAN))
    if way == "wristband":
        record = said(Identifier(IdentifierType.TEMPORARY, str(issue("01001"))), demographics=LAN, mrn="BN2")
    else:
        nobody = replace(LAN, name="Không rõ", birth=None, phone=None)
        await file(operations, said(demographics=nobody, mrn="BN2"))
        record = said(demographics=LAN, mrn="BN2")
    (filing,) = await file(operations, record)
    assert filing.outcome is FilingOutcome.REVIEW
    person = await operations.persons.get(HOSPITAL, filing.person)
    assert person.state is PersonState.PROVISIONAL


async def test_a_new_number_of_somebody_known_is_an_entry_of_its_own_and_a_link(operations: Operations) -> None:
    (known,) = await file(operations, said(CARD, demographics=LAN))
    (filing,) = await file(operations, said(NUMBER, demographics=PLAIN, mrn="BN2"))
    assert filing.outcome is FilingOutcome.MATCHED
    assert filing.person != known.person
    currents = await operations.store.read(lambda transaction: transaction.currents([filing.person]))
    assert currents[filing.person] == known.person
    assert await tasks(operations) == []
    # Both numbers together name one person, and nothing is added twice.
    (both,) = await file(operations, said(NUMBER, CARD, demographics=LAN, mrn="BN3"))
    assert (both.outcome, both.person) in {
        (FilingOutcome.MATCHED, known.person),
        (FilingOutcome.MATCHED, filing.person),
    }


async def test_what_a_steward_took_back_no_document_links_again(operations: Operations) -> None:
    (known,) = await file(operations, said(CARD, demographics=LAN))
    (filing,) = await file(operations, said(NUMBER, demographics=PLAIN, mrn="BN2"))
    events = await operations.store.read(lambda transaction: transaction.link_events([filing.person], None, 10))
    (link,) = {one.link for one in events}
    assert link is not None
    assert [one.method for one in events] == [LinkMethod.MODEL]
    assert events[0].score is not None
    await operations.links.unlink_persons(STEWARD, link, "", "DIFFERENT", "u1", b"")
    (again,) = await file(operations, said(NUMBER, demographics=LAN, mrn="BN4"))
    assert (again.outcome, again.person) == (FilingOutcome.MATCHED, filing.person)
    currents = await operations.store.read(lambda transaction: transaction.currents([filing.person, known.person]))
    assert currents == {filing.person: filing.person, known.person: known.person}


async def test_another_number_of_the_same_kind_is_another_person_whom_people_look_at(operations: Operations) -> None:
    (known,) = await file(operations, said(NUMBER, demographics=LAN))
    (namesake,) = await file(operations, said(OTHER_NUMBER, demographics=LAN, mrn="BN2"))
    assert namesake.outcome is FilingOutcome.REGISTERED
    (task,) = await tasks(operations)
    assert (task.person, task.documents_waiting) == (namesake.person, 0)
    assert [one.person for one in task.candidates] == [known.person]


async def test_a_namesake_with_another_number_is_nobody_to_look_at(operations: Operations) -> None:
    await file(operations, said(NUMBER, demographics=replace(LAN, phone=None)))
    (namesake,) = await file(operations, said(OTHER_NUMBER, demographics=replace(LAN, phone="0987654123"), mrn="BN2"))
    assert namesake.outcome is FilingOutcome.REGISTERED
    assert await tasks(operations) == []


async def test_a_borrowed_card_is_for_people(operations: Operations) -> None:
    (owner,) = await file(operations, said(CARD))
    sister = Demographics(name="Nguyễn Thị Hương", birth=BirthDate(1988, 7, 9), sex=Sex.FEMALE)
    (borrowed,) = await file(operations, said(CARD, demographics=sister, mrn="BN2"))
    (task,) = await tasks(operations)
    assert (task.person, task.reason) == (borrowed.person, ReviewReason.IDENTIFIER_CONFLICT)
    assert [one.person for one in task.candidates] == [owner.person]
    assert task.candidates[0].score < 0


async def test_numbers_of_two_people_are_for_people(operations: Operations) -> None:
    one, other = await file(
        operations,
        said(CARD),
        said(NUMBER, demographics=LAN, mrn="BN2"),
    )
    (mixed,) = await file(operations, said(CARD, NUMBER, demographics=LAN, mrn="BN3"))
    (task,) = await tasks(operations)
    assert (task.person, task.reason) == (mixed.person, ReviewReason.SEVERAL_HOLDERS)
    assert {one.person for one in task.candidates} == {one.person, other.person}
