"""The working days of Viet Nam, from `data/holidays.toml`. Days are those of Viet Nam time (UTC+7, no daylight saving)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path

VIETNAM = timezone(timedelta(hours=7))
_FILE = Path(__file__).with_name("data") / "holidays.toml"
_SATURDAY = 5
_DAY = timedelta(days=1)


class CalendarUnknown(Exception):
    """A day lies outside what is known. Nothing is guessed; the file is to be extended, and whoever meets this raises an alarm."""


@dataclass(frozen=True)
class WorkingCalendar:
    """Known from `start` up to, without, `end`. `off` are days off between Monday and Friday, `worked` Saturdays and Sundays that are worked."""

    start: date
    end: date
    off: frozenset[date]
    worked: frozenset[date]

    def is_working(self, day: date) -> bool:
        """Whether public bodies work that day; CalendarUnknown outside."""
        if not self.start <= day < self.end:
            raise CalendarUnknown(f"working days are known from {self.start} to {self.end - _DAY}")
        return day in self.worked or (day.weekday() < _SATURDAY and day not in self.off)

    def after_working_days(self, at: datetime, days: int) -> datetime:
        """The first moment (UTC) after so many whole working days; the day of `at` is not counted. CalendarUnknown where they leave the file."""
        day, left = vietnam_day(at), days
        # The day itself must be known too: a term that begins outside is not computed.
        self.is_working(day)
        while left:
            day += _DAY
            left -= self.is_working(day)
        return midnight_after(day)


def vietnam_day(at: datetime) -> date:
    """The day in Viet Nam at a moment."""
    return at.astimezone(VIETNAM).date()


def midnight_after(day: date) -> datetime:
    """24:00 of a day in Viet Nam, in UTC: the first moment that is outside."""
    return datetime.combine(day + _DAY, datetime.min.time(), VIETNAM).astimezone(UTC)


def after_calendar_days(at: datetime, days: int) -> datetime:
    """The first moment (UTC) after so many whole calendar days; the day of `at` is not counted."""
    return midnight_after(vietnam_day(at) + timedelta(days=days))


def after_years(at: datetime, years: int) -> datetime:
    """The same moment so many years later; 29 February becomes 1 March."""
    try:
        return at.replace(year=at.year + years)
    except ValueError:
        return at.replace(year=at.year + years, month=3, day=1)


def calendar_from(path: Path) -> WorkingCalendar:
    """Reads a file of holidays; ValueError naming what contradicts itself."""
    raw = tomllib.loads(path.read_text("utf-8"))
    off = [day for year in raw["year"] for day in year["off"]]
    worked = [day for year in raw["year"] for day in year["worked"]]
    wrong = [str(day) for year in raw["year"] for day in (*year["off"], *year["worked"]) if day.year != year["year"]]
    wrong += [str(day) for day in off if day.weekday() >= _SATURDAY]
    wrong += [str(day) for day in worked if day.weekday() < _SATURDAY]
    missing = {*range(raw["known_from"].year, raw["known_to"].year)} ^ {year["year"] for year in raw["year"]}
    if wrong or missing or len(set(off)) != len(off):
        raise ValueError(f"holidays contradict themselves: {', '.join([*wrong, *map(str, sorted(missing))])}")
    return WorkingCalendar(raw["known_from"], raw["known_to"], frozenset(off), frozenset(worked))


@lru_cache(maxsize=1)
def working_calendar() -> WorkingCalendar:
    """The calendar of this release."""
    return calendar_from(_FILE)
