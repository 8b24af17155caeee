"""Names in the encodings of before Unicode: TCVN3 (ABC) and VNI-Windows, as they look when their bytes were read as Latin-1, and VIQR (RFC 1456).

`NguyÔn ThÞ Thñy` and `Nguyeãn Thò Thuûy` both are Nguyễn Thị Thủy. No table of bytes tells the two from a foreign name, so the reading with most
syllables that Vietnamese has wins; a tie stays as it is. VIQR (`Nguye^~n Thi. Thu?y`) is ASCII, with the marks as signs after the vowels.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from services.identity.normalise.syllables import legal

# Rows: vowel, then huyền, hỏi, ngã, sắc, nặng.
_VOWELS = (
    ("a", "àảãáạ"),
    ("ă", "ằẳẵắặ"),
    ("â", "ầẩẫấậ"),
    ("e", "èẻẽéẹ"),
    ("ê", "ềểễếệ"),
    ("i", "ìỉĩíị"),
    ("o", "òỏõóọ"),
    ("ô", "ồổỗốộ"),
    ("ơ", "ờởỡớợ"),
    ("u", "ùủũúụ"),
    ("ư", "ừửữứự"),
    ("y", "ỳỷỹýỵ"),
)
# Bytes of TCVN 5712-3, in the order of the rows.
_TCVN3_BYTES = {
    "a": "b5b6b7b8b9",
    "ă": "bbbcbdbec6",
    "â": "c7c8c9cacb",
    "e": "cccecfd0d1",
    "ê": "d2d3d4d5d6",
    "i": "d7d8dcddde",
    "o": "dfe1e2e3e4",
    "ô": "e5e6e7e8e9",
    "ơ": "eaebecedee",
    "u": "eff1f2f3f4",
    "ư": "f5f6f7f8f9",
    "y": "fafbfcfdfe",
}
_TCVN3_PLAIN = "ĂÂÊÔƠƯĐăâêôơưđ"
_TCVN3 = {
    **{0xA1 + at: letter for at, letter in enumerate(_TCVN3_PLAIN)},
    **{
        byte: marked
        for vowel, toned in _VOWELS
        for byte, marked in zip(bytes.fromhex(_TCVN3_BYTES[vowel]), toned, strict=True)
    },
}
# VNI writes the mark as a letter after the vowel: tones on a bare vowel, on one with a circumflex, on one with a breve.
_BARE, _CIRCUMFLEX, _BREVE = "øûõùï", "àåãáä", "èúüéë"
_VNI_ALONE = {"æ": "ỉ", "ó": "ĩ", "ò": "ị", "î": "ỵ", "ñ": "đ", "ô": "ơ", "ö": "ư"}


def _vni() -> dict[str, str]:
    rows = dict(_VOWELS)
    table = dict(_VNI_ALONE)
    for vowel, base in (("a", "a"), ("e", "e"), ("o", "o"), ("u", "u"), ("y", "y"), ("ơ", "ô"), ("ư", "ö")):
        table |= {base + mark: toned for mark, toned in zip(_BARE, rows[vowel], strict=True)}
    for vowel, base in (("â", "a"), ("ê", "e"), ("ô", "o")):
        table |= {base + mark: toned for mark, toned in zip(_CIRCUMFLEX, rows[vowel], strict=True)}
        table[base + "â"] = vowel
    table |= {"a" + mark: toned for mark, toned in zip(_BREVE, rows["ă"], strict=True)}
    table["aê"] = "ă"
    return table


_VNI = _vni()
_VNI_UNIT = re.compile("|".join(sorted(map(re.escape, _VNI), key=len, reverse=True)))
_SUSPECT = re.compile("[\u00a1-\u00ff]")
_BEYOND = re.compile("[^\u0000-\u00ff]")
_WORD = re.compile(r"[^\s.,~:;_<>()/\-]+")


# Signs that stand behind a vowel for nothing else. A dot may shorten and an apostrophe may belong to a name: alone they are no evidence.
_VIQR_SIGN = re.compile(r"[\^(+`]")
_VIQR_EVIDENCE = re.compile(r"[aeo]\^|a\(|[ou]\+|[aeiouy]`", re.IGNORECASE)
_VIQR_UNIT = re.compile(r"([aeiouy])([\^(+]?)(['`?~.]?)|dd", re.IGNORECASE)
_VIQR_SHAPES = {"^": "\u0302", "(": "\u0306", "+": "\u031b"}
_VIQR_TONES = {"`": "\u0300", "?": "\u0309", "~": "\u0303", "'": "\u0301", ".": "\u0323"}
_FEWEST_SIGNS = 2


def _tcvn3(text: str) -> str:
    return text.translate(_TCVN3)


def _vni_windows(text: str) -> str:
    return _VNI_UNIT.sub(lambda unit: _VNI[unit.group()], text.lower())


@lru_cache(maxsize=4_096)
def _reading(text: str) -> str:
    words = _WORD.findall(text)
    best, most = text, sum(map(legal, (word.lower() for word in words)))
    if most == len(words):
        return text
    for decode in (_tcvn3, _vni_windows):
        read = decode(text)
        found = [word.lower() for word in _WORD.findall(read)]
        known = sum(map(legal, found))
        # A single word of a foreign name may come out as a syllable by chance: most words have to.
        if known > most and 2 * known > len(found):
            best, most = read, known
    return best


def _viqr(text: str) -> str:
    """The text read as VIQR, where there are signs enough and every word with one is a syllable then; else as it is."""
    signs = 0
    words: list[str] = []
    for word in text.lower().split():
        read, here = "", 0
        at = 0
        for unit in _VIQR_UNIT.finditer(word):
            read += word[at : unit.start()]
            at = unit.end()
            if unit[1] is None:
                read += "đ"
                continue
            read += unit[1] + _VIQR_SHAPES.get(unit[2], "") + _VIQR_TONES.get(unit[3], "")
            here += len(unit.group()) > 1
        read = unicodedata.normalize("NFC", read + word[at:])
        if here and not legal(read):
            return text
        signs += here
        words.append(read)
    return " ".join(words) if signs >= _FEWEST_SIGNS else text


def decoded(text: str) -> str:
    """The text in the encoding that it was written in; as it is when that is Unicode, or cannot be told."""
    if text.isascii():
        return _viqr(text) if _VIQR_SIGN.search(text) and _VIQR_EVIDENCE.search(text) else text
    if not _SUSPECT.search(text) or _BEYOND.search(text):
        return text
    return _reading(text)
