"""The rule table: what an identifier hit needs to become a match."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.identity.crosscheck import compare_births, cross_check
from services.identity.model import Agreement, Area, BirthDate, Demographics, Era, Sex

KNOWN = Demographics(
    name="Nguyễn Thị Hoà",
    birth=BirthDate(1985, 3, 2),
    sex=Sex.FEMALE,
    phone="0912345678",
    residence=Area("27", Era.PROVINCES_63),
)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (KNOWN, True),
        (replace(KNOWN, sex=Sex.MALE), True),
        (replace(KNOWN, phone="0387654321", residence=Area("79", Era.PROVINCES_63)), True),
        (replace(KNOWN, birth=BirthDate(1985)), True),
        (replace(KNOWN, birth=BirthDate(1985, 1, 1)), True),
        (replace(KNOWN, birth=BirthDate(1985, 2, 3)), True),
        (replace(KNOWN, birth=BirthDate(1985), sex=Sex.MALE), False),
        (replace(KNOWN, name="Nguyen Thi Hoa"), True),
        (replace(KNOWN, name="Nguyễn Hoà"), True),
        (replace(KNOWN, name="Nguyen Thi Hoa", sex=Sex.MALE), False),
        (replace(KNOWN, name="Nguyen Thi Hoa", birth=BirthDate(1985)), False),
        (replace(KNOWN, name="Nguyễn Thị Bình"), False),
        (replace(KNOWN, name="Nguyễn Thị Hoa"), False),
        (replace(KNOWN, name="Trần Thị Hoà"), False),
        (replace(KNOWN, birth=BirthDate(1985, 3, 3)), False),
        (replace(KNOWN, birth=BirthDate(1986, 3, 2)), False),
        (replace(KNOWN, birth=None), False),
        (replace(KNOWN, name=None), False),
        (replace(KNOWN, name="CB Nguyễn Thị Hoà"), False),
    ],
)
def test_rule_table(given: Demographics, match: bool) -> None:
    assert cross_check(given, KNOWN).agrees is match


def test_nothing_known_is_no_match_on_any_query() -> None:
    assert not cross_check(KNOWN, Demographics()).agrees


def test_evidence_names_fields_and_no_value() -> None:
    checked = cross_check(
        replace(KNOWN, name="Nguyễn Thị Bình", phone=None, residence=Area("24", Era.PROVINCES_34)), KNOWN
    )
    assert {one.field: one.agreement for one in checked.evidence} == {
        "demographics.human_name": Agreement.DISAGREES,
        "demographics.birth_date": Agreement.AGREES,
        "demographics.sex": Agreement.AGREES,
        "demographics.phone": Agreement.ABSENT,
        # Bắc Ninh was 27 and is 24, which used to be Bắc Giang.
        "demographics.residence": Agreement.AGREES,
    }


def test_it_asks_for_what_is_missing_only() -> None:
    assert cross_check(KNOWN, replace(KNOWN, name="Lê Văn Tám")).ask_next == ()
    poor = Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985))
    assert cross_check(poor, replace(KNOWN, name="Lê Văn Tám")).ask_next == (
        "demographics.birth_date",
        "demographics.sex",
    )


@pytest.mark.parametrize(
    ("left", "right", "agreement"),
    [
        (BirthDate(1985, 3, 2), BirthDate(1985, 3, 2), Agreement.AGREES),
        (BirthDate(1985, 3), BirthDate(1985, 3, 2), Agreement.PARTIAL),
        (BirthDate(1985, 4), BirthDate(1985, 3, 2), Agreement.DISAGREES),
        (BirthDate(1985), BirthDate(1985), Agreement.PARTIAL),
        (BirthDate(1985, estimated=True), BirthDate(1985, 3, 2), Agreement.ABSENT),
        (None, BirthDate(1985), Agreement.ABSENT),
    ],
)
def test_births(left: BirthDate | None, right: BirthDate | None, agreement: Agreement) -> None:
    assert compare_births(left, right) is agreement
    assert compare_births(right, left) is agreement


@pytest.mark.parametrize(
    ("year", "month", "day"), [(1985, 2, 30), (1985, 13, 1), (1985, 0, 5), (0, 1, 1), (1700, 1, 1)]
)
def test_an_impossible_date_is_refused(year: int, month: int, day: int) -> None:
    with pytest.raises(ValueError):
        BirthDate(year, month, day)
