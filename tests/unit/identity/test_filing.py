"""Filing what documents say."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from lienthong.client.temporary_identifier import issue

from services.chassis.errors import InvalidArgument
from services.identity.model import (
    BirthDate,
    Demographics,
    Filing,
    FilingOutcome,
    Identifier,
    IdentifierType,
    PersonState,
    Sex,
    SourceRecord,
)
from services.identity.service import Arrival
from tests.unit.identity.conftest import HOSPITAL, RECORDS, STEWARD, Operations

HOA = Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985, 3, 2), sex=Sex.FEMALE)
CITIZEN_ID = Identifier(IdentifierType.CITIZEN_ID, "001185012345")
CARD = Identifier(IdentifierType.HEALTH_INSURANCE, "DN4010123456789")


def said(
    *identifiers: Identifier, demographics: Demographics = HOA, mrn: str = "BN1", facility: str = "01001"
) -> SourceRecord:
    return SourceRecord(facility, mrn, identifiers, demographics)


async def file(operations: Operations, *records: SourceRecord) -> list[Filing]:
    return list(await operations.filing.file(RECORDS, records))


async def test_an_unknown_national_number_registers_a_person_and_the_next_document_matches(
    operations: Operations,
) -> None:
    (first,) = await file(operations, said(CITIZEN_ID))
    (second,) = await file(operations, said(CITIZEN_ID, mrn="other", facility="79002"))
    assert first.outcome is FilingOutcome.REGISTERED
    assert (second.outcome, second.person) == (FilingOutcome.MATCHED, first.person)


async def test_the_same_record_is_filed_once(operations: Operations) -> None:
    first = await file(operations, said(CITIZEN_ID), said(mrn="BN2"))
    assert await file(operations, said(mrn="BN2"), said(CITIZEN_ID)) == first[::-1]
    history = await operations.store.read(lambda transaction: transaction.history(first[0].person))
    assert len(history) == 1


async def test_a_batch_sees_its_own_registrations(operations: Operations) -> None:
    filings = await file(
        operations,
        said(CITIZEN_ID),
        said(CITIZEN_ID, CARD, mrn="BN2"),
        said(CARD, mrn="BN3"),
        said(CITIZEN_ID, mrn="BN4", demographics=replace(HOA, name="Lê Thị Bưởi")),
        said(CITIZEN_ID),
    )
    assert [one.outcome for one in filings] == [
        FilingOutcome.REGISTERED,
        FilingOutcome.MATCHED,
        FilingOutcome.MATCHED,
        FilingOutcome.REVIEW,
        FilingOutcome.REGISTERED,
    ]
    assert len({filings[at].person for at in (0, 1, 2, 4)}) == 1
    person = await operations.persons.get(STEWARD, filings[0].person)
    assert [held.identifier for held in person.identifiers] == [CITIZEN_ID, CARD]


async def test_without_a_usable_number_the_facility_has_one_provisional_person_per_patient_number(
    operations: Operations,
) -> None:
    first, again, other, elsewhere = await file(
        operations,
        said(),
        said(Identifier(IdentifierType.CITIZEN_ID, "123")),
        said(mrn="BN2"),
        said(facility="79002"),
    )
    assert {one.outcome for one in (first, again, other, elsewhere)} == {FilingOutcome.PROVISIONAL}
    assert first.person == again.person
    assert len({first.person, other.person, elsewhere.person}) == 3
    assert again.warnings == ("CITIZEN_ID_MALFORMED",)
    person = await operations.persons.get(HOSPITAL, first.person)
    assert (person.state, person.facility, person.demographics) == (PersonState.PROVISIONAL, "01001", HOA)


async def test_a_borrowed_card_is_filed_under_a_provisional_person(operations: Operations) -> None:
    (owner,) = await file(operations, said(CARD))
    sister = Demographics(name="Nguyễn Thị Hương", birth=BirthDate(1988, 7, 9), sex=Sex.FEMALE)
    (borrowed,) = await file(operations, said(CARD, demographics=sister, mrn="BN2"))
    assert borrowed.outcome is FilingOutcome.REVIEW
    assert borrowed.person != owner.person
    assert (await operations.persons.get(HOSPITAL, borrowed.person)).demographics == sister


@pytest.mark.parametrize(
    "demographics",
    [replace(HOA, name="CB Nguyễn Thị Hoà"), replace(HOA, name="Không rõ"), replace(HOA, birth=None)],
)
async def test_a_number_without_name_or_birth_registers_nobody(
    operations: Operations, demographics: Demographics
) -> None:
    (filing,) = await file(operations, said(CARD, demographics=demographics))
    assert filing.outcome is FilingOutcome.PROVISIONAL
    assert "DEMOGRAPHICS_INSUFFICIENT" in filing.warnings


async def test_a_birth_date_in_the_future_is_a_warning(operations: Operations) -> None:
    (filing,) = await file(operations, said(demographics=replace(HOA, birth=BirthDate(2031, 1, 2))))
    assert filing.warnings == ("BIRTH_DATE_IN_FUTURE",)


async def test_a_wristband_leads_to_its_provisional_person(operations: Operations) -> None:
    person, number = await operations.provisional.register(HOSPITAL, Arrival(Sex.FEMALE), "p1", b"1")
    band = Identifier(IdentifierType.TEMPORARY, number)
    with_band, by_number = await file(operations, said(band), said(demographics=replace(HOA, phone="0912345678")))
    assert with_band.person == by_number.person == person.id
    (foreign,) = await file(operations, said(band, facility="79002"))
    assert foreign.person != person.id
    assert foreign.warnings == ("TEMPORARY_OF_OTHER_FACILITY",)


async def test_a_wristband_issued_offline_is_adopted(operations: Operations) -> None:
    band = str(issue("01001"))
    (filing,) = await file(operations, said(Identifier(IdentifierType.TEMPORARY, band)))
    person, number = await operations.provisional.register(HOSPITAL, Arrival(Sex.FEMALE, temporary=band), "p1", b"1")
    assert (person.id, number) == (filing.person, band)


async def test_a_provisional_person_of_a_document_gets_a_wristband_when_asked(operations: Operations) -> None:
    (filing,) = await file(operations, said())
    person, number = await operations.provisional.register(HOSPITAL, Arrival(Sex.FEMALE, mrn="BN1"), "p1", b"1")
    assert person.id == filing.person
    assert number.startswith("T-01001-")


async def test_hints_travel_with_the_filing(operations: Operations) -> None:
    implausible = Identifier(IdentifierType.CITIZEN_ID, "001085012345")
    (filing,) = await file(operations, said(implausible))
    assert (filing.outcome, filing.warnings) == (FilingOutcome.REGISTERED, ("CITIZEN_ID_SEX_MISMATCH",))


@pytest.mark.parametrize(
    ("record", "field"),
    [(said(facility="03001"), "records[1].facility"), (said(mrn=" "), "records[1].local_mrn")],
)
async def test_a_record_of_no_facility_or_patient_spoils_the_batch(
    operations: Operations, record: SourceRecord, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await file(operations, said(CITIZEN_ID), record)
    assert [one.field for one in refused.value.violations] == [field]
    assert (await operations.store.read(lambda transaction: transaction.person(UUID(int=1)))) is None
