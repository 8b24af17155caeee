"""Dates of birth as people and programs write them.

Read are `15/03/1960` (the day first, as in Viet Nam), `1960-03-15`, `19600315` and `196003150000` (the national XML, zeros for what is unknown),
`15031960` (the QR code of the ID card), `03/1960`, `1960`, `năm 1960`, and an age, `65 tuổi`. Where the year can be read and the day or the month cannot
be (30/02, 12/25, a date of the lunar calendar), the year alone is known: a date is never swapped or moved to make it possible. Two-digit years, future
dates and those of more than 130 years ago are unknown, and so are the days that programs store for nothing (01/01/1900). 1 January stays: it is weighed
by its own frequency (`BirthDate.placeholder`).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, timedelta, timezone

from services.identity.model import BirthDate

OLDEST_YEARS = 130
"""Nobody lived longer: a date of birth farther back is a fault."""

# What programs store for no date: the zeros of SQL Server, of spreadsheets and of the old hospital programs.
_ZEROS = frozenset({(1900, 1, 1), (1899, 12, 30), (1899, 12, 31), (1753, 1, 1)})
_HANOI = timezone(timedelta(hours=7))
_LONGEST = 60
_CLOCK = re.compile(r"(?<=\d)(?:t|\s+)\d{1,2}(?::\d{1,2}){1,2}(?:\.\d+)?\s*(?:z|[+-]\d{2}:?\d{2}|am|pm|sa|ch)?\s*\Z")
_WORDS = re.compile(r"(?:ngay\s*(\d{1,2})\s*,?\s*)?(?:thang\s*(\d{1,2})\s*,?\s*)(?:nam\s*)(\d{4})\b")
_YEAR = re.compile(r"(?:^|[^\d])(?:nam(?: sinh)?|sn|ns)\s*:?\s*(\d{4})\s*\Z")
_AGE = re.compile(r"(\d{1,3})\s*(?:tuoi|t)\s*\Z")
_ESTIMATED = re.compile(r"~|\b(?:khoang|uoc(?: tinh| chung)?|chung|do)\b")
_LUNAR = re.compile(r"\b(?:am lich|al)\b")
_PARTS = re.compile(r"([\dx?*_]+)")
_BETWEEN = re.compile(r"[\s/.,\-\u2010-\u2015\u2212]*")
_UNKNOWN = re.compile(r"[x?*_]+")
_DIGITS = re.compile(r"[0-9]+")
_YEAR_DIGITS = 4


def birth_date(text: str | None, today: date) -> BirthDate | None:
    """The date of birth that a text says on the day `today`, with what precision it says it; None for none that can be."""
    if not text or len(text) > _LONGEST:
        return None
    bare = _bare(text)
    estimated = bool(_ESTIMATED.search(bare))
    bare = " ".join(_ESTIMATED.sub(" ", bare).split())
    lunar = bool(_LUNAR.search(bare))
    bare = _LUNAR.sub(" ", bare).strip(" ()")
    if age := _AGE.fullmatch(bare):
        return plausible(born(today.year - int(age[1]), 0, 0, estimated=True), today)
    read = _read(_CLOCK.sub("", bare))
    if read is None:
        return None
    year, month, day = (read[0], 0, 0) if lunar or estimated else read
    return plausible(born(year, month, day, estimated=estimated), today)


def plausible(birth: BirthDate | None, today: date) -> BirthDate | None:
    """The date unless it is one that programs store for nothing, lies after `today`, or more than 130 years before."""
    birth = told(birth)
    if birth is None:
        return None
    earliest = date(birth.year, birth.month or 1, birth.day or 1)
    return birth if earliest <= today and birth.year >= today.year - OLDEST_YEARS else None


def told(birth: BirthDate | None) -> BirthDate | None:
    """The date unless it is one that programs store for nothing."""
    return None if birth is None or (birth.year, birth.month, birth.day) in _ZEROS else birth


def day_in_viet_nam(at: datetime) -> date:
    """The day of a time there, on which births are dated."""
    return at.astimezone(_HANOI).date()


def _bare(text: str) -> str:
    """Lower case, without marks, full-width digits as ASCII."""
    split = unicodedata.normalize("NFKD", text.lower().replace("đ", "d"))
    return " ".join("".join(one for one in split if not unicodedata.combining(one)).split())


def _read(bare: str) -> tuple[int, int, int] | None:
    """Year, month and day, 0 for unknown."""
    if _DIGITS.fullmatch(bare):
        return _run(bare)
    if words := _WORDS.search(bare):
        day, month, year = words.groups()
        return int(year), int(month), int(day or 0)
    if year := _YEAR.search(bare):
        return int(year[1]), 0, 0
    parts = _PARTS.findall(bare)
    if not 1 <= len(parts) <= 3 or any(not _BETWEEN.fullmatch(gap) for gap in _PARTS.split(bare)[::2]):  # noqa: PLR2004 - day, month, year
        return None
    numbers = [0 if _UNKNOWN.fullmatch(part) else int(part) if _DIGITS.fullmatch(part) else None for part in parts]
    if len(parts[0]) == _YEAR_DIGITS:
        numbers, parts = numbers[::-1], parts[::-1]
    year_at = len(parts) - 1
    if len(parts[year_at]) != _YEAR_DIGITS or not numbers[year_at] or any(len(part) > 2 for part in parts[:-1]):  # noqa: PLR2004 - two digits
        return None
    # A part that is half digits, half question marks (1?/03) is unknown.
    day, month, whole = [0] * (2 - year_at) + [number or 0 for number in numbers]
    return whole, month, day


def _run(digits: str) -> tuple[int, int, int] | None:
    """Digits without separators. No eight digits read both ways: a year of 18 to 20 hundred is no day and month of the other."""
    if len(digits) == 4:  # noqa: PLR2004 - yyyy
        return int(digits), 0, 0
    if len(digits) == 6:  # noqa: PLR2004 - yyyymm, mmyyyy
        return next(
            (
                (int(year), int(month), 0)
                for year, month in ((digits[:4], digits[4:]), (digits[2:], digits[:2]))
                if _century(year) and int(month) <= 12  # noqa: PLR2004 - months
            ),
            None,
        )
    if len(digits) in {12, 14}:
        digits = digits[:8] if _century(digits[:4]) else ""
    if len(digits) != 8:  # noqa: PLR2004 - yyyymmdd, ddmmyyyy
        return None
    readings = [
        (int(year), int(month), int(day))
        for year, month, day in (
            (digits[:4], digits[4:6], digits[6:]),
            (digits[4:], digits[2:4], digits[:2]),
        )
        if _century(year)
    ]
    whole = [reading for reading in readings if _possible(*reading)]
    if whole or len(readings) == 1:
        return (whole or readings)[0]
    return None


def _century(year: str) -> bool:
    return "1800" < year < "2100"


def _possible(year: int, month: int, day: int) -> bool:
    if day and not month:
        return False
    try:
        date(year, month or 1, day or 1)
    except ValueError:
        return False
    return True


def born(year: int, month: int, day: int, *, estimated: bool = False) -> BirthDate | None:
    """The date, 0 for an unknown month or day; of an impossible one (30/02) the year alone, None when that is none either."""
    if not _possible(year, month, day):
        month = day = 0
    try:
        return BirthDate(year, month, day, estimated)
    except ValueError:
        return None
