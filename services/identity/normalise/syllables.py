"""What is known to be a Vietnamese syllable or family name. Lists ship as data and are read once."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from services.identity.normalise.tokens import STOP_TONES, Token, forms

_STOPS = ("p", "t", "c", "ch")


def _lines(name: str) -> list[str]:
    text = files("services.identity").joinpath(f"data/{name}").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


@cache
def _qualities() -> frozenset[str]:
    return frozenset(forms(line)[0] for line in _lines("syllables.txt"))


@cache
def _plain() -> frozenset[str]:
    return frozenset(forms(line)[2] for line in _lines("syllables.txt"))


@cache
def _families() -> dict[str, frozenset[tuple[str, str]]]:
    """Kind to the marked and plain forms of its family names."""
    kinds: dict[str, set[tuple[str, str]]] = {}
    for row in csv.DictReader(_lines("family_names.csv")):
        for name in row["names"].lower().replace("'", "").replace("-", "").split():
            quality, tones, plain = forms(name)
            kinds.setdefault(row["kind"], set()).add((quality + tones, plain))
    return {kind: frozenset(names) for kind, names in kinds.items()}


@cache
def _index(kinds: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    names = [name for kind in kinds for name in _families()[kind]]
    return frozenset(marked for marked, _ in names), frozenset(plain for _, plain in names)


_KINH = frozenset({"kinh", "khmer", "cham", "monosyllable"})


def legal(letters: str) -> bool:
    """True when lower-case letters are a whole syllable as written: vowels, at most one tone, and one that fits the end. Without any mark it is
    one when some marks would make it so.
    """
    quality, tones, plain = forms(letters)
    if quality == plain and not tones:
        return plain in _plain()
    if quality not in _qualities() or len(tones) > 1:
        return False
    return not (tones and plain.endswith(_STOPS)) or tones in STOP_TONES


def pronounceable(token: Token) -> bool:
    """True when the syllable, marks aside, is one."""
    return token.plain in _plain()


def is_family(token: Token) -> bool:
    """True for a family name; without marks, for what could be one."""
    marked, plain = _index(_KINH)
    return token.marked in marked or (token.unmarked and token.plain in plain)


def is_clan(token: Token) -> bool:
    """True for a clan name of the Central Highlands."""
    return token.plain in _index(frozenset({"clan"}))[1]


def has_letters(token: Token) -> bool:
    """True for a family name whose people have names of one letter, such as the Hmong's A."""
    marked, plain = _index(frozenset({"monosyllable"}))
    return token.marked in marked or (token.unmarked and token.plain in plain)
