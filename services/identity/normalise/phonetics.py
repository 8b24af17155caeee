"""A key of a syllable that stays the same under the usual mishearings and regional spellings; for finding candidates, never for judging them."""

from __future__ import annotations

from functools import lru_cache

# Southern and northern forms of one name, plain and with y as i.
_VARIANTS = {
    "huinh": "hoang",
    "vo": "vu",
    "phuoc": "phuc",
    "nhut": "nhat",
    "sanh": "sinh",
    "tong": "tung",
    "buu": "bao",
    "kieng": "canh",
    "hue": "hoa",
    "chau": "chu",
}
# Longest first.
_ONSETS = (
    ("ngh", "ng"),
    ("gh", "g"),
    ("gi", "z"),
    ("tr", "c"),
    ("ch", "c"),
    ("ph", "f"),
    ("qu", "kw"),
    ("x", "s"),
    ("d", "z"),
    ("r", "z"),
    ("n", "l"),
    ("k", "k"),
    ("c", "k"),
    ("q", "k"),
)
_WHOLE_ONSETS = ("ng", "nh")
_FINALS = (("ng", "n"), ("nh", "n"), ("ch", "t"), ("c", "t"))
_VOWELS = frozenset("aeiou")


@lru_cache(maxsize=65_536)
def phonetic(plain: str) -> str:
    """The key of a plain syllable (no marks, y as i); an unknown one keeps its letters."""
    word = _VARIANTS.get(plain, plain)
    onset, rest = _onset(word)
    for final, key in _FINALS:
        if rest.endswith(final) and len(rest) > len(final):
            rest = rest[: -len(final)] + key
            break
    key = onset + rest
    return "".join(letter for at, letter in enumerate(key) if at == 0 or letter != key[at - 1])


def _onset(word: str) -> tuple[str, str]:
    for onset, key in _ONSETS:
        if not word.startswith(onset) or word.startswith(_WHOLE_ONSETS):
            continue
        rest = word[len(onset) :]
        # The i of `gi` is the vowel where no other follows: gin, gi.
        if onset == "gi" and rest[:1] not in _VOWELS:
            return key, "i" + rest
        return key, rest
    if word.startswith("ngh"):
        return "ng", word[3:]
    return "", word
