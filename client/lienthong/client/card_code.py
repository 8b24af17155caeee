"""Printed codes of identity and insurance cards, read with no network and no library. Read, not verified: neither code is signed.

Identity card (CCCD since 2021, căn cước since 2024-07-01), fields split by `|`:

    number | old number or empty | name | birth DDMMYYYY | Nam or Nữ | address | issued DDMMYYYY | whatever newer cards add

Readers meet a form of six fields without the old number. Insurance card (paper, until the number of the citizen replaced it):

    number | name, hex of UTF-8 | birth DD/MM/YYYY or YYYY | 1 male, 2 female | address, hex | facility `79 - 024` | valid from | valid to | issued | ...

where `-` stands for nothing. Fields are read by position; what cannot be read is left out with a warning `fields[3]: DATE_INVALID`, counted from 0,
that never repeats a value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import NamedTuple, TypeVar

MAX_CHARACTERS = 2000
"""Longest code that is looked at; both cards' codes have some 200 characters."""

T = TypeVar("T")

_SYMBOLOGY = re.compile(r"\A\][A-Za-z][0-9A-Za-z]")
_CITIZEN = re.compile(r"[0-9]{12}")
_OLD = re.compile(r"[0-9]{9}|[0-9]{12}")
_INSURANCE = re.compile(r"[A-Z]{2}[0-9]{13}|[0-9]{10}")
_DIGITS = re.compile(r"[0-9]+")
_FACILITY = re.compile(r"[0-9]{2}[0-9A-Z]{3}")
_PARTS = re.compile(r"([0-9]{1,2})[/.\-]([0-9]{1,2})[/.\-]([0-9]{4})")
_NOTHING = frozenset({"", "-", "$"})
_DAMAGED = frozenset("?\ufffd")
_FIRST_YEAR, _LAST_YEAR = 1850, 2199
_DAY_FIELD, _YEAR_FIELD = 8, 4


class CardKind(Enum):
    """Card that a code is printed on."""

    CITIZEN_CARD = "CITIZEN_CARD"
    INSURANCE_CARD = "INSURANCE_CARD"


class CardSex(Enum):
    """Sex as printed."""

    MALE = "MALE"
    FEMALE = "FEMALE"


class CardDate(NamedTuple):
    """A date of birth; month or day 0 where the card has none."""

    year: int
    month: int
    day: int


class CardCodeUnreadable(ValueError):
    """The text is no code of a card. `reason` is CODE_EMPTY, CODE_TOO_LONG or CODE_NOT_RECOGNISED; the text itself is not repeated."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class CardCode:
    """What stands in a code; None for what it does not say or what could not be read, which `warnings` then names. `number` is the citizen's or
    the insurance number, `facility` the code of 5 characters of the facility of registration, `extra` the fields beyond those known, as printed.
    """

    kind: CardKind
    number: str = field(repr=False)
    old_number: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    birth: CardDate | None = field(default=None, repr=False)
    sex: CardSex | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)
    facility: str | None = field(default=None, repr=False)
    issue_date: date | None = field(default=None, repr=False)
    valid_from: date | None = field(default=None, repr=False)
    valid_to: date | None = field(default=None, repr=False)
    extra: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()


class _Unreadable(ValueError):
    """A field cannot be read; the argument is the reason."""


class _Fields:
    """The fields of a code, read by position; what cannot be read makes a warning."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.warnings: list[str] = []

    def read(self, at: int, parse: Callable[[str], T], *, required: str = "") -> T | None:
        """The field's value; None when it says nothing, with the warning `required`, if any."""
        text = self.texts[at] if at < len(self.texts) else ""
        if text in _NOTHING:
            if required:
                self.warnings.append(f"fields[{at}]: {required}")
            return None
        try:
            return parse(text)
        except _Unreadable as reason:
            self.warnings.append(f"fields[{at}]: {reason}")
            return None


def parse(code: str) -> CardCode:
    """Reads a code as the scanner gave it. Raises CardCodeUnreadable, and nothing else, whatever the text."""
    if len(code) > MAX_CHARACTERS:
        raise CardCodeUnreadable("CODE_TOO_LONG")
    text = _SYMBOLOGY.sub("", code.strip("\ufeff\x00 \t\r\n"))
    if not text:
        raise CardCodeUnreadable("CODE_EMPTY")
    texts = [_clean(part) for part in text.split("|")]
    number = re.sub(r"[\s.\-]", "", texts[0]).upper()
    if len(texts) > 1 and _CITIZEN.fullmatch(number):
        return _citizen_card(number, texts)
    if len(texts) > 1 and _INSURANCE.fullmatch(number):
        return _insurance_card(number, texts)
    raise CardCodeUnreadable("CODE_NOT_RECOGNISED")


def _citizen_card(number: str, texts: list[str]) -> CardCode:
    fields = _Fields(texts)
    # The form of six fields has the name where the others have the old number.
    short = any(character.isalpha() for character in texts[1])
    after = 1 if short else 2
    known = after + 5
    return CardCode(
        kind=CardKind.CITIZEN_CARD,
        number=number,
        old_number=None if short else fields.read(1, _old_number),
        name=fields.read(after, _text, required="NAME_MISSING"),
        birth=fields.read(after + 1, _birth, required="DATE_MISSING"),
        sex=fields.read(after + 2, _sex, required="SEX_MISSING"),
        address=fields.read(after + 3, _text),
        issue_date=fields.read(after + 4, _day),
        extra=tuple(texts[known:]),
        warnings=tuple(fields.warnings),
    )


def _insurance_card(number: str, texts: list[str]) -> CardCode:
    fields = _Fields(texts)
    return CardCode(
        kind=CardKind.INSURANCE_CARD,
        number=number,
        name=fields.read(1, _hex_text, required="NAME_MISSING"),
        birth=fields.read(2, _birth, required="DATE_MISSING"),
        sex=fields.read(3, _sex, required="SEX_MISSING"),
        address=fields.read(4, _hex_text),
        facility=fields.read(5, _facility),
        valid_from=fields.read(6, _day),
        valid_to=fields.read(7, _day),
        issue_date=fields.read(8, _day),
        extra=tuple(texts[9:]),
        warnings=tuple(fields.warnings),
    )


def _clean(text: str) -> str:
    """NFC, no control character, single spaces; UTF-8 that a reader showed as Latin-1 is put right."""
    if not text.isascii():
        text = _put_right(text)
    seen = "".join(" " if one.isspace() else one for one in text if one.isspace() or not _hidden(one))
    return " ".join(unicodedata.normalize("NFC", seen).split())


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"}


def _put_right(text: str) -> str:
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text


def _text(text: str) -> str:
    """Text of a reader set to another keyboard has question marks for letters: such a name names nobody."""
    if _DAMAGED.intersection(text):
        raise _Unreadable("TEXT_DAMAGED")
    return text


def _hex_text(text: str) -> str:
    try:
        read = _clean(bytes.fromhex(text).decode("utf-8"))
    except ValueError:
        # Some printers wrote the text itself.
        if _looks_hex(text):
            raise _Unreadable("HEX_INVALID") from None
        return _text(text)
    if not read:
        raise _Unreadable("HEX_INVALID")
    return _text(read)


def _looks_hex(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9A-Fa-f\s]+", text))


def _old_number(text: str) -> str:
    number = re.sub(r"[\s.\-]", "", text)
    if not _OLD.fullmatch(number):
        raise _Unreadable("OLD_NUMBER_INVALID")
    return number


def _facility(text: str) -> str:
    code = re.sub(r"[\s.\-]", "", text).upper()
    if not _FACILITY.fullmatch(code):
        raise _Unreadable("FACILITY_INVALID")
    return code


def _sex(text: str) -> CardSex:
    bare = "".join(one for one in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(one))
    if bare in {"nam", "1"}:
        return CardSex.MALE
    if bare in {"nu", "2"}:
        return CardSex.FEMALE
    raise _Unreadable("SEX_INVALID")


def _birth(text: str) -> CardDate:
    parts = _PARTS.fullmatch(text)
    if parts:
        day, month, year = map(int, parts.groups())
    elif _DIGITS.fullmatch(text) and len(text) == _DAY_FIELD:
        day, month, year = int(text[:2]), int(text[2:4]), int(text[4:])
    elif _DIGITS.fullmatch(text) and len(text) == _YEAR_FIELD:
        day, month, year = 0, 0, int(text)
    else:
        raise _Unreadable("DATE_INVALID")
    if not _FIRST_YEAR <= year <= _LAST_YEAR or (day and not month):
        raise _Unreadable("DATE_INVALID")
    try:
        date(year, month or 1, day or 1)
    except ValueError:
        raise _Unreadable("DATE_INVALID") from None
    return CardDate(year, month, day)


def _day(text: str) -> date:
    read = _birth(text)
    if not read.day:
        raise _Unreadable("DATE_INVALID")
    return date(*read)
