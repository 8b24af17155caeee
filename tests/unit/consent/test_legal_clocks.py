"""Legal clocks and the working days they count."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from services.consent.calendar import CalendarUnknown, after_years, calendar_from, vietnam_day, working_calendar
from services.consent.legal_clocks import LawUnknown, clocks_from, legal_clocks
from services.consent.subjects import Kind


def hanoi(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """A time of day in Viet Nam, in UTC."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC) - timedelta(hours=7)


@pytest.mark.parametrize(
    ("asked", "days", "end"),
    [
        # A Tuesday: Wednesday and Thursday are the two days.
        (hanoi(2026, 11, 24, 10), 2, hanoi(2026, 11, 27)),
        # The same day to the minute, in Viet Nam and not in UTC.
        (hanoi(2026, 11, 24, 0, 0), 2, hanoi(2026, 11, 27)),
        (hanoi(2026, 11, 24, 23, 59), 2, hanoi(2026, 11, 27)),
        # Over a weekend.
        (hanoi(2026, 11, 26, 10), 2, hanoi(2026, 12, 1)),
        # The day before Tết 2026: a whole week is off.
        (hanoi(2026, 2, 13, 16), 1, hanoi(2026, 2, 24)),
        (hanoi(2026, 2, 17, 9), 2, hanoi(2026, 2, 25)),
        # Giỗ Tổ on a Sunday is made up for on Monday.
        (hanoi(2026, 4, 24, 9), 1, hanoi(2026, 4, 29)),
        # Saturday 10 January 2026 is worked for Friday 2 January.
        (hanoi(2026, 1, 9, 9), 1, hanoi(2026, 1, 11)),
        (hanoi(2025, 12, 31, 9), 1, hanoi(2026, 1, 6)),
    ],
)
def test_working_days_end_at_midnight_in_viet_nam(asked: datetime, days: int, end: datetime) -> None:
    assert working_calendar().after_working_days(asked, days) == end


def test_tet_is_off_and_the_days_around_it_are_worked() -> None:
    calendar = working_calendar()
    off = [date(2026, 2, 13) + timedelta(days=number) for number in range(1, 10)]
    assert not any(calendar.is_working(day) for day in off)
    assert calendar.is_working(date(2026, 2, 13))
    assert calendar.is_working(date(2026, 2, 23))


def test_what_the_calendar_does_not_know_is_not_guessed() -> None:
    for at in (hanoi(2024, 12, 31), hanoi(2027, 12, 31, 12)):
        with pytest.raises(CalendarUnknown):
            working_calendar().after_working_days(at, 1)


def test_a_file_of_holidays_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "holidays.toml"
    file.write_text(
        "known_from = 2026-01-01\nknown_to = 2027-01-01\n[[year]]\nyear = 2026\noff = [2026-01-03]\nworked = [2026-01-05]\n"
    )
    with pytest.raises(ValueError, match="2026-01-03, 2026-01-05"):
        calendar_from(file)


def test_each_law_counts_for_what_was_asked_on_its_days() -> None:
    clocks = legal_clocks()
    last, first = hanoi(2025, 12, 31, 23, 59), hanoi(2026, 1, 1)
    assert clocks.regime(last).name == "DECREE_13_2023"
    assert clocks.regime(first).name == "DECREE_356_2025"
    before, after = clocks.of_request("DELETE", last), clocks.of_request("DELETE", first)
    assert (before.acknowledge_due_at, before.due_at) == (None, last + timedelta(hours=72))
    assert before.third_party_due_at == before.due_at
    # Two working days after 1 January 2026: Friday is off for Saturday 10 January.
    assert after.acknowledge_due_at == hanoi(2026, 1, 7)
    assert (after.due_at, after.third_party_due_at) == (hanoi(2026, 1, 22), hanoi(2026, 2, 1))
    with pytest.raises(LawUnknown):
        clocks.regime(hanoi(2023, 6, 30, 23, 59))


def test_every_right_has_a_clock_in_every_law() -> None:
    for regime in legal_clocks().regimes:
        assert regime.answer.keys() == {kind.value for kind in Kind}
        assert all(term.article for term in regime.answer.values())


def test_a_term_has_one_unit(tmp_path: Path) -> None:
    file = tmp_path / "clocks.toml"
    breach = '[regime.breach]\narticle = "a"\nhours = 72\nkeep_years = 5\n'
    head = '[[regime]]\nname = "X"\nlaw = "x"\nvalid_from = 2026-01-01\n'
    file.write_text(f'{head}[regime.answer.ACCESS]\narticle = "a"\nhours = 1\ncalendar_days = 1\n{breach}[retention]\n')
    with pytest.raises(ValueError, match="not one unit"):
        clocks_from(file, working_calendar())


def test_a_breach_counts_hours_and_its_file_years() -> None:
    clocks, found = legal_clocks(), hanoi(2026, 2, 28, 1, 30)
    assert clocks.breach_due_at(found) == found + timedelta(hours=72)
    assert clocks.breach_retain_until(found, found) == hanoi(2031, 2, 28, 1, 30)
    assert after_years(datetime(2024, 2, 29, tzinfo=UTC), 5) == datetime(2029, 3, 1, tzinfo=UTC)
    assert vietnam_day(datetime(2026, 1, 1, 17, 0, tzinfo=UTC)) == date(2026, 1, 2)
