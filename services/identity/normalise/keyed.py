"""Names typed with the input method off: raw Telex (Nguyeenx Thij Hoaf) and raw VNI (Nguye64n Thi5 Hoa2)."""

from __future__ import annotations

import re
from functools import lru_cache

from services.identity.normalise.syllables import legal

_TELEX_TONES = {"f": "\u0300", "r": "\u0309", "x": "\u0303", "s": "\u0301", "j": "\u0323"}
_VNI_TONES = {"2": "\u0300", "3": "\u0309", "4": "\u0303", "1": "\u0301", "5": "\u0323"}
_VOWEL = re.compile("[aeiouy]")
# w alone stands for ư.
_TYPED_VOWEL = re.compile("[aeiouywăâêôơư]")
_DOUBLES = (("dd", "đ"), ("aa", "â"), ("ee", "ê"), ("oo", "ô"))
_LONGEST = 12


@lru_cache(maxsize=16_384)
def telex(letters: str) -> str | None:
    """The syllable that lower-case letters type in Telex, with marks or without; None when they type none."""
    vowel = _TYPED_VOWEL.search(letters)
    if vowel is None or len(letters) > _LONGEST:
        return None
    head, tail = letters[: vowel.end()], letters[vowel.end() :]
    # No syllable has these letters after its vowel but for a tone.
    tones = [letter for letter in tail if letter in _TELEX_TONES]
    bare = head + "".join(letter for letter in tail if letter not in _TELEX_TONES)
    for typed, shape in _DOUBLES:
        bare = bare.replace(typed, shape)
    if bare.endswith("d") and bare.startswith("d"):
        bare = "đ" + bare[1:-1]
    shaped = _horn(bare) if "w" in bare else bare
    if len(tones) > 1 or shaped is None or (shaped == letters and not tones):
        return None
    return _legal(shaped, _TELEX_TONES[tones[0]] if tones else "")


def _horn(bare: str) -> str | None:
    """The w of Telex, which hooks uo, or else the last vowel before it that can be hooked."""
    before, _, after = bare.partition("w")
    if "w" in after:
        before, after = before + after.partition("w")[0], after.partition("w")[2]
    whole = before + after
    if "uo" in whole:
        return whole.replace("uo", "ươ")
    if not _VOWEL.search(before):
        return before + "ư" + after  # tw is tư
    for at in range(len(before) - 1, -1, -1):
        hooked = {"a": "ă", "o": "ơ", "u": "ư"}.get(before[at])
        if hooked and not (before[at] == "a" and before[at - 1 : at] == "u"):
            return before[:at] + hooked + before[at + 1 :] + after
    return None


@lru_cache(maxsize=16_384)
def vni(letters: str) -> str | None:
    """The syllable that lower-case ASCII letters and digits type in VNI; None when they type none."""
    tone = ""
    shaped = ""
    for letter in letters[: _LONGEST + 1]:
        if letter in _VNI_TONES:
            if tone:
                return None
            tone = _VNI_TONES[letter]
        elif letter in "6789":
            marked = _shape(shaped, letter)
            if marked is None:
                return None
            shaped = marked
        else:
            shaped += letter
    return _legal(shaped, tone) if len(letters) <= _LONGEST else None


def _shape(shaped: str, digit: str) -> str | None:
    """What 6 (circumflex), 7 (horn), 8 (breve) and 9 (đ) make of the letters before them."""
    if digit == "9":
        return "đ" + shaped[1:] if shaped.startswith("d") else None
    if digit == "7" and "uo" in shaped:
        return shaped.replace("uo", "ươ")
    shapes = {"6": {"a": "â", "e": "ê", "o": "ô"}, "7": {"o": "ơ", "u": "ư"}, "8": {"a": "ă"}}[digit]
    for at in range(len(shaped) - 1, -1, -1):
        if shaped[at] in shapes:
            return shaped[:at] + shapes[shaped[at]] + shaped[at + 1 :]
    return None


def _legal(shaped: str, tone: str) -> str | None:
    """The tone is kept as a set, so it may stand at the end."""
    syllable = shaped + tone
    return syllable if shaped and legal(syllable) else None
