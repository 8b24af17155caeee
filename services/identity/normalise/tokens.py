"""A syllable in the two forms that are compared.

`marked` is vowel quality and the **set** of tones, so that the place of a tone (hoà, hòa), y or i (Lý, Lí) and the order of marks make no difference;
`plain` is without marks, d for đ.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

from services.identity.normalise.phonetics import phonetic

_TONES = {"\u0300": "1", "\u0309": "2", "\u0303": "3", "\u0301": "4", "\u0323": "5"}
STOP_TONES = frozenset({"4", "5"})
"""Tones that a syllable may have that ends in p, t, c or ch."""
# Eth and African d look like đ and are typed for it.
_STROKES = str.maketrans("\u00f0\u0256", "đđ")
_LONGEST_CLUSTER = 2
_VOWELS = frozenset("aeiou")


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

    @property
    def unmarked(self) -> bool:
        """True when it was written without marks, or has none."""
        return self.marked == self.plain


@lru_cache(maxsize=65_536)
def forms(letters: str) -> tuple[str, str, str]:
    """Vowel quality, tones and plain form of lower-case letters in any normal form."""
    tones: set[str] = set()
    quality: list[str] = []
    plain: list[str] = []
    for character in unicodedata.normalize("NFD", letters.translate(_STROKES)):
        if character in _TONES:
            tones.add(_TONES[character])
        elif unicodedata.combining(character):
            quality.append(character)
        else:
            letter = "i" if character == "y" else character
            quality.append(letter)
            plain.append("d" if letter == "đ" else letter)
    return "".join(quality), "".join(sorted(tones)), "".join(plain)


@lru_cache(maxsize=65_536)
def token(letters: str, abbreviated: bool = False, repaired: bool = False) -> Token:
    """The token of lower-case letters. One letter without a mark, or two without a vowel, are an abbreviation; `Ý` and `Y` are names."""
    quality, tones, plain = forms(letters)
    marked = quality + tones
    single = len(plain) == 1 and marked == plain and plain != "i"
    cluster = len(plain) <= _LONGEST_CLUSTER and not _VOWELS.intersection(plain)
    return Token(marked, plain, abbreviated or single or cluster, repaired)
