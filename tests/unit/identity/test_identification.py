"""Who a provisional person is: confirmed by itself, linked, or asked of a steward."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from lienthong.client.temporary_identifier import issue

from services.chassis.errors import InvalidArgument, RequestIdReused
from services.chassis.principal import Principal
from services.identity.errors import (
    EtagMismatch,
    IdentificationConflict,
    NewbornConflict,
    NotProvisional,
    PersonNotFound,
)
from services.identity.links import ChangeKind, IdentificationEvidence, LinkMethod, ReviewReason
from services.identity.model import (
    Assurance,
    BirthDate,
    Demographics,
    FilingOutcome,
    Identifier,
    IdentifierType,
    Outcome,
    Person,
    PersonState,
    Query,
    Sex,
    SourceRecord,
)
from services.identity.service import Arrival, Birth, Identification, Identified, Update, Wanted
from services.identity.service.identification import contradicts
from tests.unit.identity.conftest import CLINIC, HOSPITAL, NOW, RECORDS, STEWARD, Operations

HOA = Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985, 3, 2), sex=Sex.FEMALE, phone="0912345678")
CITIZEN_ID = Identifier(IdentifierType.CITIZEN_ID, "001185012345")
CARD = Identifier(IdentifierType.HEALTH_INSURANCE, "DN4010123456789")
OLD_ID = Identifier(IdentifierType.OLD_ID, "012345678")
CHIP, WORD = IdentificationEvidence.CARD_CHIP, IdentificationEvidence.PATIENT_STATEMENT
PAPERS, RELATIVE = IdentificationEvidence.PAPERS, IdentificationEvidence.RELATIVE


@pytest.fixture
async def patient(operations: Operations) -> Person:
    arrival = Arrival(Sex.FEMALE, estimated_age=38, temporary=str(issue("01001")))
    person, _ = await operations.provisional.register(HOSPITAL, arrival, "p1", b"1")
    return person


def found(patient: Person, *identifiers: Identifier, evidence: IdentificationEvidence = PAPERS) -> Identification:
    return Identification(patient.id, evidence, HOA, identifiers)


async def known(operations: Operations, *identifiers: Identifier, demographics: Demographics = HOA) -> Person:
    person, _ = await operations.persons.register(CLINIC, identifiers, demographics, Assurance.TYPED, "k1", b"1")
    return person


async def identify(
    operations: Operations, what: Identification, principal: Principal = HOSPITAL, request_id: str = "i1"
) -> Identified:
    return await operations.identification.identify(principal, what, request_id, request_id.encode())


async def untouched(operations: Operations, patient: Person) -> bool:
    assert await operations.store.read(lambda transaction: transaction.currents([patient.id])) == {
        patient.id: patient.id
    }
    read = await operations.store.read(lambda transaction: transaction.person(patient.id))
    return read is not None and (read.state, read.version) == (PersonState.PROVISIONAL, 1)


def tasks(operations: Operations) -> list[tuple[UUID, ReviewReason, list[UUID]]]:
    raised = operations.store._state.tasks.values()
    return [(one.person, one.reason, [each.person for each in one.candidates]) for one in raised]


async def test_numbers_that_nobody_holds_confirm_the_entry_itself(operations: Operations, patient: Person) -> None:
    what = replace(found(patient, CITIZEN_ID, evidence=CHIP), assurance=Assurance.CHIP_OR_APP)
    done = await identify(operations, what)
    assert (done.link, done.task, done.person.id, done.person.state) == (None, None, patient.id, PersonState.ACTIVE)
    # The facility sees what it sent, not the entry.
    assert done.person.demographics == Demographics()
    assert [held.identifier.value for held in done.person.identifiers] == ["********2345"]
    read = await operations.persons.get(STEWARD, patient.id)
    assert read.demographics == HOA
    assert {held.identifier.type for held in read.identifiers} == {IdentifierType.TEMPORARY, IdentifierType.CITIZEN_ID}
    assert read.identifiers[-1].assurance is Assurance.CHIP_OR_APP
    (resolved,) = await operations.persons.resolve(CLINIC, [Query((CITIZEN_ID,), HOA)])
    assert (resolved.outcome, resolved.person) == (Outcome.MATCH, patient.id)
    assert await operations.provisional.list(HOSPITAL, Wanted(), None, 9) == []
    told = [(one.kind, one.provisional) for one in operations.store._state.changes if one.person == patient.id]
    assert told[:2] == [(ChangeKind.CREATED, True), (ChangeKind.IDENTIFIED, False)]
    history = await operations.store.read(lambda transaction: transaction.history(patient.id))
    assert [one.kind for one in history] == ["PROVISIONAL_REGISTERED", "PERSON_IDENTIFIED", "IDENTIFIER_ADDED"]
    assert dict(history[1].detail) == {"evidence": "CARD_CHIP"}


async def test_the_same_call_gets_the_first_answer(operations: Operations, patient: Person) -> None:
    first = await identify(operations, found(patient, CITIZEN_ID))
    assert await identify(operations, found(patient, CITIZEN_ID)) == first
    with pytest.raises(RequestIdReused):
        await operations.identification.identify(HOSPITAL, found(patient, CARD), "i1", b"other")
    with pytest.raises(NotProvisional):
        await identify(operations, found(patient, CITIZEN_ID), request_id="i2")


async def test_the_number_of_a_person_who_agrees_links(operations: Operations, patient: Person) -> None:
    person = await known(operations, CITIZEN_ID)
    done = await identify(operations, found(patient, CITIZEN_ID, CARD))
    assert (done.person.id, done.task) == (person.id, None)
    assert done.person.demographics == Demographics()
    roots = await operations.store.read(lambda transaction: transaction.currents([patient.id]))
    assert roots == {patient.id: person.id}
    assert done.link is not None
    made = done.link
    link = await operations.store.read(lambda transaction: transaction.link(made))
    assert link is not None
    assert (link.method, link.evidence, link.reason) == (LinkMethod.FACILITY, PAPERS, "IDENTIFIED_BY_NUMBER")
    # The entry is not edited, so that the link can be taken back exactly; the new number is the person's.
    entry = await operations.store.read(lambda transaction: transaction.person(patient.id))
    assert entry is not None
    assert (entry.state, entry.version) == (PersonState.PROVISIONAL, 1)
    (resolved,) = await operations.persons.resolve(CLINIC, [Query((CARD,), HOA)])
    assert (resolved.outcome, resolved.person) == (Outcome.MATCH, person.id)
    assert await operations.provisional.list(HOSPITAL, Wanted(), None, 9) == []
    assert await identify(operations, found(patient, CITIZEN_ID, CARD)) == done
    with pytest.raises(NotProvisional):
        await identify(operations, found(patient, CITIZEN_ID), request_id="i2")
    # Taken back, the patient waits again.
    await operations.links.unlink_persons(STEWARD, done.link, "", "WRONG_PERSON", "u1", b"1")
    (line,) = await operations.provisional.list(HOSPITAL, Wanted(), None, 9)
    assert line.person.id == patient.id


async def test_a_person_without_a_number_links_on_papers_and_is_asked_about_on_a_mere_word(
    operations: Operations, patient: Person
) -> None:
    person = await known(operations, CITIZEN_ID)
    for at, word in enumerate((WORD, RELATIVE)):
        asked = await identify(
            operations, replace(found(patient, evidence=word), target=person.id), request_id=f"w{at}"
        )
        assert asked.task is not None
        assert (asked.link, asked.person.id) == (None, patient.id)
    assert tasks(operations) == [(patient.id, ReviewReason.IDENTIFICATION, [person.id])]
    assert await untouched(operations, patient)
    done = await identify(operations, replace(found(patient), target=person.id))
    assert done.link is not None
    assert (done.person.id, done.person.identifiers) == (person.id, ())


@pytest.mark.parametrize(
    "demographics",
    [
        replace(HOA, name="Nguyễn Thị Hương"),
        replace(HOA, birth=BirthDate(1990, 3, 2)),
        replace(HOA, sex=Sex.MALE),
        replace(HOA, birth=BirthDate(1945, 3, 2)),
    ],
    ids=["name", "birth", "sex", "age"],
)
async def test_what_contradicts_is_for_a_steward(
    operations: Operations, patient: Person, demographics: Demographics
) -> None:
    person = await known(operations, CITIZEN_ID)
    asked = await identify(operations, replace(found(patient, CITIZEN_ID), demographics=demographics))
    assert asked.task is not None
    assert tasks(operations) == [(patient.id, ReviewReason.IDENTIFICATION, [person.id])]
    assert await untouched(operations, patient)


async def test_another_sex_than_was_seen_confirms_nobody(operations: Operations, patient: Person) -> None:
    with pytest.raises(IdentificationConflict):
        await identify(operations, replace(found(patient, CITIZEN_ID), demographics=replace(HOA, sex=Sex.MALE)))
    assert await untouched(operations, patient)


async def test_numbers_of_two_persons_are_for_a_steward(operations: Operations, patient: Person) -> None:
    first = await known(operations, CITIZEN_ID)
    second, _ = await operations.persons.register(CLINIC, [CARD], HOA, Assurance.TYPED, "k2", b"2")
    asked = await identify(operations, found(patient, CITIZEN_ID, CARD))
    assert asked.task is not None
    assert [(person, sorted(candidates)) for person, _, candidates in tasks(operations)] == [
        (patient.id, sorted([first.id, second.id]))
    ]
    stranger = await identify(operations, replace(found(patient, CITIZEN_ID), target=second.id), request_id="i2")
    assert stranger.task == asked.task


async def test_a_protected_person_is_found_by_a_steward_only(operations: Operations, patient: Person) -> None:
    person = await known(operations, CITIZEN_ID)
    await operations.updates.update(STEWARD, Update(person.id, protected=True), "u1", b"1")
    for at, what in enumerate((found(patient, CITIZEN_ID), replace(found(patient), target=person.id))):
        asked = await identify(operations, what, request_id=f"i{at}")
        assert (asked.link, asked.person.id) == (None, patient.id)
        assert asked.task is not None


async def test_what_was_refused_is_not_linked_again(operations: Operations, patient: Person) -> None:
    person = await known(operations, CITIZEN_ID)
    done = await identify(operations, found(patient, CITIZEN_ID))
    assert done.link is not None
    await operations.links.unlink_persons(STEWARD, done.link, "", "WRONG_PERSON", "u1", b"1")
    asked = await identify(operations, found(patient, CITIZEN_ID), request_id="i2")
    assert (asked.link, tasks(operations)[-1]) == (None, (patient.id, ReviewReason.IDENTIFICATION, [person.id]))


async def test_a_newborn_is_promoted_by_its_number_and_never_is_its_mother(operations: Operations) -> None:
    mother = await known(operations, CITIZEN_ID)
    born = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
    child, _ = await operations.newborns.register(HOSPITAL, Birth(mother.id, born, 1, Sex.FEMALE), "b1", b"1")
    for at, what in enumerate((found(child, CITIZEN_ID), replace(found(child), target=mother.id))):
        with pytest.raises(NewbornConflict):
            await identify(operations, what, request_id=f"m{at}")
    named = Demographics(name="Trần Nguyễn Bảo An", birth=BirthDate(2026, 11, 22), sex=Sex.FEMALE)
    number = Identifier(IdentifierType.CITIZEN_ID, "001326000123")
    other_day = replace(named, birth=BirthDate(2026, 11, 21))
    with pytest.raises(IdentificationConflict):
        await identify(operations, replace(found(child, number), demographics=other_day), request_id="d1")
    done = await identify(operations, replace(found(child, number), demographics=named))
    assert (done.person.id, done.person.state) == (child.id, PersonState.ACTIVE)
    read = await operations.persons.get(STEWARD, child.id)
    assert read.demographics == named
    assert read.provisional is not None
    assert (read.provisional.mother, read.provisional.birth_order) == (mother.id, 1)


async def test_who_may_identify_whom(operations: Operations, patient: Person) -> None:
    for principal, id in ((CLINIC, patient.id), (HOSPITAL, UUID(int=99)), (STEWARD, UUID(int=99))):
        with pytest.raises(PersonNotFound):
            await identify(operations, replace(found(patient, CITIZEN_ID), person=id), principal)
    with pytest.raises(PersonNotFound):
        await identify(operations, replace(found(patient), target=UUID(int=99)))
    with pytest.raises(EtagMismatch):
        await identify(operations, replace(found(patient, CITIZEN_ID), etag='"7"'))
    active = await known(operations, CARD)
    with pytest.raises(NotProvisional):
        await identify(operations, replace(found(patient, CITIZEN_ID), person=active.id), STEWARD)
    done = await identify(operations, replace(found(patient, CITIZEN_ID), etag='"1"'), STEWARD)
    kept = await operations.store.read(lambda transaction: transaction.person(done.person.id))
    assert kept is not None
    assert kept.demographics == HOA
    # To see more than was sent is a read, which rests on a decision.
    assert done.person.demographics == Demographics()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"identifiers": ()}, "IDENTIFIER_OR_PERSON_MISSING"),
        ({"identifiers": (OLD_ID,)}, "NATIONAL_IDENTIFIER_MISSING"),
        ({"identifiers": (Identifier(IdentifierType.LOCAL_MRN, "7", "01001"),)}, "TYPE_NOT_NATIONAL"),
        ({"demographics": replace(HOA, name="Vô danh")}, "NAME_PLACEHOLDER"),
        ({"demographics": replace(HOA, birth=None)}, "FIELD_REQUIRED"),
        ({"assurance": Assurance.REGISTRY}, "ASSURANCE_RESERVED"),
        ({"assurance": Assurance.CARD_CODE}, "ASSURANCE_ABOVE_EVIDENCE"),
    ],
)
async def test_what_identifies_nobody(
    operations: Operations, patient: Person, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await identify(operations, replace(found(patient, CITIZEN_ID), **change))  # type: ignore[arg-type]
    assert [one.reason for one in refused.value.violations] == [reason]
    assert await untouched(operations, patient)


async def test_claims_under_another_name_do_not_stand(operations: Operations) -> None:
    claimed = Demographics(name="Trần Văn Bình", phone="0987654321", sex=Sex.FEMALE)
    arrival = Arrival(Sex.FEMALE, claimed=claimed)
    patient, _ = await operations.provisional.register(HOSPITAL, arrival, "p1", b"1")
    what = replace(found(patient, CITIZEN_ID), demographics=Demographics(name=HOA.name, birth=HOA.birth))
    await identify(operations, what)
    read = await operations.persons.get(STEWARD, patient.id)
    assert read.demographics == Demographics(name=HOA.name, birth=HOA.birth, sex=Sex.FEMALE)
    said = await operations.store.read(lambda transaction: transaction.statements(patient.id))
    assert [one.demographics.name for one in said] == ["Trần Văn Bình", "Nguyễn Thị Hoà"]


@pytest.mark.parametrize(
    ("seen", "birth", "expected"),
    [
        (BirthDate(1986, estimated=True), BirthDate(1971), False),
        (BirthDate(1986, estimated=True), BirthDate(1970), True),
        (BirthDate(1986), BirthDate(1970), False),
        (None, BirthDate(1970), False),
    ],
)
def test_an_estimate_may_be_wrong_by_fifteen_years(seen: BirthDate | None, birth: BirthDate, expected: bool) -> None:
    person = Person(UUID(int=1), PersonState.PROVISIONAL, Demographics(birth=seen), (), "01001", NOW)
    assert contradicts(person, Demographics(birth=birth)) is expected


@pytest.mark.parametrize("linked", [False, True], ids=["confirmed", "linked"])
async def test_documents_that_come_late_under_the_wristband_are_not_held(
    operations: Operations, patient: Person, linked: bool
) -> None:
    if linked:
        await known(operations, CITIZEN_ID)
    band = patient.identifiers[0].identifier
    said = SourceRecord("01001", "BN1", (band,), Demographics(sex=Sex.FEMALE))

    async def file(record: SourceRecord) -> tuple[FilingOutcome, UUID]:
        (filing,) = await operations.filing.file(RECORDS, [record])
        return filing.outcome, filing.person

    assert await file(said) == (FilingOutcome.PROVISIONAL, patient.id)
    done = await identify(operations, found(patient, CITIZEN_ID))
    assert (done.link is not None) is linked
    assert await file(said) == (FilingOutcome.MATCHED, patient.id)
    late = replace(said, local_mrn="BN2")
    assert await file(late) == (FilingOutcome.MATCHED, patient.id)
    # The patient number that came with it leads there too.
    assert await file(SourceRecord("01001", "BN2", (), HOA)) == (FilingOutcome.MATCHED, patient.id)
    # A document of somebody else, under the wristband by mistake, is held.
    for at, other in enumerate((replace(HOA, name="Lê Thị Bưởi"), replace(HOA, sex=Sex.MALE))):
        stranger = replace(said, local_mrn=f"X{at}", demographics=other)
        assert (await file(stranger))[0] in {FilingOutcome.PROVISIONAL, FilingOutcome.REVIEW}
