"""Linking, taking back, refusing and moving: who may what, and what it leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from services.chassis.errors import InvalidArgument
from services.chassis.principal import Principal, PrincipalKind
from services.identity.errors import (
    AlreadyLinked,
    EtagMismatch,
    IdentificationConflict,
    LinkRefused,
    PersonLinkNotFound,
    PersonLinkState,
    PersonNotFound,
    SecondStewardRequired,
    SourceRecordNotFound,
)
from services.identity.golden import GoldenSource
from services.identity.links import ChangeKind, LinkMethod, LinkState, PersonLink
from services.identity.model import (
    Assurance,
    BirthDate,
    Demographics,
    Filing,
    FilingKey,
    FilingOutcome,
    Identifier,
    IdentifierType,
    Sex,
    SourceRecord,
)
from services.identity.ports import Transaction
from services.identity.service import LinkService, Wish
from tests.unit.identity.conftest import HOSPITAL, NOW, RECORDS, STEWARD, Operations

OTHER = Principal(PrincipalKind.STEWARD, "steward-2")
HOA = Demographics("Nguyễn Thị Hoà", BirthDate(1985, 3, 2), Sex.FEMALE)
ONE, TWO, THREE = "001185000001", "001185000002", "001185000003"
HOUR = timedelta(hours=1)


async def registered(
    operations: Operations, number: str, demographics: Demographics = HOA, assurance: Assurance = Assurance.TYPED
) -> UUID:
    identifiers = [Identifier(IdentifierType.CITIZEN_ID, number)]
    principal = STEWARD if assurance is Assurance.REGISTRY else HOSPITAL
    person, _ = await operations.persons.register(
        principal, identifiers, demographics, assurance, str(uuid4()), number.encode()
    )
    return person.id


def links(operations: Operations) -> LinkService:
    return operations.links


async def link(
    operations: Operations, person: UUID, target: UUID, by: Principal = STEWARD, *, override: bool = False
) -> PersonLink:
    wish = Wish(person, target, "SAME_PERSON", override_refusal=override)
    return await links(operations).link_persons(by, wish, str(uuid4()), b"")


async def machine(operations: Operations, person: UUID, target: UUID, method: LinkMethod) -> PersonLink:
    async def work(transaction: Transaction) -> PersonLink:
        return await links(operations).link(
            transaction, person=person, target=target, method=method, evidence=None, actor="machine", reason="SCORE"
        )

    return await operations.store.write(work)


async def unlink(operations: Operations, id: UUID, etag: str = "") -> tuple[PersonLink, list[UUID]]:
    link, tasks = await links(operations).unlink_persons(STEWARD, id, etag, "TWINS", str(uuid4()), b"")
    return link, list(tasks)


async def test_a_linked_entry_answers_with_the_other_and_both_are_as_before_when_it_is_taken_back(
    operations: Operations,
) -> None:
    one, two = await registered(operations, ONE), await registered(operations, TWO)
    before = [await operations.persons.answering(STEWARD, id) for id in (one, two)]
    made = await link(operations, one, two)
    found = await operations.persons.answering(STEWARD, one)
    assert (made.state, found.person.id, found.redirected_from) == (LinkState.ACTIVE, two, one)
    assert found.superseded == (one,)
    assert {held.key.value for held in found.person.identifiers} == {ONE, TWO}
    assert found.etag not in {before[0].etag, before[1].etag}
    ended, _ = await unlink(operations, made.id)
    assert ended.state is LinkState.UNLINKED
    assert [await operations.persons.answering(STEWARD, id) for id in (one, two)] == before


async def test_a_link_of_roots_keeps_redirects_one_step_long(operations: Operations) -> None:
    one, two, three = [await registered(operations, number) for number in (ONE, TWO, THREE)]
    first = await link(operations, one, two)
    await link(operations, one, three)
    assert (await operations.persons.answering(STEWARD, one)).person.id == three
    # What was linked before it was linked stays linked when the first one is taken back.
    await unlink(operations, first.id)
    assert (await operations.persons.answering(STEWARD, two)).person.id == three
    assert (await operations.persons.answering(STEWARD, one)).redirected_from is None


async def test_followers_hear_of_every_entry_that_moved(operations: Operations) -> None:
    one, two, three = [await registered(operations, number) for number in (ONE, TWO, THREE)]
    await link(operations, one, two)
    made = await link(operations, two, three)
    await unlink(operations, made.id)
    told = [(change.kind, change.person, change.current) for change in operations.store.changes][3:]
    assert told == [
        (ChangeKind.LINKED, one, two),
        (ChangeKind.LINKED, one, three),
        (ChangeKind.LINKED, two, three),
        (ChangeKind.UNLINKED, one, two),
        (ChangeKind.UNLINKED, two, two),
    ]


async def test_golden_values_come_from_the_most_trusted_entry(operations: Operations) -> None:
    typed = replace(HOA, name="Nguyễn Thị Hoa", phone="0912345678")
    one = await registered(operations, ONE, typed)
    two = await registered(operations, TWO, assurance=Assurance.REGISTRY)
    await link(operations, two, one)
    found = await operations.persons.answering(STEWARD, one)
    assert (found.person.demographics.name, found.person.demographics.phone) == (HOA.name, "0912345678")
    sources = {value.field: (value.person, value.source) for value in found.values}
    assert sources["human_name"] == (two, GoldenSource.REGISTRY)
    assert sources["phone"] == (one, GoldenSource.NEWEST)


async def test_two_verified_numbers_need_two_stewards(operations: Operations) -> None:
    one, two = [await registered(operations, number, assurance=Assurance.CHIP_OR_APP) for number in (ONE, TWO)]
    for method in (LinkMethod.RULE, LinkMethod.MODEL, LinkMethod.FACILITY):
        with pytest.raises(IdentificationConflict):
            await machine(operations, one, two, method)
    proposed = await link(operations, one, two)
    assert proposed.state is LinkState.PROPOSED
    assert (await operations.persons.answering(STEWARD, one)).redirected_from is None
    with pytest.raises(SecondStewardRequired):
        await link(operations, one, two)
    agreed = await link(operations, one, two, OTHER)
    assert (agreed.id, agreed.state, agreed.second_actor) == (proposed.id, LinkState.ACTIVE, "STEWARD/steward-2")


async def test_verified_birth_dates_that_differ_need_two_stewards(operations: Operations) -> None:
    card = replace(HOA, birth=BirthDate(1985, 2, 3))
    one = await registered(operations, ONE, card, Assurance.CHIP_OR_APP)
    passport = Identifier(IdentifierType.PASSPORT, "B1234567", "VNM")
    person, _ = await operations.persons.register(
        HOSPITAL, [passport], HOA, Assurance.CHIP_OR_APP, str(uuid4()), b"passport"
    )
    assert (await link(operations, one, person.id)).state is LinkState.PROPOSED


async def test_a_declined_proposal_is_remembered(operations: Operations) -> None:
    one, two = [await registered(operations, number, assurance=Assurance.CHIP_OR_APP) for number in (ONE, TWO)]
    proposed = await link(operations, one, two)
    declined, tasks = await unlink(operations, proposed.id)
    assert (declined.state, tasks) == (LinkState.DECLINED, [])
    with pytest.raises(LinkRefused):
        await link(operations, one, two, OTHER)
    with pytest.raises(PersonLinkState) as again:
        await unlink(operations, proposed.id)
    assert again.value.metadata == {"allowed": "ACTIVE,PROPOSED"}


async def test_no_machine_links_what_a_steward_parted_and_a_steward_only_by_saying_so(operations: Operations) -> None:
    one, two, three = [await registered(operations, number) for number in (ONE, TWO, THREE)]
    made = await machine(operations, one, two, LinkMethod.MODEL)
    await unlink(operations, made.id)
    await link(operations, three, two)
    for loser, survivor in ((one, two), (one, three), (two, one)):
        with pytest.raises(LinkRefused):
            await machine(operations, loser, survivor, LinkMethod.RULE)
    with pytest.raises(LinkRefused):
        await link(operations, one, three)
    assert (await link(operations, one, three, override=True)).state is LinkState.ACTIVE


async def test_refusing_and_taking_it_back(operations: Operations) -> None:
    one, two = await registered(operations, ONE), await registered(operations, TWO)
    service = links(operations)
    event = await service.refuse(STEWARD, one, two, "TWINS", False, str(uuid4()), b"")
    again = await service.refuse(OTHER, two, one, "TWINS", False, str(uuid4()), b"")
    assert again == event
    with pytest.raises(LinkRefused):
        await machine(operations, one, two, LinkMethod.FACILITY)
    await service.refuse(STEWARD, two, one, "ONE_CHILD", True, str(uuid4()), b"")
    with pytest.raises(PersonLinkState):
        await service.refuse(STEWARD, two, one, "ONE_CHILD", True, str(uuid4()), b"")
    await machine(operations, one, two, LinkMethod.FACILITY)
    with pytest.raises(AlreadyLinked):
        await service.refuse(STEWARD, one, two, "TWINS", False, str(uuid4()), b"")
    with pytest.raises(InvalidArgument):
        await service.refuse(STEWARD, one, one, "TWINS", False, str(uuid4()), b"")


async def test_retries_and_stale_etags(operations: Operations) -> None:
    one, two, three = [await registered(operations, number) for number in (ONE, TWO, THREE)]
    service, request = links(operations), str(uuid4())
    stale = Wish(one, two, "SAME_PERSON", person_etag='"9"')
    with pytest.raises(EtagMismatch):
        await service.link_persons(STEWARD, stale, str(uuid4()), b"")
    seen = await operations.persons.answering(STEWARD, two)
    fresh = Wish(one, two, "SAME_PERSON", target_etag=seen.etag)
    made = await service.link_persons(STEWARD, fresh, request, b"digest")
    assert await service.link_persons(STEWARD, fresh, request, b"digest") == made
    # The target is another person now than when it was seen.
    with pytest.raises(EtagMismatch):
        await service.link_persons(STEWARD, Wish(three, two, "X", target_etag=seen.etag), str(uuid4()), b"")
    with pytest.raises(AlreadyLinked):
        await link(operations, two, one)
    with pytest.raises(EtagMismatch):
        await unlink(operations, made.id, '"7"')
    with pytest.raises(PersonLinkNotFound):
        await unlink(operations, UUID(int=9999))
    with pytest.raises(PersonNotFound):
        await link(operations, one, UUID(int=9999))


async def test_nobody_identified_answers_with_somebody_provisional(operations: Operations) -> None:
    one = await registered(operations, ONE)
    (filing,) = await operations.filing.file(RECORDS, [SourceRecord("01001", "BN1", (), HOA)])
    with pytest.raises(InvalidArgument) as refused:
        await link(operations, one, filing.person)
    assert refused.value.violations[0].reason == "TARGET_PROVISIONAL"
    await link(operations, filing.person, one)
    # The facility learns who its patient is, and no more than it knew.
    found = await operations.persons.answering(HOSPITAL, filing.person)
    assert (found.person.id, found.redirected_from) == (one, filing.person)
    assert found.person.demographics == Demographics()
    assert {held.identifier.type for held in found.person.identifiers} == {IdentifierType.LOCAL_MRN}
    with pytest.raises(PersonNotFound):
        await operations.persons.answering(HOSPITAL, one)
    citizen = Principal(PrincipalKind.CITIZEN, "vneid", person=f"persons/{filing.person}")
    assert (await operations.persons.answering(citizen, one)).person.id == one


async def filed(operations: Operations, mrn: str, person: UUID, said: bytes) -> UUID:
    key = FilingKey("01001", mrn, said)

    async def work(transaction: Transaction) -> None:
        await transaction.add_filings({key: Filing(FilingOutcome.MATCHED, person)}, operations.clock())

    await operations.store.write(work)
    records = await operations.store.read(lambda transaction: transaction.filed_under(person, None, 100))
    return next(one.id for one in records if one.key == key)


async def test_what_was_filed_by_name_while_a_link_was_in_force_goes_to_the_desk(operations: Operations) -> None:
    one, two = await registered(operations, ONE), await registered(operations, TWO)
    nobody = b'[[["LOCAL_MRN","BN1","01001"]],"x"]'
    await filed(operations, "early", two, nobody)
    operations.clock.advance(HOUR)
    made = await link(operations, one, two)
    operations.clock.advance(HOUR)
    await filed(operations, "by-name", two, nobody)
    await filed(operations, "by-name-too", two, nobody)
    await filed(operations, "by-its-number", two, f'[[["CITIZEN_ID","{TWO}",""]],"x"]'.encode())
    operations.clock.advance(HOUR)
    _, tasks = await unlink(operations, made.id)
    task = await operations.store.read(lambda transaction: transaction.review_task(tasks[0]))
    assert task is not None
    assert len(tasks) == 1
    assert (task.person, [each.person for each in task.candidates], task.documents_waiting) == (two, [one], 2)


async def test_moving_a_source_record(operations: Operations) -> None:
    one, two = await registered(operations, ONE), await registered(operations, TWO)
    record = await filed(operations, "BN1", one, b'[[],"x"]')
    request = str(uuid4())
    for _ in range(2):
        moved = await links(operations).move_source_record(STEWARD, record, two, "BORROWED_CARD", request, b"")
        assert moved.person == two
    change = operations.store.changes[-1]
    assert (change.kind, change.person, change.former) == (ChangeKind.SOURCE_MOVED, two, one)
    assert change.source_record == f"sourceRecords/{record}"
    with pytest.raises(SourceRecordNotFound):
        await links(operations).move_source_record(STEWARD, UUID(int=9999), two, "X", str(uuid4()), b"")
    assert operations.clock() == NOW
