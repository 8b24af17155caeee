"""How two values compare: the levels that the model knows, field by field. No weights here."""

from __future__ import annotations

from functools import lru_cache

from services.identity.model import BirthDate
from services.identity.normalise.names import Name, Token
from services.identity.normalise.phonetics import phonetic

SYLLABLE = ("EXACT", "PLAIN", "TONE", "SOUND", "EDIT", "SHORT", "OTHER")
"""Levels of a syllable, nearest first. PLAIN: equal, but one side was written without marks. TONE: equal but for marks that both sides wrote."""
BIRTH = (
    *("DAY", "PLACEHOLDER", "SWAPPED", "MONTH", "YEAR", "DAY_OR_MONTH", "OTHER_DAY", "YEAR_SLIP", "DECADE_SLIP"),
    *("NEAR", "FAR", "OTHER"),
)
"""Levels of a birth date. PLACEHOLDER: 1 January on either side and the same year. NEAR, FAR: to an estimated year."""

_SHORTEST_EDIT = 3
_NEAR_YEARS, _FAR_YEARS = 3, 8


def syllable(left: Token, right: Token, marks: bool) -> str:
    """Level of two syllables; `marks` says that both names were written with marks."""
    if left.plain == right.plain:
        if left.short:
            return "SHORT"
        if not marks:
            return "PLAIN"
        return "EXACT" if left.marked == right.marked else "TONE"
    if left.short or right.short:
        near = left.plain.startswith(right.plain) or right.plain.startswith(left.plain)
        return "SHORT" if near else "OTHER"
    return _unequal(left.plain, right.plain)


@lru_cache(maxsize=262_144)
def _unequal(left: str, right: str) -> str:
    if phonetic(left) == phonetic(right):
        return "SOUND"
    return "EDIT" if min(len(left), len(right)) >= _SHORTEST_EDIT and one_edit(left, right) else "OTHER"


def one_edit(left: str, right: str) -> bool:
    """True when one letter added, left out, changed, or exchanged with its neighbour makes one of the other."""
    if abs(len(left) - len(right)) > 1 or left == right:
        return False
    short, long = sorted((left, right), key=len)
    start = 0
    while start < len(short) and short[start] == long[start]:
        start += 1
    end = 0
    while end < len(short) - start and short[-1 - end] == long[-1 - end]:
        end += 1
    middle, other = short[start : len(short) - end], long[start : len(long) - end]
    if len(long) > len(short):
        return not middle
    return len(middle) == 1 or (len(middle) == 2 and middle == other[::-1])  # noqa: PLR2004 - neighbours


def birth(left: BirthDate, right: BirthDate) -> str:
    """Level of two birth dates."""
    if left.estimated or right.estimated:
        apart = abs(left.year - right.year)
        return "NEAR" if apart <= _NEAR_YEARS else "FAR" if apart <= _FAR_YEARS else "OTHER"
    same_day = (left.month, left.day) == (right.month, right.day)
    if left.year != right.year:
        if not (same_day and left.day):
            return "OTHER"
        apart = abs(left.year - right.year)
        return "YEAR_SLIP" if apart == 1 else "DECADE_SLIP" if apart % 10 == 0 and apart < 100 else "OTHER"  # noqa: PLR2004 - one digit
    if not left.month or not right.month:
        return "YEAR"
    if not left.day or not right.day:
        return "MONTH" if left.month == right.month else "OTHER_DAY"
    if same_day:
        return "PLACEHOLDER" if left.placeholder else "DAY"
    if left.placeholder or right.placeholder:
        return "PLACEHOLDER"
    if (left.month, left.day) == (right.day, right.month):
        return "SWAPPED"
    return "DAY_OR_MONTH" if left.month == right.month or left.day == right.day else "OTHER_DAY"


def rotations(name: Name) -> tuple[tuple[Token, ...], ...]:
    """The syllables in the orders in which forms and foreigners write them: family name moved to the end, given name moved to the front."""
    tokens = name.tokens
    return (tokens[1:] + tokens[:1], tokens[-1:] + tokens[:-1]) if len(tokens) > 1 else ()
