"""Names as they are written, read from `cases/names.csv`.

`marked` is the family name first; of each syllable its vowels and consonants, y as i, and the numbers of its tones (1 huyền, 2 hỏi, 3 ngã, 4 sắc, 5 nặng);
`.` behind it when it is cut short, `~` when it was put right. Flags are n for a newborn's mother, f for foreign.
"""

from __future__ import annotations

import unicodedata

import pytest

from services.identity.normalise.names import Name, name
from tests.unit.identity.normalise.cases import cases, label


def said(read: Name) -> str:
    """A name as the cases write it."""
    words = (one.marked + "." * one.short + "~" * one.repaired for one in read.tokens)
    return unicodedata.normalize("NFC", " ".join(words))


def plain(marked: str) -> tuple[str, ...]:
    """The words of a case without marks, tones and signs."""
    split = unicodedata.normalize("NFD", marked.replace("đ", "d"))
    return tuple("".join(one for one in word if one.isascii() and one.isalpha()) for word in split.split())


@pytest.mark.parametrize("row", cases("names"), ids=label)
def test_a_name_is_read_as_its_rule_says(row: dict[str, str]) -> None:
    read = name(row["raw"])
    assert said(read) == row["marked"]
    assert read.plain == plain(row["marked"])
    assert read.newborn == ("n" in row["flags"])
    assert read.foreign == ("f" in row["flags"])
    assert read.empty == (not row["marked"])
    assert read.marks == any(not one.isascii() or one.isdigit() for one in row["marked"])


def test_there_are_cases_enough() -> None:
    assert len({row["raw"] for row in cases("names")}) >= 150
