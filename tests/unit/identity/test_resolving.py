"""Who a person is, by demographics: what matches, what people must look at, and what is never used by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.identity.errors import MatchesExhausted, ResolutionOverloaded
from services.identity.model import (
    Area,
    Assurance,
    BirthDate,
    Demographics,
    Era,
    Identifier,
    IdentifierType,
    Outcome,
    Person,
    Query,
    Resolution,
    Sex,
)
from services.identity.normalise import NORMALISER_VERSION
from services.identity.service import InFlight, Matcher, MatchingService, MatchRate
from services.identity.service.updates import Update
from tests.unit.identity.conftest import HOSPITAL, STEWARD, Operations, fresh_operations

HOA = Demographics("Nguyễn Thị Thu Hoà", BirthDate(1985, 3, 2), Sex.FEMALE, "0912345678", Area("01", Era.PROVINCES_34))
CITIZEN_ID = Identifier(IdentifierType.CITIZEN_ID, "001185012345")
CARD = Identifier(IdentifierType.HEALTH_INSURANCE, "DN4010123456789")
FAMILIES = ("Nguyễn", "Trần", "Lê", "Phạm", "Võ", "Hồ", "Đặng")
MIDDLES = ("Văn", "Thị", "Đức", "Thu", "Minh")
GIVEN = ("Hoà", "Bình", "Khánh", "Tuấn", "Ánh", "Phương", "Quý")


async def register(
    operations: Operations, demographics: Demographics = HOA, *identifiers: Identifier, request_id: str = "r1"
) -> Person:
    held = identifiers or (CITIZEN_ID,)
    person, _ = await operations.persons.register(
        HOSPITAL, held, demographics, Assurance.TYPED, request_id, request_id.encode()
    )
    return person


async def resolve(
    operations: Operations, demographics: Demographics, *identifiers: Identifier, emergency: bool = False
) -> Resolution:
    (found,) = await operations.persons.resolve(HOSPITAL, [Query(identifiers, demographics, emergency)])
    return found


def matching(operations: Operations, a_minute: int = 120) -> MatchingService:
    rate = MatchRate(operations.clock, a_minute)
    return MatchingService(operations.store, Matcher(operations.clock), InFlight(), rate)


async def test_a_birth_in_the_future_does_not_speak_against_anybody(operations: Operations) -> None:
    """1985 typed as 2085 is no date of birth, so name, phone and home are judged without one."""
    await register(operations)
    typed = await resolve(operations, replace(HOA, birth=BirthDate(2085, 3, 2)))
    left_out = await resolve(operations, replace(HOA, birth=None))
    assert (typed.outcome, typed.score) == (left_out.outcome, left_out.score)
    assert typed.outcome is not Outcome.NONE


async def test_name_birth_date_and_a_third_fact_match(operations: Operations) -> None:
    person = await register(operations)
    found = await resolve(operations, replace(HOA, name="NGUYEN THI THU HOA"))
    assert (found.outcome, found.person, found.incomplete) == (Outcome.MATCH, person.id, False)
    assert found.model_version == f"fs-2026-11+{NORMALISER_VERSION}"
    assert found.score is not None
    assert found.score > 12
    assert {one.field for one in found.evidence} >= {"demographics.human_name.given", "demographics.phone"}


async def test_name_and_birth_date_alone_are_for_people_to_look_at(operations: Operations) -> None:
    await register(operations)
    found = await resolve(operations, Demographics(HOA.name, HOA.birth))
    assert (found.outcome, found.person) == (Outcome.REVIEW, None)
    assert found.ask_next[0] == "identifiers"
    assert "demographics.phone" in found.ask_next


async def test_nobody_alike_is_nobody(operations: Operations) -> None:
    await register(operations)
    stranger = Demographics("Lê Văn Tám", BirthDate(1960, 9, 9), Sex.MALE, "0987654321")
    found = await resolve(operations, stranger)
    assert (found.outcome, found.score) == (Outcome.NONE, None)


async def test_a_twin_does_not_match(operations: Operations) -> None:
    await register(operations)
    for name in ("Nguyễn Thị Thu Hạnh", "Nguyễn Thị Thu Hoa", "Nguyễn Thị Thu Hóa"):
        assert (await resolve(operations, replace(HOA, name=name))).outcome is not Outcome.MATCH


@pytest.mark.parametrize("identifiers", [(), (CITIZEN_ID,)])
async def test_an_emergency_never_matches(operations: Operations, identifiers: tuple[Identifier, ...]) -> None:
    await register(operations)
    assert (await resolve(operations, HOA, *identifiers)).outcome is Outcome.MATCH
    found = await resolve(operations, HOA, *identifiers, emergency=True)
    assert (found.outcome, found.person, found.entry) == (Outcome.REVIEW, None, None)
    assert found.evidence


async def test_a_slip_in_the_number_is_found_by_the_rest(operations: Operations) -> None:
    person = await register(operations)
    for slip in ("001185012346", "001185021345"):
        found = await resolve(operations, HOA, Identifier(IdentifierType.CITIZEN_ID, slip))
        assert (found.outcome, found.person) == (Outcome.MATCH, person.id)
    found = await resolve(operations, HOA, Identifier(IdentifierType.CITIZEN_ID, "001185099999"))
    assert (found.outcome, found.person) == (Outcome.REVIEW, None)


async def test_a_borrowed_card_shows_who_it_may_be(operations: Operations) -> None:
    await register(operations, HOA, CARD)
    other = Demographics("Lê Văn Bình", BirthDate(1971, 8, 30), Sex.MALE, "0987654321")
    await register(operations, other, Identifier(IdentifierType.CITIZEN_ID, "001071055555"), request_id="r2")
    found = await resolve(operations, other, CARD)
    assert (found.outcome, found.person) == (Outcome.REVIEW, None)
    assert found.score is not None
    assert found.score > 12


async def test_protected_persons_are_found_by_their_number_alone(operations: Operations) -> None:
    person = await register(operations)
    update = Update(person.id, protected=True)
    await operations.updates.update(STEWARD, update, "r9", b"9")
    assert (await resolve(operations, HOA)).outcome is Outcome.NONE
    assert (await resolve(operations, HOA, CITIZEN_ID)).person == person.id
    service = matching(operations)
    bare, numbered = await service.match(HOSPITAL, [Query((), HOA), Query((CITIZEN_ID,), HOA)], 5)
    assert bare.candidates == ()
    assert [one.person for one in numbered.candidates] == [person.id]


async def test_candidates_come_best_first_and_bounded(operations: Operations) -> None:
    person = await register(operations)
    await register(
        operations,
        replace(HOA, name="Nguyễn Thị Thu Hoa", phone="0987654321"),
        Identifier(IdentifierType.CITIZEN_ID, "001185077777"),
        request_id="r2",
    )
    service = matching(operations)
    (both,) = await service.match(HOSPITAL, [Query((), HOA)], 5)
    assert next(one.person for one in both.candidates) == person.id
    assert [one.score for one in both.candidates] == sorted((one.score for one in both.candidates), reverse=True)
    assert len(both.candidates) == 2
    (one,) = await service.match(HOSPITAL, [Query((), HOA)], 1)
    assert [each.person for each in one.candidates] == [person.id]


async def test_a_facility_cannot_look_without_end(operations: Operations) -> None:
    service = matching(operations, a_minute=3)
    await service.match(HOSPITAL, [Query((), HOA)] * 2, 5)
    with pytest.raises(MatchesExhausted) as refused:
        await service.match(HOSPITAL, [Query((), HOA)] * 2, 5)
    assert refused.value.retry_after == timedelta(minutes=1)
    await service.match(STEWARD, [Query((), HOA)] * 2, 5)
    operations.clock.advance(timedelta(minutes=1))
    await service.match(HOSPITAL, [Query((), HOA)] * 2, 5)


def test_a_process_works_on_so_many_queries_and_no_more() -> None:
    in_flight = InFlight(10)
    with in_flight.of(100), pytest.raises(ResolutionOverloaded), in_flight.of(1):
        pass
    with in_flight.of(6), in_flight.of(4), pytest.raises(ResolutionOverloaded), in_flight.of(1):
        pass
    with in_flight.of(10):
        pass


NAMES = st.builds(lambda *parts: " ".join(parts), *(st.sampled_from(words) for words in (FAMILIES, MIDDLES, GIVEN)))
PEOPLE = st.lists(
    st.builds(
        Demographics,
        NAMES,
        st.builds(BirthDate, st.integers(1930, 2020), st.integers(1, 12), st.integers(2, 28)),
        st.sampled_from((Sex.MALE, Sex.FEMALE)),
        st.integers(912_345_001, 918_765_999).map(lambda number: f"0{number}"),
    ),
    min_size=1,
    max_size=8,
    unique_by=(lambda one: one.phone, lambda one: one.birth),
)


@settings(max_examples=25, deadline=None)
@given(people=PEOPLE)
def test_who_is_registered_is_found(people: list[Demographics]) -> None:
    """By demographics with a phone, and by every number."""

    async def story() -> None:
        operations = await fresh_operations()
        for at, one in enumerate(people):
            citizen = Identifier(IdentifierType.CITIZEN_ID, f"001085{at + 1:06}")
            card = Identifier(IdentifierType.SOCIAL_INSURANCE, f"01234567{at:02}")
            person = await register(operations, one, citizen, card, request_id=f"r{at}")
            for asked in ((), (citizen,), (card,), (citizen, card)):
                found = await resolve(operations, one, *asked)
                assert (found.outcome, found.person) == (Outcome.MATCH, person.id)

    asyncio.run(story())
