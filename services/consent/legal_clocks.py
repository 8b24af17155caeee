"""Clocks of personal-data law, from `data/legal_clocks.toml`: which law counts for a request, and until when it is to be answered."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from services.consent.calendar import (
    WorkingCalendar,
    after_calendar_days,
    after_years,
    vietnam_day,
    working_calendar,
)

_FILE = Path(__file__).with_name("data") / "legal_clocks.toml"


class LawUnknown(Exception):
    """No law in the file is valid on a day."""


@dataclass(frozen=True)
class Term:
    """A term; exactly one of hours, working_days, calendar_days is not 0. `third_party` is in the same unit, 0 where there is no longer term."""

    article: str
    hours: int = 0
    working_days: int = 0
    calendar_days: int = 0
    third_party: int = 0

    def end(self, at: datetime, calendar: WorkingCalendar, *, third_party: bool = False) -> datetime:
        """The first moment that is too late (UTC)."""
        longer = self.third_party if third_party else 0
        if self.hours:
            return at + timedelta(hours=longer or self.hours)
        if self.working_days:
            return calendar.after_working_days(at, longer or self.working_days)
        return after_calendar_days(at, longer or self.calendar_days)


@dataclass(frozen=True)
class Regime:
    """A law with its validity: from `valid_from` up to, without, `valid_to`, days in Viet Nam."""

    name: str
    law: str
    valid_from: date
    valid_to: date | None
    acknowledge: Term | None
    answer: Mapping[str, Term]
    breach: Term
    keep_years: int

    def is_valid(self, day: date) -> bool:
        """Whether it counts for what was asked that day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True)
class Clocks:
    """Until when a request is to be acknowledged (None where the law has no such term) and answered, alone or with a third party. UTC."""

    regime: str
    acknowledge_due_at: datetime | None
    due_at: datetime
    third_party_due_at: datetime


@dataclass(frozen=True)
class Retention:
    """A duty to keep: the law, and for how many years after the last event."""

    article: str
    years: int

    def until(self, last: datetime) -> datetime:
        """From when on it may go."""
        return after_years(last, self.years)


@dataclass(frozen=True)
class LegalClocks:
    """All laws of the file."""

    regimes: tuple[Regime, ...]
    retention: Mapping[str, Retention]
    calendar: WorkingCalendar

    def regime(self, at: datetime) -> Regime:
        """The law that counts for what is asked at a moment; LawUnknown where there is none."""
        day = vietnam_day(at)
        for one in self.regimes:
            if one.is_valid(day):
                return one
        raise LawUnknown(f"no law of the file is valid on {day}")

    def of_request(self, kind: str, at: datetime) -> Clocks:
        """The clocks of a request. Raises LawUnknown, and CalendarUnknown where working days leave the calendar."""
        regime = self.regime(at)
        term = regime.answer[kind]
        return Clocks(
            regime.name,
            regime.acknowledge.end(at, self.calendar) if regime.acknowledge else None,
            term.end(at, self.calendar),
            term.end(at, self.calendar, third_party=True),
        )

    def breach_due_at(self, discovered: datetime) -> datetime:
        """From when on telling the authority of a breach is too late."""
        return self.regime(discovered).breach.end(discovered, self.calendar)

    def breach_retain_until(self, discovered: datetime, last: datetime) -> datetime:
        """From when on the file of a breach may be destroyed."""
        return after_years(last, self.regime(discovered).keep_years)


def clocks_from(path: Path, calendar: WorkingCalendar) -> LegalClocks:
    """Reads a file of clocks; ValueError where it contradicts itself."""
    raw = tomllib.loads(path.read_text("utf-8"))
    regimes = tuple(_regime(one) for one in raw["regime"])
    for earlier, later in pairwise(regimes):
        if earlier.valid_to != later.valid_from:
            raise ValueError(f"{earlier.name} and {later.name} do not meet")
    retention = {name: Retention(one["article"], one["years"]) for name, one in raw["retention"].items()}
    return LegalClocks(regimes, retention, calendar)


@lru_cache(maxsize=1)
def legal_clocks() -> LegalClocks:
    """The clocks of this release."""
    return clocks_from(_FILE, working_calendar())


def _regime(raw: Mapping[str, Any]) -> Regime:
    breach = dict(raw["breach"])
    keep_years = breach.pop("keep_years")
    acknowledge = raw.get("acknowledge")
    return Regime(
        raw["name"],
        raw["law"],
        raw["valid_from"],
        raw.get("valid_to"),
        _term(acknowledge) if acknowledge else None,
        {kind: _term(term) for kind, term in raw["answer"].items()},
        _term(breach),
        keep_years,
    )


def _term(raw: Mapping[str, Any]) -> Term:
    term = Term(**raw)
    if [term.hours > 0, term.working_days > 0, term.calendar_days > 0].count(True) != 1:
        raise ValueError(f"a term of {term.article} has not one unit")
    return term
