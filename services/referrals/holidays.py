"""Public holidays as data: Tết and the Hùng Kings' day follow the lunar calendar and the days in lieu are set year by year."""

from __future__ import annotations

import csv
from datetime import date
from importlib.resources import files


def load_holidays() -> frozenset[date]:
    """The holidays of `data/holidays.csv`. Days not on it count as working days, so the list MUST be extended before a
    year begins: a holiday it lacks would make papers lapse a day early."""
    text = files("services.referrals").joinpath("data/holidays.csv").read_text("utf-8")
    return frozenset(date.fromisoformat(row["date"]) for row in csv.DictReader(text.splitlines()))
