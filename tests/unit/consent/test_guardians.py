"""Whose agreement the law asks for, by the calendar: what holds at the last instant of a day, and what from the next on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from services.chassis.errors import InvalidArgument
from services.consent.convert.guardians import reason_in
from services.consent.guardians import (
    Guardianship,
    GuardianshipKind,
    Needed,
    birthday,
    clipped,
    needed,
    presumed_birth,
)
from services.consent.model import ALWAYS, AgreementRole, Period
from services.consent.policy import policies, policy_at
from tests.unit.consent.cases import NOW, PEOPLE

SELF, GUARDIAN = AgreementRole.SELF, AgreementRole.GUARDIAN
BOTH = {SELF, GUARDIAN}
TICK = timedelta(microseconds=1)


def at(text: str) -> datetime:
    """A moment in Vietnam."""
    return datetime.fromisoformat(f"{text}+07:00")


def office(who: str, kind: GuardianshipKind = GuardianshipKind.PARENT, period: Period = ALWAYS) -> Guardianship:
    return Guardianship(UUID(int=1), PEOPLE["person"], PEOPLE[who], kind, period, "BIRTH_CERTIFICATE", NOW)


@pytest.mark.parametrize(
    ("birth", "now", "required", "until"),
    [
        ((2019, 11, 25), "2026-11-24T23:59:59.999999", {GUARDIAN}, "2026-11-25T00:00"),
        ((2019, 11, 25), "2026-11-25T00:00:00", BOTH, "2035-11-25T00:00"),
        ((2010, 11, 25), "2026-11-24T23:59:59.999999", BOTH, "2026-11-25T00:00"),
        ((2010, 11, 25), "2026-11-25T00:00:00", {SELF}, None),
        # Born on 29 February: seven years are full when 28 February is over; the sixteenth birthday is in a leap year.
        ((2020, 2, 29), "2027-02-28T23:59:59.999999", {GUARDIAN}, "2027-03-01T00:00"),
        ((2020, 2, 29), "2027-03-01T00:00:00", BOTH, "2036-02-29T00:00"),
        ((2020, 2, 29), "2036-02-28T23:59:59.999999", BOTH, "2036-02-29T00:00"),
        ((2020, 2, 29), "2036-02-29T00:00:00", {SELF}, None),
        # Of whom only the year is known, or the month, the last day counts.
        ((2019, 0, 0), "2026-12-30T23:59:59.999999", {GUARDIAN}, "2026-12-31T00:00"),
        ((2019, 0, 0), "2026-12-31T00:00:00", BOTH, "2035-12-31T00:00"),
        ((2010, 0, 0), "2026-12-30T23:59:59.999999", BOTH, "2026-12-31T00:00"),
        ((2010, 0, 0), "2026-12-31T00:00:00", {SELF}, None),
        ((2010, 11, 0), "2026-11-29T23:59:59.999999", BOTH, "2026-11-30T00:00"),
        ((2010, 11, 0), "2026-11-30T00:00:00", {SELF}, None),
        ((2010, 2, 0), "2026-02-28T00:00:00", {SELF}, None),
        # Of the future, as of a child who is expected: nothing else than a small child.
        ((2027, 1, 1), "2026-11-24T00:00:00", {GUARDIAN}, "2034-01-01T00:00"),
    ],
)
def test_who_must_agree(birth: tuple[int, int, int], now: str, required: set[AgreementRole], until: str | None) -> None:
    found = needed(birth, at(now), policy_at(NOW).numbers, [office("mother")])
    assert found.required == required
    assert found.until == (at(until) if until else None)
    assert found.guardian == (GUARDIAN in required)


def test_a_birthday_begins_at_midnight_in_vietnam_and_not_in_greenwich() -> None:
    assert birthday((2010, 11, 25), 16) == datetime(2026, 11, 24, 17, tzinfo=UTC)


def test_every_policy_file_says_the_ages_of_the_law() -> None:
    """Law on Children 102/2016/QH13 art. 1 and Decree 13/2023/NĐ-CP art. 20."""
    for policy in policies().values():
        assert (policy.numbers.child_below_years, policy.numbers.child_agrees_from_years) == (16, 7)


@pytest.mark.parametrize(
    ("birth", "last"),
    [
        ((2024, 2, 0), date(2024, 2, 29)),
        ((2023, 2, 0), date(2023, 2, 28)),
        ((2023, 12, 0), date(2023, 12, 31)),
        ((2023, 4, 7), date(2023, 4, 7)),
    ],
)
def test_the_presumed_day_is_the_last_that_may_be(birth: tuple[int, int, int], last: date) -> None:
    assert presumed_birth(birth) == last


def test_guardians_of_a_child_are_asked_in_the_order_of_their_registration() -> None:
    found = needed((2020, 1, 1), NOW, policy_at(NOW).numbers, [office("father"), office("mother"), office("father")])
    assert found.guardians == (PEOPLE["father"], PEOPLE["mother"])


def test_for_an_adult_only_an_appointed_guardian_agrees() -> None:
    numbers, adult = policy_at(NOW).numbers, (1985, 3, 2)
    assert needed(adult, NOW, numbers, [office("mother")]) == Needed()
    appointed = office("father", GuardianshipKind.GUARDIAN)
    assert needed(adult, NOW, numbers, [office("mother"), appointed]) == Needed(
        frozenset({GUARDIAN}), None, (PEOPLE["father"],)
    )


def test_an_office_holds_from_its_first_instant_to_before_its_last() -> None:
    start, end = NOW, NOW + timedelta(days=1)
    one = office("mother", period=Period(start, end))
    assert [one.holds(when) for when in (start - TICK, start, end - TICK, end)] == [False, True, True, False]
    ended = Guardianship(one.id, one.ward, one.guardian, one.kind, ALWAYS, one.evidence, one.created_at, ended_at=start)
    assert [ended.holds(when) for when in (start - TICK, start)] == [True, False]


def test_an_office_is_cut_at_coming_of_age() -> None:
    of_age = NOW + timedelta(days=30)
    assert clipped(ALWAYS, of_age) == Period(None, of_age)
    assert clipped(Period(NOW, NOW + timedelta(days=3)), of_age) == Period(NOW, NOW + timedelta(days=3))
    assert clipped(Period(of_age, None), of_age) is None


@pytest.mark.parametrize("code", ["COURT_DECISION", "A", "BIRTH_CERTIFICATE", "A" * 64])
def test_codes_are_words(code: str) -> None:
    assert reason_in(code) == code


@pytest.mark.parametrize(
    "code", ["", "079203012345", "COURT_12", "court", "_A", "A_", "A__B", "A B", "A\n", "Ă", "A" * 65]
)
def test_what_is_no_word_is_refused_and_never_repeated(code: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        reason_in(code)
    assert [one.reason for one in caught.value.violations] == ["CODE_INVALID"]
    assert "079203012345" not in f"{caught.value} {caught.value.violations}"
