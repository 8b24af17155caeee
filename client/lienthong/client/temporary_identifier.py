"""Temporary identifiers of provisional persons, `T-01234-7KQ2M9X-57`, issued and checked with no network and no
library.

`T`, the 5 characters of the facility code, 7 random Crockford base-32 characters, and 2 check digits of ISO 7064 mod
97-10 over the letters as in IBAN (A = 10 .. Z = 35). Random, so that it tells nothing; never all digits, so that it
cannot be taken for a national number.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford base 32: no I, L, O, U."""
_SERIAL_LENGTH = 7
_LENGTH = 1 + 5 + _SERIAL_LENGTH + 2
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212_"
_SEPARATORS = str.maketrans("", "", _DASHES + " \t\u00a0")
# What a hand or a reader makes of these digits (Crockford).
_MISREAD = str.maketrans("OIL", "011")


class TemporaryIdentifierInvalid(ValueError):
    """The text is no temporary identifier. `reason` is MALFORMED or WRONG_CHECK; the text itself is not repeated."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class TemporaryIdentifier:
    """A well-formed temporary identifier of `facility` (5 characters); `str()` gives the printed form."""

    facility: str
    serial: str

    @property
    def compact(self) -> str:
        """The 15 characters without separators."""
        body = f"T{self.facility}{self.serial}"
        return body + check_digits(body)

    def __str__(self) -> str:
        return f"T-{self.facility}-{self.serial}-{self.compact[-2:]}"


def _number(text: str) -> int:
    """The text as a number, letters as two digits."""
    return int("".join(str(int(character, 36)) for character in text))


def check_digits(body: str) -> str:
    """The 2 check digits of upper-case letters and digits (ISO 7064 mod 97-10)."""
    return f"{98 - _number(body + '00') % 97:02d}"


def issue(facility: str, below: Callable[[int], int] = secrets.randbelow) -> TemporaryIdentifier:
    """A new identifier of a facility; `below(n)` gives a random integer under n. Raises TemporaryIdentifierInvalid
    for a facility code that is not 5 letters or digits.
    """
    if len(facility) != 5 or not facility.isascii() or not facility.isalnum() or facility != facility.upper():
        raise TemporaryIdentifierInvalid("MALFORMED")
    while True:
        drawn = TemporaryIdentifier(facility, "".join(ALPHABET[below(len(ALPHABET))] for _ in range(_SERIAL_LENGTH)))
        if _robust(drawn.compact):
            return drawn


def _robust(compact: str) -> bool:
    """True when no usual error in the serial gives another valid identifier: a wrong character, an exchange of neighbours
    or over one character, a doubled character written as another one. The check pair alone does not promise that
    where a letter, which counts as two digits, meets a digit: `B1` and `1B` are both 111. About one serial in three
    is robust.
    """
    return not any(altered != compact and _valid(altered) for altered in _usual_errors(compact))


def _usual_errors(compact: str) -> Iterator[str]:
    start, end = 6, 6 + _SERIAL_LENGTH
    for at in range(start, end):
        before, after = compact[:at], compact[at:]
        for other in ALPHABET:
            yield before + other + after[1:]
            if at + 1 < end and after[0] == after[1]:
                yield before + other * 2 + after[2:]
        if at + 1 < end:
            yield before + after[1] + after[0] + after[2:]
        if at + 2 < end:
            yield before + after[2] + after[1] + after[0] + after[3:]


def _valid(compact: str) -> bool:
    return _number(compact) % 97 == 1


def parse(text: str) -> TemporaryIdentifier:
    """Reads an identifier as people write it: either case, with or without dashes and spaces, O for 0 and I or L for
    1 in the random part.

    Raises TemporaryIdentifierInvalid.
    """
    compact = text.translate(_SEPARATORS).upper()
    if len(compact) != _LENGTH or not compact.isascii() or not compact.isalnum() or compact[0] != "T":
        raise TemporaryIdentifierInvalid("MALFORMED")
    facility, serial, check = compact[1:6], compact[6:13].translate(_MISREAD), compact[13:].translate(_MISREAD)
    if not set(serial) <= set(ALPHABET) or not check.isdecimal():
        raise TemporaryIdentifierInvalid("MALFORMED")
    if not _valid(f"T{facility}{serial}{check}"):
        raise TemporaryIdentifierInvalid("WRONG_CHECK")
    return TemporaryIdentifier(facility, serial)
