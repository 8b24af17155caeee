"""Provinces of both eras, from the packaged list (Resolution 202/2025/QH15, QĐ 19/2025/QĐ-TTg)."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from services.identity.model import Area, Era


@cache
def _successors() -> dict[str, str]:
    """Code of the 63-list to code of the 34-list."""
    text = files("services.identity").joinpath("data/provinces.csv").read_text(encoding="utf-8")
    return {row["old_code"]: row["new_code"] for row in csv.DictReader(text.splitlines())}


def known(area: Area) -> bool:
    """True when the code exists in its era."""
    return area.province_code in (_successors() if area.era is Era.PROVINCES_63 else _successors().values())


def present_code(area: Area) -> str | None:
    """The code in the 34-list, on which areas of both eras can be compared; None for an unknown code."""
    if not known(area):
        return None
    return area.province_code if area.era is Era.PROVINCES_34 else _successors()[area.province_code]


def present_ward(area: Area) -> str | None:
    """The ward's code in the list in force; None where it is unknown, or its successor is."""
    return area.ward_code
