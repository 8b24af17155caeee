"""Provinces and communes as they are written, read from `cases/areas.csv`."""

from __future__ import annotations

from datetime import date

import pytest

from services.identity.areas import area_written, known, present_code, present_ward, province_names
from services.identity.model import Area, Era
from services.identity.normalise.provinces import province_named, province_of_address
from tests.unit.identity.normalise.cases import cases, label

ERAS = {"63": Era.PROVINCES_63, "34": Era.PROVINCES_34}


def said(row: dict[str, str]) -> str:
    """What comes out of a case, '' for nothing."""
    day = date.fromisoformat(row["day"]) if row["day"] else None
    if row["what"] == "named":
        return province_named(row["raw"]) or ""
    if row["what"] == "address":
        return province_of_address(row["raw"]) or ""
    if row["what"] == "written":
        assert day is not None
        area = area_written(row["raw"], day)
        return "" if area is None else f"{area.era.value.removeprefix('PROVINCES_')}/{area.province_code}"
    area = Area(row["raw"], ERAS[row["era"]], row["ward"] or None, day)
    return (present_ward(area) if row["what"] == "ward" else present_code(area)) or ""


@pytest.mark.parametrize("row", cases("areas"), ids=label)
def test_an_area_is_read_as_its_rule_says(row: dict[str, str]) -> None:
    assert said(row) == row["expected"]


def test_there_are_cases_enough() -> None:
    assert len({tuple(row.values()) for row in cases("areas")}) >= 60


def test_every_name_of_both_lists_is_found_with_and_without_marks() -> None:
    for name, code in province_names().items():
        assert province_named(name) == (code or None)
        assert province_of_address(f"số 1, {name}, Việt Nam") == (code or None)
        if not code:
            continue
        assert province_named(f"tỉnh {name}".upper()) == code
        assert known(Area(code, Era.PROVINCES_34))


def test_a_code_of_both_lists_means_one_province_of_today() -> None:
    """So a sender that still uses the former list after the day is compared right."""
    both = [code for code in map("{:02}".format, range(100)) if all(known(Area(code, era)) for era in Era)]
    assert len(both) == 34
    for code in both:
        assert present_code(Area(code, Era.PROVINCES_63)) == present_code(Area(code, Era.PROVINCES_34)) == code


def test_the_day_of_a_commune_is_kept_with_its_area() -> None:
    area = area_written("1", date(2025, 6, 30), "00013")
    assert area == Area("01", Era.PROVINCES_63, "00013", date(2025, 6, 30))
    assert present_ward(area) == "00004"
