"""One suite for every identity store: what the operations rely on, in memory and on PostgreSQL alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.errors import RequestIdReused
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.identity.links import ChangeKind, NewReviewTask, PersonChange, ReviewCandidate, ReviewReason
from services.identity.model import (
    Area,
    Assurance,
    BirthDate,
    Demographics,
    Era,
    Filing,
    FilingKey,
    FilingOutcome,
    Holder,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
    Sex,
)
from services.identity.population import PopulationLoad, RowFault
from services.identity.ports import IdentifierTaken, Store, Transaction
from services.identity.postgres import PostgresStore
from services.identity.registers import CareLevel, Organization, OrganizationFilter, OrganizationState, Practitioner
from tests.fakes.identity_memory import MemoryStore

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HOA = Demographics("Nguyễn Thị Hoà", BirthDate(1985, 3, 2), Sex.FEMALE, "0912345678", Area("27", Era.PROVINCES_63))


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    settings = request.getfixturevalue("database_for")("identity")
    keyring: Path = request.getfixturevalue("keyring_file")
    async with Database(settings) as database:
        yield PostgresStore(database, FileKeyring(keyring), system_clock)


def number(value: str, type: IdentifierType = IdentifierType.CITIZEN_ID) -> PersonIdentifier:
    return PersonIdentifier(Identifier(type, value), IdentifierKey(type.value, value), Assurance.TYPED, NOW)


def person(*identifiers: PersonIdentifier, demographics: Demographics = HOA) -> Person:
    return Person(uuid7(), PersonState.ACTIVE, demographics, identifiers, None, NOW)


def event(of: Person) -> PersonEvent:
    return PersonEvent(of.id, uuid7(), "PERSON_REGISTERED", NOW, "FACILITY/01001", {"identifiers": "CITIZEN_ID"})


async def add(store: Store, *persons: Person) -> None:
    await store.write(lambda transaction: transaction.add_persons(persons, [event(one) for one in persons]))


async def add_to(store: Store, id: UUID, identifier: PersonIdentifier, *events: PersonEvent) -> None:
    await store.write(lambda transaction: transaction.add_identifiers({id: [identifier]}, events))


async def register_facility(store: Store, facility: Organization) -> Organization:
    return await store.write(lambda transaction: transaction.add_organization(facility))


async def register_practitioner(store: Store, practitioner: Practitioner) -> Practitioner:
    return await store.write(lambda transaction: transaction.add_practitioner(practitioner))


async def history(store: Store, id: UUID) -> Sequence[PersonEvent]:
    return await store.read(lambda transaction: transaction.history(id))


async def holders(store: Store, key: IdentifierKey) -> Sequence[Holder]:
    return await store.read(lambda transaction: transaction.holders({key}))


async def get(store: Store, id: UUID) -> Person | None:
    return await store.read(lambda transaction: transaction.person(id))


async def test_a_person_is_kept_whole(store: Store) -> None:
    full = person(number("001185012345"), number("B1234567", IdentifierType.PASSPORT))
    bare = replace(person(demographics=Demographics()), state=PersonState.PROVISIONAL, facility="01001")
    bare = replace(bare, identifiers=(number("T1", IdentifierType.TEMPORARY),))
    estimated = person(number("2"), demographics=Demographics(birth=BirthDate(1986, estimated=True)))
    await add(store, full, bare, estimated)
    assert [await get(store, one.id) for one in (full, bare, estimated)] == [full, bare, estimated]
    assert await get(store, uuid7()) is None


async def test_more_than_fit_in_one_statement_are_kept_whole(store: Store) -> None:
    # One statement takes 500 rows.
    made = [person(number(f"0011850{at:05}")) for at in range(1_203)]
    await add(store, *made)
    ids = [one.id for one in made]
    kept = await store.read(lambda transaction: transaction.persons(ids))
    assert [kept[id] for id in ids] == made
    for one in (made[0], made[499], made[500], made[-1]):
        assert len(await history(store, one.id)) == 1
        (holder,) = await holders(store, one.identifiers[0].key)
        assert holder.person == one.id
    # One of them is taken: of all others nothing is kept.
    more = [person(number(f"0011851{at:05}")) for at in range(600)]
    more[300] = person(number("001185000007"))
    with pytest.raises(IdentifierTaken):
        await add(store, *more)
    assert await store.read(lambda transaction: transaction.persons([one.id for one in more])) == {}


async def test_holders_are_found_by_any_key(store: Store) -> None:
    hoa = person(number("1"), number("A", IdentifierType.PASSPORT))
    binh = person(number("2"), demographics=Demographics(name="Trần Văn Bình"))
    await add(store, hoa, binh)
    keys = {IdentifierKey("CITIZEN_ID", "1"), IdentifierKey("CITIZEN_ID", "2"), IdentifierKey("PASSPORT", "1")}
    found = {one.person: one for one in await store.read(lambda transaction: transaction.holders(keys))}
    assert found.keys() == {hoa.id, binh.id}
    assert found[hoa.id].matched == {IdentifierKey("CITIZEN_ID", "1")}
    assert found[hoa.id].held == {IdentifierType.CITIZEN_ID, IdentifierType.PASSPORT}
    assert found[binh.id].demographics == binh.demographics
    assert list(await store.read(lambda transaction: transaction.holders(set()))) == []


async def test_an_exclusive_key_has_one_holder_and_a_failed_write_leaves_nothing(store: Store) -> None:
    first, second = person(number("1")), person(number("2"), number("1"))
    await add(store, first)
    with pytest.raises(IdentifierTaken):
        await add(store, second)
    assert await get(store, second.id) is None
    assert list(await store.read(lambda transaction: transaction.holders({IdentifierKey("CITIZEN_ID", "2")}))) == []


async def test_an_old_number_may_have_several_holders(store: Store) -> None:
    one, two = person(number("9", IdentifierType.OLD_ID)), person(number("9", IdentifierType.OLD_ID))
    await add(store, one)
    await add(store, two)
    found = await store.read(lambda transaction: transaction.holders({IdentifierKey("OLD_ID", "9")}))
    assert {holder.person for holder in found} == {one.id, two.id}


async def test_identifiers_are_added_once_and_count_the_version_up(store: Store) -> None:
    known, other = person(number("1")), person(number("2"))
    await add(store, known, other)
    await add_to(store, known.id, number("A", IdentifierType.PASSPORT), event(known))
    changed = await get(store, known.id)
    assert changed is not None
    assert changed.version == 2
    assert set(changed.identifiers) == {number("1"), number("A", IdentifierType.PASSPORT)}
    for id in (known.id, other.id):
        with pytest.raises(IdentifierTaken):
            await add_to(store, id, number("A", IdentifierType.PASSPORT), event(known))
    history = await store.read(lambda transaction: transaction.history(known.id))
    assert [(line.kind, line.detail) for line in history] == [
        ("PERSON_REGISTERED", {"identifiers": "CITIZEN_ID"}),
        ("PERSON_REGISTERED", {"identifiers": "CITIZEN_ID"}),
    ]


async def test_filings_are_kept_once(store: Store) -> None:
    key = FilingKey("01001", "BN1", b'["said"]')
    filing = Filing(FilingOutcome.REVIEW, uuid7(), ("CITIZEN_ID_SEX_MISMATCH",))
    await store.write(lambda transaction: transaction.add_filings({key: filing}, NOW))
    others = {replace(key, local_mrn="BN2"), replace(key, facility="79002"), replace(key, said=b"[]")}
    assert await store.read(lambda transaction: transaction.filings({key, *others})) == {key: filing}
    with pytest.raises(IdentifierTaken):
        await store.write(lambda transaction: transaction.add_filings({key: filing}, NOW))


def hospital(code: str, level: CareLevel = CareLevel.BASIC) -> Organization:
    area = Area("24", Era.PROVINCES_34)
    return Organization(code, f"Bệnh viện {code}", level, area, None, OrganizationState.ACTIVE, NOW)


async def test_the_register_of_facilities(store: Store) -> None:
    for one in (hospital("27003"), hospital("01001", CareLevel.SPECIALISED), hospital("79002")):
        assert await register_facility(store, one) == one
    renamed = replace(hospital("27003"), display_name="Khác")
    assert await register_facility(store, renamed) == hospital("27003")

    async def codes(after: str, limit: int, **wanted: Any) -> list[str]:
        found = await store.read(
            lambda transaction: transaction.organizations(OrganizationFilter(**wanted), after, limit)
        )
        return [one.code for one in found]

    assert await codes("", 2) == ["01001", "27003"]
    assert await codes("27003", 9) == ["79002"]
    assert await codes("", 9, level=CareLevel.SPECIALISED) == ["01001"]
    # Three levels, one of them suspended, with capabilities; Bà Rịa - Vũng Tàu of old is Hồ Chí Minh now.
    more = [
        replace(
            hospital("27004"),
            parent="27003",
            capabilities=("EMERGENCY", "OBSTETRICS"),
            contact="0222 3821 242",
            province=Area("77", Era.PROVINCES_63),
        ),
        replace(hospital("24005"), parent="27004", state=OrganizationState.SUSPENDED, suspension_reason="LICENCE"),
        replace(hospital("27003"), version=2, province=Area("24", Era.PROVINCES_34)),
    ]
    await store.write(lambda transaction: transaction.put_organizations(more))
    assert await store.read(lambda transaction: transaction.organizations_of(["27004", "24005", "99999"])) == {
        "27004": more[0],
        "24005": more[1],
    }
    assert await store.write(lambda transaction: transaction.hierarchy()) == {
        "01001": None,
        "24005": "27004",
        "27003": None,
        "27004": "27003",
        "79002": None,
    }
    assert await codes("", 9, ancestor="27003") == ["24005", "27004"]
    assert await codes("", 9, ancestor="27004", state=OrganizationState.ACTIVE) == []
    assert await codes("", 9, capability="OBSTETRICS") == ["27004"]
    assert await codes("", 9, province_code="79") == ["27004"]
    assert await store.read(lambda transaction: transaction.organization_state("24005")) is OrganizationState.SUSPENDED
    assert await store.read(lambda transaction: transaction.organization_state("99999")) is None
    known = await store.read(lambda transaction: transaction.known_organizations({"01001", "99999"}))
    assert known == frozenset({"01001"})


async def test_suspending_needs_the_current_version(store: Store) -> None:
    await register_facility(store, hospital("27003"))
    suspended = replace(hospital("27003"), state=OrganizationState.SUSPENDED, version=2, suspension_reason="FIRE")
    late = replace(suspended, version=8)
    assert not await store.write(lambda transaction: transaction.put_organization(late))
    assert await store.write(lambda transaction: transaction.put_organization(suspended))
    assert await store.read(lambda transaction: transaction.organization("27003")) == suspended
    assert await store.read(lambda transaction: transaction.organization("99999")) is None


async def test_the_register_of_practitioners(store: Store) -> None:
    ids = sorted(uuid7() for _ in range(3))
    made = [
        Practitioner(id, f"licence {at}", "Trần Văn Bình", codes, "doctor", NOW)
        for at, (id, codes) in enumerate(zip(ids, [("01001",), ("01001", "79002"), ("79002",)], strict=True))
    ]
    for one in made:
        assert await register_practitioner(store, one) == one
    again = replace(made[0], id=uuid7())
    assert await register_practitioner(store, again) == made[0]
    assert await store.read(lambda transaction: transaction.practitioners("01001", None, 9)) == made[:2]
    assert await store.read(lambda transaction: transaction.practitioners("01001", ids[0], 9)) == [made[1]]
    assert await store.read(lambda transaction: transaction.practitioner(ids[2])) == made[2]
    assert await store.read(lambda transaction: transaction.practitioner(uuid7())) is None


async def test_a_request_is_answered_once(store: Store) -> None:
    answers = iter([b"first", b"second", b"third"])

    async def once(transaction: Transaction, scope: str, digest: bytes) -> bytes:
        async def work() -> bytes:
            return next(answers)

        return await transaction.once(scope, "r1", digest, work)

    for _ in range(2):
        assert await store.write(lambda transaction: once(transaction, "a", b"1")) == b"first"
    assert await store.write(lambda transaction: once(transaction, "b", b"1")) == b"second"
    with pytest.raises(RequestIdReused):
        await store.write(lambda transaction: once(transaction, "a", b"2"))


async def test_every_entry_and_every_number_is_told(store: Store) -> None:
    id, event = uuid7(), uuid7()
    made = Person(id, PersonState.PROVISIONAL, HOA, (), "01001", NOW)

    async def work(transaction: Transaction) -> None:
        await transaction.add_persons([made], [PersonEvent(id, event, "PROVISIONAL_REGISTERED", NOW, "a", {})])
        assert await transaction.currents([id]) == {id: id}
        assert await transaction.members([id]) == {id: [id]}
        await transaction.add_changes([PersonChange(uuid7(), id, ChangeKind.IDENTIFIED, id, False, NOW)])

    await store.write(work)


async def test_a_task_for_the_same_entry_and_reason_is_joined(store: Store) -> None:
    subject, first, second = uuid7(), uuid7(), uuid7()

    def task(score: float, reason: ReviewReason = ReviewReason.SCORE_BAND) -> NewReviewTask:
        return NewReviewTask(subject, reason, (ReviewCandidate(uuid7(), score),), "01001")

    async def work(transaction: Transaction) -> None:
        assert await transaction.add_review_tasks({first: task(1.0)}, NOW) == {first: first}
        assert await transaction.add_review_tasks({second: task(3.0)}, NOW) == {second: first}
        other = task(2.0, ReviewReason.IDENTIFICATION)
        assert await transaction.add_review_tasks({second: other}, NOW) == {second: second}

    await store.write(work)


async def _raise(tasks: dict[UUID, NewReviewTask], transaction: Transaction) -> Mapping[UUID, UUID]:
    return await transaction.add_review_tasks(tasks, NOW)


async def test_tasks_of_a_batch_are_raised_at_once_however_often(store: Store) -> None:
    subjects, ids = [uuid7() for _ in range(3)], [uuid7() for _ in range(60)]

    def task(at: int) -> NewReviewTask:
        candidates = (ReviewCandidate(uuid7(), float(at)),)
        return NewReviewTask(subjects[at % 3], ReviewReason.SCORE_BAND, candidates, "01001", documents=2)

    # Often enough that the driver prepares the statement.
    became: dict[UUID, UUID] = {}
    for start in range(0, 60, 5):
        tasks = {ids[at]: task(at) for at in range(start, start + 5)}
        became |= await store.write(partial(_raise, tasks))
    assert set(became) == set(ids)
    assert len(set(became.values())) == 3
    listed = await store.read(lambda transaction: transaction.review_tasks(None, None, None, 10))
    assert [one.documents_waiting for one in listed] == [40, 40, 40]
    assert {one.score for one in listed[0].candidates} <= {float(at) for at in range(45, 60)}


async def test_loads_and_their_faults(store: Store) -> None:
    begun = PopulationLoad("registry", NOW, NOW)
    assert await store.write(lambda transaction: transaction.add_load(begun)) == begun
    moved = replace(begun, parts=1, entries=3, created=1, rejected=2)
    found = [
        RowFault(2, "identifiers", "A"),
        RowFault(2, "demographics.human_name", "B"),
        RowFault(11, "identifiers", "A"),
    ]

    async def work(transaction: Transaction) -> None:
        assert await transaction.load("registry", hold=True) == begun
        assert not await transaction.is_last_part("registry", b"one")
        await transaction.put_load(moved, b"one", found)

    await store.write(work)
    assert await store.read(lambda transaction: transaction.load("registry")) == moved
    assert await store.read(lambda transaction: transaction.load("other")) is None
    assert await store.read(lambda transaction: transaction.is_last_part("registry", b"one"))
    assert await store.write(lambda transaction: transaction.add_load(begun)) == moved
    ordered = sorted(found)
    assert await store.read(lambda transaction: transaction.load_faults("registry", None, 2)) == ordered[:2]
    assert await store.read(lambda transaction: transaction.load_faults("registry", ordered[1], 9)) == ordered[2:]


async def test_the_place_of_the_search_goes_on(store: Store) -> None:
    first, second = sorted([uuid7(), uuid7()])
    assert await store.write(lambda transaction: transaction.place("v1")) is None
    await store.write(lambda transaction: transaction.put_place("v1", first, NOW))
    await store.write(lambda transaction: transaction.put_place("v1", second, NOW))
    assert await store.write(lambda transaction: transaction.place("v1")) == second
    assert await store.write(lambda transaction: transaction.place("v2")) is None
