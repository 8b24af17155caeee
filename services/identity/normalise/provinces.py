"""Provinces by the names that people write: with or without marks, of either list or an older one, short (TP HCM, HN), alone or at the end of an address.

A name means the same province of today in every era (the old Bắc Ninh and the new one, Hà Giang and Tuyên Quang), so it needs no date; a code does
(`areas.area_written`). What could be two provinces is unknown, never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from services.identity.areas import province_names

_LONGEST = 1024
_NOT_LETTERS = re.compile(r"[^a-z]+")
_UNIT = r"(?:tinh|thanh pho|t\.? ?p\.?|t\.)"
_PREFIX = re.compile(rf"\s*(?:{_UNIT}\s*:?\s*)+")
_LAST_UNIT = re.compile(rf"(?<![a-z]){_UNIT}\s*(?=[a-z])")
_KIND = re.compile(r"\s*(?:province|city)[\s.]*\Z")
_COUNTRY = re.compile(r"[\s,.;\-]*\b(?:viet ?nam|vn)[\s.]*\Z")
_BETWEEN = re.compile(r"[,;|\n]|\s-+\s|-(?=\s)|(?<=\s)-")


def province_named(text: str | None) -> str | None:
    """Code in the 34-list of the province that a text is the name of; None for what is none, or could be two."""
    return (_named(_bare(text)) or None) if text else None


def province_of_address(text: str | None) -> str | None:
    """Code in the 34-list of the province at the end of an address; None where nothing there is the name of one. A name before, of a street or of
    a town, is not looked at.
    """
    if not text:
        return None
    bare = _COUNTRY.sub("", _bare(text))
    parts = [part for part in _BETWEEN.split(bare) if part.strip(" .")]
    # A name may hold a hyphen: Gia Lai - Kon Tum is not Kon Tum.
    for size in (2, 1):
        if len(parts) >= size and (code := _named(" ".join(parts[-size:]))) is not None:
            return code or None
    ends = [unit.end() for unit in _LAST_UNIT.finditer(parts[-1])] if parts else []
    return (_named(parts[-1][ends[-1] :]) or None) if ends else None


def _bare(text: str) -> str:
    """Lower case without marks, single spaces."""
    split = unicodedata.normalize("NFKD", text[:_LONGEST].lower().replace("đ", "d").replace("\u00f0", "d"))
    kept = "".join(" " if one in "\t\r\v\f\xa0" else one for one in split if not unicodedata.combining(one))
    return re.sub(" +", " ", re.sub("[\u2010-\u2015\u2212]", "-", kept)).strip()


def _key(bare: str) -> str:
    return _NOT_LETTERS.sub("", bare).replace("y", "i")


@cache
def _names() -> Mapping[str, str]:
    return MappingProxyType({_key(_bare(name)): code for name, code in province_names().items()})


def _named(bare: str) -> str | None:
    """The province of a name without marks, '' for a name of two; a number makes it an address of something else."""
    bare = _KIND.sub("", _COUNTRY.sub("", bare))
    if any(one.isdigit() for one in bare):
        return None
    found = _names().get(_key(bare))
    if found is None and (prefix := _PREFIX.match(bare)):
        found = _names().get(_key(bare[prefix.end() :]))
    return found
