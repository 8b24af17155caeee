"""Provinces and communes of both eras, from packaged lists (Resolution 202/2025/QH15, QĐ 19/2025/QĐ-TTg, 237/NQ-UBTVQH16).

**The same digits mean different places in different eras**: 27 was Bắc Ninh and is nothing now; 24 was Bắc Giang and is Bắc Ninh; commune 00004 was
Trúc Bạch and is Ba Đình. So a code is compared with its era only, after both were brought to the lists in force, and what was written is never changed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from services.identity.model import Area, Era

AREAS_VERSION = "areas-2026-04-30"
"""Name of the lists that ship: the day of the last change of the law that they hold (237/NQ-UBTVQH16). New lists have a new name."""

REORGANISED = date(2025, 7, 1)
"""First day of the list of 34 provinces and of the communes of today. On 2026-04-30 kinds of communes changed, and no code."""

# MATINH_CU_TRU of the national format is three characters wide.
_CODE_WRITTEN = 3


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = files("services.identity").joinpath(f"data/{name}").read_text(encoding="utf-8")
    return csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))


@cache
def _successors() -> Mapping[str, str]:
    """Code of the 63-list to code of the 34-list."""
    return MappingProxyType({row["old_code"]: row["new_code"] for row in _rows("provinces.csv")})


@cache
def _present() -> frozenset[str]:
    return frozenset(_successors().values())


@cache
def _wards() -> Mapping[str, str]:
    """Commune in force to its province in the 34-list."""
    return MappingProxyType({row["code"]: row["province_code"] for row in _rows("wards_34.csv")})


@cache
def _former_wards() -> Mapping[str, tuple[str, str]]:
    """Commune of the list until 2025-06-30 to its province in the 63-list and the commune it became part of, '' where that is not one."""
    return MappingProxyType({row["code"]: (row["province_code"], row["successor"]) for row in _rows("wards_63.csv")})


@cache
def province_names() -> Mapping[str, str]:
    """Names of provinces of both lists, abbreviations and older names, to the code in the 34-list; '' for names of what is two provinces today."""
    names = {name: row["new_code"] for row in _rows("provinces.csv") for name in (row["old_name"], row["new_name"])}
    return MappingProxyType({**names, **{row["name"]: row["code"] for row in _rows("province_names.csv")}})


def area_written(province: str, day: date, ward: str | None = None) -> Area | None:
    """The area of a province's code as it was written on a day: `1`, `01` and `001` are one. None for a code that no list of that day or before has.

    Before 2025-07-01 a code is of the 63-list. Since then it is of the 34-list, unless only the former list has it: then whoever wrote it still used
    that one. Where both have it, both mean the same province of today, which a test holds.
    """
    bare = province.strip()
    if not (bare.isascii() and bare.isdecimal() and len(bare) <= _CODE_WRITTEN):
        return None
    code = f"{int(bare):02}"
    since = day >= REORGANISED and known(Area(code, Era.PROVINCES_34))
    area = Area(code, Era.PROVINCES_34 if since else Era.PROVINCES_63, ward, day if ward else None)
    return area if known(area) else None


def known(area: Area) -> bool:
    """True when the province's code exists in its era."""
    return area.province_code in (_successors() if area.era is Era.PROVINCES_63 else _present())


def present_code(area: Area) -> str | None:
    """The province's code in the 34-list, on which areas of both eras can be compared; None for an unknown code."""
    if not known(area):
        return None
    return area.province_code if area.era is Era.PROVINCES_34 else _successors()[area.province_code]


def former_codes(present: str) -> frozenset[str]:
    """The codes of the 63-list whose provinces are in this one of the 34-list."""
    return frozenset(former for former, successor in _successors().items() if successor == present)


def present_ward(area: Area) -> str | None:
    """The commune's code in the list in force; None where it is unknown, was divided, or lies in another province than the area says.

    The list a code belongs to goes by `ward_date`, and without one by the era of the province.
    """
    code = area.ward_code
    if code is None:
        return None
    former = area.ward_date < REORGANISED if area.ward_date else area.era is Era.PROVINCES_63
    if former:
        province, successor = _former_wards().get(code, ("", ""))
        there = _successors().get(province)
    else:
        successor = code
        there = _wards().get(code)
    return successor if successor and there is not None and there == present_code(area) else None
