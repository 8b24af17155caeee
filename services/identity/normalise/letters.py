"""A name as it is kept: what people see stays, what nobody sees goes."""

from __future__ import annotations

import re
import unicodedata

from services.identity.normalise.legacy import decoded

_MAX_CHARACTERS = 255
_SOFT_HYPHEN = "\u00ad"
# Letters and marks that show nothing, beside what Unicode calls control and format.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | frozenset(
    map(chr, range(0xFE00, 0xFE10))
)
_ODD = re.compile("[\uff01-\uff5e" + "".join(sorted(_FILLERS)) + "]")


def written(text: str) -> str:
    """The name as it is kept: NFC, full-width to ASCII, no control, format or filling character, single spaces, at most 255 characters.

    A soft hyphen stays in a name of TCVN3, where it is ư.
    """
    if text.isascii():
        if not text.isprintable():
            text = "".join(map(_seen, text))
        return " ".join(text.split())[:_MAX_CHARACTERS].rstrip()
    if not text.isprintable() or _ODD.search(text):
        text = "".join(map(_seen, text))
    text = " ".join(unicodedata.normalize("NFC", text).split())[:_MAX_CHARACTERS].rstrip()
    if _SOFT_HYPHEN in text and decoded(text) == text:
        return written(text.replace(_SOFT_HYPHEN, ""))
    return text


def _seen(character: str) -> str:
    """The character, a space for another kind of space, nothing for what cannot be seen."""
    code = ord(character)
    if 0xFF01 <= code <= 0xFF5E:  # noqa: PLR2004 - full-width forms of ASCII
        return chr(code - 0xFEE0)
    if character.isspace():
        return " "
    if character in _FILLERS:
        return ""
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character != _SOFT_HYPHEN
    return "" if hidden else character
