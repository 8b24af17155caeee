"""Phone numbers, brought to the national form of today."""

from __future__ import annotations

import re

# The 11-digit mobile prefixes that became 10-digit ones in 2018.
_MIGRATED = {
    **{f"016{last}": f"03{last}" for last in "23456789"},
    "0120": "070",
    "0121": "079",
    "0122": "077",
    "0126": "076",
    "0128": "078",
    "0123": "083",
    "0124": "084",
    "0125": "085",
    "0127": "081",
    "0129": "082",
    "0186": "056",
    "0188": "058",
    "0199": "059",
}
_MOBILE = re.compile(r"0[35789]\d{8}")
_LANDLINE = re.compile(r"02\d{9}")
_NOT_DIGITS = re.compile(r"[\s.()\-\u2010-\u2015/]+")


def phone(text: str | None) -> str | None:
    """The number with its leading 0 and no separator; None for what is no Vietnamese number, or one digit over and
    over.
    """
    if not text:
        return None
    bare = _NOT_DIGITS.sub("", text)
    for prefix in ("+84", "0084"):
        if bare.startswith(prefix):
            bare = "0" + bare.removeprefix(prefix).removeprefix("0")
    if len(bare) in {11, 12} and bare.startswith("84"):
        bare = "0" + bare[2:]
    if len(bare) == 11 and bare[:4] in _MIGRATED:
        bare = _MIGRATED[bare[:4]] + bare[4:]
    if not bare.isascii() or not (_MOBILE.fullmatch(bare) or _LANDLINE.fullmatch(bare)):
        return None
    return None if len(set(bare[2:])) == 1 else bare
