"""The field table is the CSV, patched by day."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from importlib.resources import files

import pytest

from services.records.formats import ContentKind
from services.records.formats.xml130.tables import FieldType, code_lists, province_codes, specification, table_shapes

COUNTS = {
    0: 26,
    1: 66,
    2: 39,
    3: 47,
    4: 12,
    5: 9,
    6: 47,
    7: 26,
    8: 22,
    9: 35,
    10: 13,
    11: 23,
    12: 35,
    13: 39,
    14: 22,
    15: 20,
}


def packaged(name: str) -> list[dict[str, str]]:
    text = files("services.records.formats.xml130").joinpath("data", name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_field_counts_are_the_annexes() -> None:
    old = specification(date(2024, 9, 1)).fields
    assert {int(table[3:]): len(fields) for table, fields in old.items()} == COUNTS
    new = specification(date(2025, 2, 1)).fields
    assert {int(table[3:]): len(fields) for table, fields in new.items()} == {**COUNTS, 13: 37}


def test_every_field_stands_as_the_csv_says() -> None:
    fields = specification(date(2024, 9, 1)).fields
    rows = [row for row in packaged("xml130_fields.csv") if row["spec"] == "QD130+4750"]
    assert len(rows) == 481
    for row in rows:
        field = fields[row["table"]][row["field"]]
        assert (field.ordinal, field.required) == (int(row["ordinal"]), row["required"] == "yes")
        assert field.size == (None if row["max_len"] == "n" else int(row["max_len"]))
        # The one correction: the annex calls XML15's SO_CCCD a number although a passport begins with a letter.
        assert field.type.value == row["type"] or (row["table"], row["field"]) == ("XML15", "SO_CCCD")


def test_code_lists_are_the_csv() -> None:
    rows = packaged("xml130_codes.csv")
    assert {(field, code) for field, codes in code_lists().items() for code in codes} == {
        (row["field"], row["code"]) for row in rows
    }
    assert len(rows) == sum(len(codes) for codes in code_lists().values())
    assert set(code_lists()["GIOI_TINH"]) == {"1", "2", "3"}


def test_province_lists() -> None:
    assert (len(province_codes("old")), len(province_codes("new"))) == (63, 34)
    assert "27" in province_codes("old") - province_codes("new")


@pytest.mark.parametrize(
    ("day", "version"),
    [
        (date(1999, 1, 1), "4750"),
        (date(2024, 12, 31), "4750"),
        (date(2025, 1, 1), "3176"),
        (date(2026, 6, 30), "3176"),
        (date(2026, 7, 1), "1931"),
        (None, "1931"),
    ],
)
def test_version_of_a_day(day: date | None, version: str) -> None:
    assert specification(day).version == version


def test_what_the_decisions_change() -> None:
    last, first = specification(date(2024, 12, 31)).fields, specification(date(2025, 1, 1)).fields
    assert set(last["XML13"]) - set(first["XML13"]) == {
        "MA_NOI_DI",
        "MA_NOI_DEN",
        "TEN_DICH_VU",
        "TEN_THUOC",
        "PP_DIEU_TRI",
    }
    assert set(first["XML13"]) - set(last["XML13"]) == {"MA_CSKCB_DI", "MA_CSKCB_DEN", "TINH_TRANG_CT"}
    assert (last["XML14"]["NGAY_HEN_KL"].type, first["XML14"]["NGAY_HEN_KL"].type) == (FieldType.TIME, FieldType.DATE)
    assert (last["XML1"]["MA_TTDV"].size, first["XML1"]["MA_TTDV"].size) == (10, 255)
    assert (last["XML1"]["SO_CCCD"].size, first["XML1"]["SO_CCCD"].size) == (15, None)
    change = date(2025, 7, 1)
    assert specification(change - timedelta(1)).fields["XML1"]["MAHUYEN_CU_TRU"].required
    assert not specification(change).fields["XML1"]["MAHUYEN_CU_TRU"].required
    assert specification(date(2026, 7, 1)).fields["XML2"]["MUC_HUONG"].size == 4


def test_rules_name_fields_that_exist() -> None:
    for day in (date(2024, 9, 1), date(2025, 9, 1)):
        standard = specification(day)
        every = {name for fields in standard.fields.values() for name in fields}
        for rule in standard.rules:
            names = every if rule.table == "*" else set(standard.fields[rule.table])
            assert not rule.field or rule.field in names, rule.id


def test_tables_and_kinds() -> None:
    assert [shape.name for shape in table_shapes().values()] == [f"XML{number}" for number in range(16)]
    assert {shape.kind for shape in table_shapes().values()} == set(ContentKind)
