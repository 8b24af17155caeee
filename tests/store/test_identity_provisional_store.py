"""Provisional persons in every identity store: how they came, aliases, work lists, newborns by mother."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.chassis.identifiers import uuid7
from services.chassis.principal import Principal, PrincipalKind
from services.identity.links import ChangeKind
from services.identity.model import (
    Assurance,
    Demographics,
    Filing,
    FilingKey,
    FilingOutcome,
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
    Statement,
    WaitingCount,
)
from services.identity.ports import IdentifierTaken, Store
from services.identity.service.links import LinkService, Wish
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


async def test_who_waits_is_counted_by_facility(store: Store) -> None:
    ages = (timedelta(hours=23), timedelta(days=1), timedelta(days=7), timedelta(days=30))
    told = replace(CAME, arrival_at=NOW - timedelta(days=2), notice_due_at=NOW, notice_at=NOW)
    here = [replace(CAME, arrival_at=NOW - age, notice_due_at=NOW - age + 48 * HOUR) for age in ages]
    elsewhere = replace(CAME, facility="79002", notice_due_at=None)
    await add(store, *(provisional(one) for one in (*here, told, elsewhere)))
    counts = await store.read(lambda transaction: transaction.waiting_counts(NOW))
    assert counts == [WaitingCount("01001", 4, 2, 1, 2), WaitingCount("79002")]


async def test_newborns_are_found_by_mother_and_order(store: Store) -> None:
    mother, other = uuid7(), uuid7()
    child = replace(CAME, kind=ProvisionalKind.NEWBORN, mother=mother, birth_at=NOW, birth_order=1)
    first, second = provisional(child), provisional(replace(child, birth_order=2))
    await add(store, first, second, provisional(replace(child, mother=other)))
    found = await store.read(lambda transaction: transaction.children([mother], 1))
    assert [(one.id, one.provisional) for one in found] == [(first.id, child)]
    assert list(await store.read(lambda transaction: transaction.children([], 1))) == []


async def test_an_entry_is_changed_at_its_version_and_followers_hear_of_it(store: Store) -> None:
    person = provisional()
    await add(store, person)
    after = replace(person, state=PersonState.ACTIVE, facility=None, protected=True, death=NOW.date())

    async def change(changed: Person) -> bool:
        return await store.write(
            lambda transaction: transaction.change_person(changed, ChangeKind.IDENTIFIED, [event(person.id, "X")])
        )

    assert not await change(replace(after, version=2))
    assert await change(after)
    assert await get(store, person.id) == replace(after, version=2)
    assert not await change(after)
    assert list(await store.read(lambda transaction: transaction.waiting(None, None, None, None, 9))) == []
    history = await store.read(lambda transaction: transaction.history(person.id))
    assert [one.kind for one in history] == ["PROVISIONAL_REGISTERED", "X"]


async def test_what_was_said_is_kept_in_order_of_time(store: Store) -> None:
    person = provisional()
    await add(store, person)
    assert list(await store.read(lambda transaction: transaction.statements(person.id))) == []
    said = [
        Statement(uuid7(), NOW + at * HOUR, Demographics(name=f"Tên {at}"), Assurance.CARD_CODE, "FACILITY/01001")
        for at in (2, 1)
    ]
    await store.write(lambda transaction: transaction.add_statements(person.id, said))
    assert await store.read(lambda transaction: transaction.statements(person.id)) == said[::-1]


async def test_a_number_that_ended_is_found_still_and_can_be_anothers(store: Store) -> None:
    mine, other = number("1", IdentifierType.CITIZEN_ID), number("1", IdentifierType.CITIZEN_ID)
    card = number("2", IdentifierType.SOCIAL_INSURANCE)
    first, second = provisional(CAME, mine, card), provisional()
    await add(store, first, second)
    key = mine.key

    async def end(at: datetime | None) -> None:
        await store.write(lambda transaction: transaction.end_identifiers(first.id, {key}, at))

    await end(NOW)
    (holder,) = await store.read(lambda transaction: transaction.holders({key, card.key}))
    assert holder.matched == {key, card.key}
    assert holder.former == {key}
    assert holder.held == {IdentifierType.SOCIAL_INSURANCE}
    assert (holder.exclusive({key}), holder.exclusive({card.key})) == (False, True)
    await end(None)
    (holder,) = await store.read(lambda transaction: transaction.holders({key}))
    assert holder.former == frozenset()
    with pytest.raises(IdentifierTaken):
        await store.write(lambda transaction: transaction.add_identifiers({second.id: [other]}, [event(second.id)]))
    await end(NOW)
    await store.write(lambda transaction: transaction.add_identifiers({second.id: [other]}, [event(second.id)]))
    with pytest.raises(IdentifierTaken):
        await end(None)
    found = {one.person: one.exclusive({key}) for one in await store.read(lambda each: each.holders({key}))}
    assert found == {first.id: False, second.id: True}


async def test_where_a_person_is_known(store: Store) -> None:
    person, filed = provisional(), uuid7()
    await add(store, person)
    filing = Filing(FilingOutcome.MATCHED, filed)
    await store.write(lambda transaction: transaction.add_filings({FilingKey("79002", "BN1", b"[]"): filing}, NOW))

    async def known(id: UUID, facility: str) -> bool:
        return await store.read(lambda transaction: transaction.known_at([id], facility))

    assert await known(person.id, "01001")
    assert not await known(person.id, "79002")
    assert await known(filed, "79002")
    assert not await known(filed, "01001")


async def test_who_is_linked_waits_no_more_until_the_link_is_taken_back(store: Store) -> None:
    patient, known = provisional(), replace(provisional(), state=PersonState.ACTIVE, facility=None, provisional=None)
    await add(store, patient, known)
    links = LinkService(store, lambda: NOW, uuid7)
    steward = Principal(PrincipalKind.STEWARD, "steward-1")

    async def waiting() -> list[UUID]:
        found = await store.read(lambda transaction: transaction.waiting("01001", None, None, None, 9))
        counts = await store.read(lambda transaction: transaction.waiting_counts(NOW))
        assert len(counts) == len(found)
        return [one.id for one in found]

    link = await links.link_persons(steward, Wish(patient.id, known.id, "SAME_NUMBER"), "l1", b"1")
    assert await waiting() == []
    await links.unlink_persons(steward, link.id, "", "WRONG_PERSON", "u1", b"1")
    assert await waiting() == [patient.id]
