"""Dates of birth as they are written, read from `cases/dates.csv`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from services.identity.model import BirthDate, Demographics
from services.identity.normalise.dates import birth_date, born, day_in_viet_nam, plausible, told
from services.identity.normalise.person import normal
from tests.unit.identity.normalise.cases import cases, label

TODAY = date(2026, 11, 23)


def said(birth: BirthDate | None) -> str:
    """A date as the cases write it: as much of ISO as is known, `~` for an estimate."""
    if birth is None:
        return ""
    known = (f"{birth.year:04}", f"{birth.month:02}" if birth.month else "", f"{birth.day:02}" if birth.day else "")
    return "-".join(part for part in known if part) + ("~" if birth.estimated else "")


@pytest.mark.parametrize("row", cases("dates"), ids=label)
def test_a_date_is_read_as_its_rule_says(row: dict[str, str]) -> None:
    assert said(birth_date(row["raw"], TODAY)) == row["expected"]


def test_there_are_cases_enough() -> None:
    assert len({row["raw"] for row in cases("dates")}) >= 40


def test_what_programs_store_for_nothing_is_not_compared() -> None:
    assert told(BirthDate(1900, 1, 1)) is None
    assert told(BirthDate(1900)) == BirthDate(1900)
    assert normal(Demographics(birth=BirthDate(1900, 1, 1))).birth is None
    assert normal(Demographics(birth=BirthDate(1960, 1, 1))).birth == BirthDate(1960, 1, 1)


def test_a_birth_in_the_future_is_not_compared() -> None:
    tomorrow = Demographics(birth=BirthDate(2026, 11, 24))
    assert normal(tomorrow, TODAY).birth is None
    assert normal(tomorrow, date(2026, 11, 24)).birth == tomorrow.birth
    assert normal(Demographics(birth=BirthDate(1895)), TODAY).birth is None


def test_births_are_dated_in_viet_nam() -> None:
    assert day_in_viet_nam(datetime(2026, 11, 23, 16, 59, tzinfo=UTC)) == TODAY
    assert day_in_viet_nam(datetime(2026, 11, 23, 17, 0, tzinfo=UTC)) == date(2026, 11, 24)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((1950, 2, 30), "1950"),
        ((1950, 2, 28), "1950-02-28"),
        ((1950, 0, 7), "1950"),
        ((1950, 13, 0), "1950"),
        ((0, 2, 3), ""),
    ],
)
def test_of_an_impossible_day_the_year_is_known(parts: tuple[int, int, int], expected: str) -> None:
    assert said(born(*parts)) == expected


def test_a_date_is_plausible_by_the_day_it_is_read() -> None:
    assert plausible(BirthDate(2026, 11, 24), TODAY) is None
    assert plausible(BirthDate(2026, 11, 24), date(2026, 11, 24)) == BirthDate(2026, 11, 24)
    assert plausible(BirthDate(1895, 12, 31), TODAY) is None
    assert plausible(None, TODAY) is None
