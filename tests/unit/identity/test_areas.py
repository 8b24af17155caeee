"""Codes of provinces and communes across the reorganisations of 2025 and 2026."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity import areas
from services.identity.areas import known, present_code, present_ward
from services.identity.model import Area, Era

OLD, NEW = Era.PROVINCES_63, Era.PROVINCES_34


def test_the_lists_are_whole() -> None:
    assert len({code for code in map("{:02}".format, range(100)) if known(Area(code, OLD))}) == 63
    assert len({code for code in map("{:02}".format, range(100)) if known(Area(code, NEW))}) == 34
    assert len(areas._wards()) == 3321
    assert set(areas._wards().values()) == areas._present()
    assert {successor for _, successor in areas._former_wards().values()} - {""} <= set(areas._wards())


@pytest.mark.parametrize(
    ("old", "new"),
    [("10", "15"), ("27", "24"), ("45", "44"), ("64", "52"), ("72", "80"), ("87", "82"), ("89", "91")],
    ids=["Lào Cai", "Bắc Ninh", "Quảng Trị", "Gia Lai", "Tây Ninh", "Đồng Tháp", "An Giang"],
)
def test_seven_names_changed_code_and_the_code_they_use_meant_another(old: str, new: str) -> None:
    assert present_code(Area(old, OLD)) == new == present_code(Area(new, NEW))
    assert not known(Area(old, NEW))  # a code of the old list is nothing in the new one
    assert known(Area(new, OLD))  # and the new code was another province's, now merged into this one
    assert present_code(Area(new, OLD)) == new


@pytest.mark.parametrize(
    ("old", "new"), [("24", "24"), ("06", "19"), ("74", "79"), ("91", "91"), ("01", "01"), ("77", "79"), ("79", "79")]
)
def test_merged_provinces_meet(old: str, new: str) -> None:
    assert present_code(Area(old, OLD)) == new


@pytest.mark.parametrize("code", ["00", "03", "100", "", "x", "٠١"])
def test_an_unknown_province_is_none(code: str) -> None:
    assert present_code(Area(code, OLD)) is None
    assert present_code(Area(code, NEW)) is None


@pytest.mark.parametrize(
    ("area", "ward"),
    [
        (Area("01", NEW, "00004"), "00004"),
        (Area("01", OLD, "00013"), "00004"),  # became part of Ba Đình
        (Area("01", NEW, "00013", date(2025, 6, 30)), "00004"),  # the day counts, not the era
        (Area("01", NEW, "00013", date(2025, 7, 1)), None),  # no such code since
        (Area("01", OLD, "00004", date(2026, 1, 1)), "00004"),
        (Area("01", OLD, "00016"), None),  # divided
        (Area("24", NEW, "07294", date(2026, 4, 29)), "07294"),  # a xã until then,
        (Area("24", NEW, "07294", date(2026, 4, 30)), "07294"),  # a phường since, under the same code
        (Area("79", NEW, "00004"), None),  # of another province
        (Area("99", NEW, "00004"), None),
        (Area("01", NEW, "99999"), None),
        (Area("01", NEW), None),
    ],
)
def test_communes_are_compared_on_the_list_in_force(area: Area, ward: str | None) -> None:
    assert present_ward(area) == ward


def test_a_commune_of_a_merged_province_is_found_in_the_province_of_today() -> None:
    former = next(
        code for code, (province, successor) in areas._former_wards().items() if province == "27" and successor
    )
    ward = present_ward(Area("27", OLD, former))
    assert ward is not None
    assert areas._wards()[ward] == "24"
    assert present_ward(Area("24", NEW, ward)) == ward


@given(
    st.text(max_size=3) | st.sampled_from(["01", "24", "79"]),
    st.sampled_from(Era),
    st.none() | st.text(max_size=6) | st.sampled_from(["00004", "00013", "00016"]),
    st.none() | st.dates(),
)
def test_a_result_is_its_own_canonical_form(code: str, era: Era, ward: str | None, day: date | None) -> None:
    area = Area(code, era, ward, day)
    province, present = present_code(area), present_ward(area)
    assert present is None or (province is not None and present_ward(Area(province, NEW, present)) == present)
    assert province is None or present_code(Area(province, NEW)) == province
    assert area == Area(code, era, ward, day)
