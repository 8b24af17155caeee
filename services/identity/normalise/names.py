"""Vietnamese names, brought to forms that can be compared.

Steps, in this order: NFC, invisible characters out, full-width to ASCII; lower case; apostrophes out; split; titles
off the front, newborn markers kept as a flag; placeholder names dropped; per token a `marked` form (vowel quality +
set of tones, so that the place of the tone and y or i make no difference) and a `plain` form (no marks, d for đ).
Legacy encodings (TCVN3, VNI) are the business of the format adapters, which see the bytes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from services.identity.normalise.phonetics import phonetic

_TONES = {"\u0300": "1", "\u0309": "2", "\u0303": "3", "\u0301": "4", "\u0323": "5"}
_SPLIT = re.compile(r"[\s.,~:;_\-\u2010-\u2015/]+")
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc`\u00b4]")
_MAX_CHARACTERS = 255

# Titles that are never names, and those that are names too and so are dropped only before a known family name with
# enough left.
_TITLES = frozenset({"bn", "ong", "ba", "be"})
_TITLES_OR_NAMES = frozenset({"anh", "chi", "chau", "em", "co", "chu", "bac"})
_NEWBORN = (("con", "ba"), ("con", "ong"), ("cb",), ("ss",), ("con",))
_PLACEHOLDERS = frozenset(
    {
        "vo danh",
        "khong ro",
        "khong ten",
        "khong biet",
        "khong xac dinh",
        "chua ro",
        "chua xac dinh",
        "chua co ten",
        "unknown",
        "nam",
        "nu",
        "test",
    }
)
_FAMILY_NAMES = frozenset(
    [
        "nguien",
        "tran",
        "le",
        "pham",
        "huinh",
        "hoang",
        "phan",
        "vu",
        "vo",
        "dang",
        "bui",
        "do",
        "ho",
        "ngo",
        "duong",
        "li",
        "dinh",
        "dao",
        "doan",
        "lam",
        "mai",
        "trinh",
        "truong",
        "ha",
        "cao",
        "luong",
        "luu",
        "phung",
        "to",
        "ta",
        "trieu",
        "thai",
        "chau",
        "quach",
        "kieu",
        "tang",
        "vuong",
        "quan",
        "nghiem",
        "la",
        "lai",
        "lo",
    ]
)


@dataclass(frozen=True)
class Token:
    """One syllable: `marked` compares with marks, `plain` without; `short` for an abbreviation (Ng., Th, N); `repaired` when it was written in
    raw Telex or VNI.
    """

    marked: str = field(repr=False)
    plain: str = field(repr=False)
    short: bool = False
    repaired: bool = False

    @property
    def phonetic(self) -> str:
        """The key that candidates are found by."""
        return phonetic(self.plain)


@dataclass(frozen=True)
class Name:
    """A name to compare: tokens in the order written, family name first. `marks` tells whether it was written with
    marks at all.
    """

    tokens: tuple[Token, ...] = field(repr=False)
    marks: bool = False
    newborn: bool = False
    foreign: bool = False

    @property
    def family(self) -> Token | None:
        """The first syllable; None where there is none."""
        return self.tokens[0] if self.tokens else None

    @property
    def given(self) -> Token | None:
        """The last syllable, by which people are called; None where there is none."""
        return self.tokens[-1] if self.tokens else None

    @property
    def middle(self) -> tuple[Token, ...]:
        """What stands between."""
        return self.tokens[1:-1]

    @property
    def empty(self) -> bool:
        """True for a placeholder, or when nothing is left."""
        return not self.tokens

    @property
    def plain(self) -> tuple[str, ...]:
        """Plain forms in order."""
        return tuple(token.plain for token in self.tokens)


def written(text: str) -> str:
    """The name as it is kept: NFC, full-width to ASCII, no control or zero-width character, single spaces, at most
    255 characters.
    """
    normal = unicodedata.normalize("NFC", "".join(map(_narrow, text)))
    kept = "".join(" " if character.isspace() else character for character in normal if not _invisible(character))
    return " ".join(kept.split())[:_MAX_CHARACTERS]


def _narrow(character: str) -> str:
    code = ord(character)
    return chr(code - 0xFEE0) if 0xFF01 <= code <= 0xFF5E else character


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf"} and not character.isspace()


def _token(text: str, abbreviated: bool) -> Token:
    tones: set[str] = set()
    quality: list[str] = []
    plain: list[str] = []
    for character in unicodedata.normalize("NFD", text):
        if character in _TONES:
            tones.add(_TONES[character])
        elif unicodedata.combining(character):
            quality.append(character)
        else:
            letter = "i" if character == "y" else character
            quality.append(letter)
            plain.append("d" if letter == "đ" else letter)
    bare = "".join(plain)
    vowelless = len(bare) <= 2 and not set(bare) & set("aeiou")
    return Token("".join(quality) + "".join(sorted(tones)), bare, abbreviated or len(bare) == 1 or vowelless)


def _marked(tokens: list[Token]) -> bool:
    return any(token.marked != token.plain for token in tokens)


def _without_titles(tokens: list[Token]) -> list[Token]:
    while len(tokens) > 1 and tokens[0].plain in _TITLES:
        tokens = tokens[1:]
    if len(tokens) >= 4 and tokens[0].plain in _TITLES_OR_NAMES and tokens[1].plain in _FAMILY_NAMES:
        tokens = tokens[1:]
    return tokens


def _newborn_prefix(tokens: list[Token]) -> int:
    for marker in _NEWBORN:
        size = len(marker)
        follows = tokens[size : size + 1]
        if tuple(token.plain for token in tokens[:size]) == marker and follows and follows[0].plain in _FAMILY_NAMES:
            return size
    return 0


def _placeholder(tokens: list[Token]) -> bool:
    words = [token.plain for token in tokens]
    while words and words[-1].isdecimal():
        words.pop()
    return not words or " ".join(words) in _PLACEHOLDERS or all(len(word) == 1 for word in words)


def name(text: str | None) -> Name:
    """The comparable form of a name; empty for None and for placeholders."""
    if not text:
        return Name(())
    lowered = _APOSTROPHES.sub("", written(text).lower())
    tokens: list[Token] = []
    position = 0
    for piece in _SPLIT.split(lowered):
        position = lowered.find(piece, position) + len(piece) if piece else position
        letters = "".join(character for character in piece if character.isalnum() or unicodedata.combining(character))
        if letters:
            tokens.append(_token(letters, lowered[position : position + 1] in {".", "~"}))
    newborn = _newborn_prefix(tokens)
    tokens = _without_titles(tokens[newborn:])
    if _placeholder(tokens):
        return Name((), newborn=bool(newborn))
    return Name(tuple(tokens), _marked(tokens), bool(newborn))
