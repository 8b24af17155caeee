"""Phone numbers, brought to the national form of today.

Two renumberings are undone. In 2017 (QĐ 2036/QĐ-BTTTT of 2016) every area code became 2xx, 24 or 28; in 2018 the 11-digit mobile prefixes became
10-digit ones. Where an old landline looks like a mobile number of today (Quảng Ninh's 033, Hồ Chí Minh's 08), it is the mobile number.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

# The 11-digit mobile prefixes that became 10-digit ones in 2018.
_MIGRATED = {
    **{f"016{last}": f"03{last}" for last in "23456789"},
    "0120": "070",
    "0121": "079",
    "0122": "077",
    "0126": "076",
    "0128": "078",
    "0123": "083",
    "0124": "084",
    "0125": "085",
    "0127": "081",
    "0129": "082",
    "0186": "056",
    "0188": "058",
    "0199": "059",
}
# Ranges in use. Others are opened every other year: such a number is a mobile one where it is no landline of before 2017.
_MOBILE = re.compile(r"0(?:3[2-9]|5[25689]|7[06-9]|8[1-9]|9[0-9])[0-9]{7}")
_PERHAPS_MOBILE = re.compile(r"0[35789][0-9]{8}")
_LANDLINE_DIGITS = 11
_OLD_MOBILE_DIGITS = 11
_SUBSCRIBER = re.compile(r"[2-9][0-9]+")
_SHORTEST_AREA = 2
_LONGEST_AREA = 4
_SEPARATORS = re.compile(r"[\s.()\-\u2010-\u2015\u2212/]+")
_FULL_WIDTH = {0xFF10 + digit: str(digit) for digit in range(10)} | {0xFF0B: "+"}
# A spreadsheet took the number for a number: 912345678.0
_SPREADSHEET = re.compile(r"\s*([0-9]{9,11})\.0+\s*")
_ONE_DIGIT_TAIL = 7
_LONGEST_TEXT = 100
# What stands between two numbers, or between a number and a remark; the surest first.
_BETWEEN = (
    re.compile(r"[^0-9+\s.()\-\u2010-\u2015\u2212/]+"),
    re.compile(r"[^0-9+\s.()]+"),
    re.compile(r"[^0-9+.()]+"),
    re.compile(r"[^0-9+]+"),
)


@cache
def _areas() -> tuple[frozenset[str], Mapping[str, str]]:
    """Area codes of today, and those of before 2017 with what they became; all with their leading 0."""
    text = files("services.identity").joinpath("data/phone_areas.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    return frozenset(row["area"] for row in rows), {row["former"]: row["area"] for row in rows if row["former"]}


def phone(text: str | None) -> str | None:
    """The number with its leading 0 and no separator: 10 digits for a mobile number, 11 for a landline. The first one where several are written, None
    for what is no Vietnamese number, or one digit over and over.
    """
    if not text:
        return None
    if _MOBILE.fullmatch(text):
        return _told(text)
    text = text[:_LONGEST_TEXT]
    if not text.isascii():
        text = text.translate(_FULL_WIDTH)
    if number := _number(text, alone=True):
        return number
    return next((number for piece in _pieces(text) if (number := _number(piece, alone=False))), None)


def _pieces(text: str) -> Iterator[str]:
    for between in _BETWEEN:
        pieces = [piece for piece in between.split(text) if piece.strip()]
        if len(pieces) > 1 or (pieces and pieces[0] != text):
            yield from pieces


def _number(text: str, *, alone: bool) -> str | None:
    """One number as written; only one that stands `alone` may have lost its first 0."""
    typed = _SPREADSHEET.fullmatch(text)
    bare = _SEPARATORS.sub("", typed[1] if typed else text)
    for prefix in ("+84", "0084"):
        if bare.startswith(prefix):
            bare = "0" + bare.removeprefix(prefix).removeprefix("0")
    if not (bare.isascii() and bare.isdecimal()):
        return None
    if bare.startswith("084") and _national("0" + bare[3:]):
        bare = "0" + bare[3:]
    found = _national(bare)
    if found is None and bare.startswith("84"):
        found = _national("0" + bare[2:].removeprefix("0"))
    if found is None and alone and not bare.startswith("0"):
        found = _mobile("0" + bare, _MOBILE)
    return None if found is None else _told(found)


def _told(number: str) -> str | None:
    """The number, unless it ends in one digit over and over: what stands where none was told."""
    return None if len(set(number[-_ONE_DIGIT_TAIL:])) == 1 else number


def _mobile(bare: str, ranges: re.Pattern[str]) -> str | None:
    if len(bare) == _OLD_MOBILE_DIGITS and bare[:4] in _MIGRATED:
        bare = _MIGRATED[bare[:4]] + bare[4:]
    return bare if ranges.fullmatch(bare) else None


def _national(bare: str) -> str | None:
    """The number of today of digits with their leading 0."""
    if not bare.startswith("0"):
        return None
    if mobile := _mobile(bare, _MOBILE):
        return mobile
    present, former = _areas()
    for size in range(_LONGEST_AREA, _SHORTEST_AREA - 1, -1):
        area, subscriber = bare[:size], bare[size:]
        # No subscriber's number began with 0 or 1.
        if not _SUBSCRIBER.fullmatch(subscriber):
            continue
        if area in present and len(bare) == _LANDLINE_DIGITS:
            return bare
        if area in former and len(former[area]) + len(subscriber) == _LANDLINE_DIGITS:
            return former[area] + subscriber
    return _mobile(bare, _PERHAPS_MOBILE)
