"""Provisional persons in every identity store: how they came, aliases, work lists, newborns by mother."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.chassis.identifiers import uuid7
from services.identity.model import (
    Assurance,
    Demographics,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
    Provisional,
    ProvisionalKind,
    Sex,
)
from services.identity.ports import Store
from tests.store.test_identity_store import store

__all__ = ["store"]

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
CAME = Provisional("01001", ProvisionalKind.EMERGENCY, NOW, "Đèn Hươu", NOW + 48 * HOUR)


def number(value: str, type: IdentifierType) -> PersonIdentifier:
    return PersonIdentifier(Identifier(type, value, "01001"), IdentifierKey(type.value, value), Assurance.TYPED, NOW)


def provisional(came: Provisional = CAME, *identifiers: PersonIdentifier) -> Person:
    known = Demographics(name="Nguyễn Thị Hoà", sex=Sex.FEMALE)
    return Person(uuid7(), PersonState.PROVISIONAL, known, identifiers, came.facility, NOW, provisional=came)


def event(id: UUID, kind: str = "PROVISIONAL_REGISTERED") -> PersonEvent:
    return PersonEvent(id, uuid7(), kind, NOW, "FACILITY/01001", {})


async def add(store: Store, *persons: Person) -> None:
    await store.write(lambda transaction: transaction.add_persons(persons, [event(one.id) for one in persons]))


async def get(store: Store, id: UUID) -> Person | None:
    return await store.read(lambda transaction: transaction.person(id))


async def test_how_a_person_came_is_kept_whole(store: Store) -> None:
    newborn = replace(
        CAME, kind=ProvisionalKind.NEWBORN, alias="", notice_due_at=None, mother=uuid7(), birth_at=NOW, birth_order=2
    )
    made = [provisional(), provisional(newborn), replace(provisional(), protected=True, death=NOW.date())]
    await add(store, *made)
    assert [await get(store, one.id) for one in made] == made


async def test_a_document_that_came_first_is_completed(store: Store) -> None:
    by_document = provisional(Provisional("01001", ProvisionalKind.UNIDENTIFIED, NOW))
    await add(store, by_document)
    await store.write(lambda transaction: transaction.come(by_document.id, CAME, [event(by_document.id)]))
    assert await get(store, by_document.id) == replace(by_document, provisional=CAME)
    assert len(await store.read(lambda transaction: transaction.history(by_document.id))) == 2


async def test_an_alias_is_one_persons_at_a_facility_until_it_ends(store: Store) -> None:
    one, two = uuid7(), uuid7()

    async def take(facility: str, id: UUID, now: datetime) -> bool:
        return await store.write(
            lambda transaction: transaction.take_alias(facility, "Đèn Hươu", id, now, now + 24 * HOUR)
        )

    assert await take("01001", one, NOW)
    assert await take("01001", one, NOW)
    assert not await take("01001", two, NOW + 23 * HOUR)
    assert await take("79002", two, NOW)
    used = await store.read(lambda transaction: transaction.used_aliases("01001", NOW))
    assert used == frozenset({"Đèn Hươu"})
    assert await store.read(lambda transaction: transaction.used_aliases("01001", NOW + 24 * HOUR)) == frozenset()
    assert await take("01001", two, NOW + 24 * HOUR)
    assert not await take("01001", one, NOW + 25 * HOUR)


async def test_the_work_list_goes_by_arrival_and_id(store: Store) -> None:
    band, mrn = number("T1", IdentifierType.TEMPORARY), number("BN1", IdentifierType.LOCAL_MRN)
    card = number("1", IdentifierType.CITIZEN_ID)
    old, young = provisional(replace(CAME, arrival_at=NOW - 3 * HOUR), band, mrn, card), provisional()
    twin = provisional()
    elsewhere = provisional(replace(CAME, facility="79002", arrival_at=NOW - HOUR))
    confirmed = replace(provisional(), state=PersonState.ACTIVE, facility=None, provisional=None)
    await add(store, old, young, twin, elsewhere, confirmed)

    async def page(
        facility: str | None, until: datetime | None = None, after: tuple[datetime, UUID] | None = None, limit: int = 9
    ) -> list[UUID]:
        found = await store.read(lambda transaction: transaction.waiting(facility, until, None, after, limit))
        return [one.id for one in found]

    same = sorted([young.id, twin.id])
    assert await page("01001") == [old.id, *same]
    assert await page(None) == [old.id, elsewhere.id, *same]
    assert await page("01001", NOW - 3 * HOUR) == [old.id]
    assert await page("01001", NOW - 3 * HOUR - timedelta(seconds=1)) == []
    assert await page(None, None, None, 2) == [old.id, elsewhere.id]
    assert await page(None, None, (NOW, same[0]), 9) == [same[1]]
    (line, *_) = await store.read(lambda transaction: transaction.waiting("01001", None, None, None, 1))
    assert (line.demographics, set(line.identifiers)) == (Demographics(), {band, mrn})


async def test_a_notice_is_noted_once_and_ends_the_duty(store: Store) -> None:
    person = provisional()
    await add(store, person, provisional(replace(CAME, notice_due_at=None)))

    async def due(at: datetime) -> list[UUID]:
        found = await store.read(lambda transaction: transaction.waiting("01001", None, at, None, 9))
        return [one.id for one in found]

    async def note(at: datetime) -> bool:
        return await store.write(
            lambda transaction: transaction.note_notice(person.id, at, [event(person.id, "AUTHORITY_NOTICED")])
        )

    assert await due(NOW + 47 * HOUR) == []
    assert await due(NOW + 48 * HOUR) == [person.id]
    assert await note(NOW)
    assert not await note(NOW + HOUR)
    assert await due(NOW + 99 * HOUR) == []
    read = await get(store, person.id)
    assert read is not None
    assert read.provisional == replace(CAME, notice_at=NOW)
    assert len(await store.read(lambda transaction: transaction.history(person.id))) == 2


async def test_newborns_are_found_by_mother_and_order(store: Store) -> None:
    mother, other = uuid7(), uuid7()
    child = replace(CAME, kind=ProvisionalKind.NEWBORN, mother=mother, birth_at=NOW, birth_order=1)
    first, second = provisional(child), provisional(replace(child, birth_order=2))
    await add(store, first, second, provisional(replace(child, mother=other)))
    found = await store.read(lambda transaction: transaction.children([mother], 1))
    assert [(one.id, one.provisional) for one in found] == [(first.id, child)]
    assert list(await store.read(lambda transaction: transaction.children([], 1))) == []
