"""Printed codes of cards, as scanners and printers leave them."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.card_code import (
    MAX_CHARACTERS,
    CardCode,
    CardCodeUnreadable,
    CardDate,
    CardKind,
    CardSex,
    parse,
)

CITIZEN = "001085012345|012345678|Nguyễn Văn An|02031985|Nam|Số 1, Phố Huế, Hai Bà Trưng, Hà Nội|25042021"
NAME_HEX = "Nguyễn Thị Hoà".encode().hex()
ADDRESS_HEX = "Xã Thuận Hoà, Huế".encode().hex()
INSURANCE = f"DN4797915071630|{NAME_HEX}|29/09/1994|2|{ADDRESS_HEX}|79 - 034|01/01/2020|-|16/12/2019|79217915071630|-|4|01/01/2019|18e8b-7102|$"


def test_the_identity_card() -> None:
    assert parse(CITIZEN) == CardCode(
        kind=CardKind.CITIZEN_CARD,
        number="001085012345",
        old_number="012345678",
        name="Nguyễn Văn An",
        birth=CardDate(1985, 3, 2),
        sex=CardSex.MALE,
        address="Số 1, Phố Huế, Hai Bà Trưng, Hà Nội",
        issue_date=date(2021, 4, 25),
    )


def test_the_insurance_card() -> None:
    assert parse(INSURANCE) == CardCode(
        kind=CardKind.INSURANCE_CARD,
        number="DN4797915071630",
        name="Nguyễn Thị Hoà",
        birth=CardDate(1994, 9, 29),
        sex=CardSex.FEMALE,
        address="Xã Thuận Hoà, Huế",
        facility="79034",
        issue_date=date(2019, 12, 16),
        valid_from=date(2020, 1, 1),
        extra=("79217915071630", "-", "4", "01/01/2019", "18e8b-7102", "$"),
    )


@pytest.mark.parametrize(
    "code",
    [
        CITIZEN + "\r\n",
        "]Q1" + CITIZEN,
        "\ufeff" + CITIZEN,
        unicodedata.normalize("NFD", CITIZEN),
        CITIZEN.encode().decode("latin-1"),
        CITIZEN.replace("|Nam|", "|NAM|"),
        CITIZEN.replace("|", " | "),
        CITIZEN.replace("001085012345", "001 085 012 345"),
        CITIZEN.replace("02031985", "02/03/1985"),
        CITIZEN.replace("An", "A\u200bn"),
    ],
)
def test_what_scanners_do_to_a_code_is_undone(code: str) -> None:
    assert parse(code) == parse(CITIZEN)


@pytest.mark.parametrize("sex", ["Nữ", "NỮ", "nữ", "Nu", "NU", "N\u01b0\u0303"])
def test_women_are_read_in_any_marks(sex: str) -> None:
    assert parse(CITIZEN.replace("Nam", sex)).sex is CardSex.FEMALE


def test_six_seven_and_more_fields() -> None:
    six = parse("001085012345|Nguyễn Văn An|02031985|Nam|Hà Nội|25042021")
    assert (six.old_number, six.name, six.issue_date, six.warnings) == (
        None,
        "Nguyễn Văn An",
        date(2021, 4, 25),
        (),
    )
    empty = parse("001085012345||Nguyễn Văn An|02031985|Nam|Hà Nội|25042021")
    assert (empty.old_number, empty.name, empty.extra, empty.warnings) == (None, "Nguyễn Văn An", (), ())
    more = parse(CITIZEN + "||Nguyễn Văn Bố|")
    assert more.extra == ("", "Nguyễn Văn Bố", "")
    assert more.warnings == ()
    assert parse("001085012345|").warnings == (
        "fields[2]: NAME_MISSING",
        "fields[3]: DATE_MISSING",
        "fields[4]: SEX_MISSING",
    )


@pytest.mark.parametrize(
    ("code", "warnings"),
    [
        (CITIZEN.replace("02031985", "32131985"), ("fields[3]: DATE_INVALID",)),
        (
            CITIZEN.replace("02031985", "30021985"),
            ("fields[3]: DATE_INVALID",),
        ),
        (CITIZEN.replace("02031985", "02001985"), ("fields[3]: DATE_INVALID",)),
        (CITIZEN.replace("|Nam|", "|X|"), ("fields[4]: SEX_INVALID",)),
        (CITIZEN.replace("012345678", "1234"), ("fields[1]: OLD_NUMBER_INVALID",)),
        (CITIZEN.replace("25042021", "2021"), ("fields[6]: DATE_INVALID",)),
        (CITIZEN.replace("ễ", "?"), ("fields[2]: TEXT_DAMAGED",)),
        ("001085012345|Nguyễn Văn An|x|y|z", ("fields[2]: DATE_INVALID", "fields[3]: SEX_INVALID")),
        (INSURANCE.replace(NAME_HEX, NAME_HEX[:-1]), ("fields[1]: HEX_INVALID",)),
        (INSURANCE.replace(NAME_HEX, "ff"), ("fields[1]: HEX_INVALID",)),
        (INSURANCE.replace("79 - 034", "???"), ("fields[5]: FACILITY_INVALID",)),
        (INSURANCE.replace("|2|", "|3|"), ("fields[3]: SEX_INVALID",)),
    ],
)
def test_what_cannot_be_read_is_named_by_its_field_and_the_rest_is_kept(code: str, warnings: tuple[str, ...]) -> None:
    read = parse(code)
    assert read.warnings == warnings
    assert read.number


@pytest.mark.parametrize(
    ("text", "birth"),
    [("1950", CardDate(1950, 0, 0)), ("00001950", CardDate(1950, 0, 0)), ("00031950", CardDate(1950, 3, 0))],
)
def test_a_day_that_the_card_does_not_say_is_nought(text: str, birth: CardDate) -> None:
    assert parse(CITIZEN.replace("02031985", text)).birth == birth


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "CODE_EMPTY"),
        ("\r\n", "CODE_EMPTY"),
        ("]Q1", "CODE_EMPTY"),
        ("1" * (MAX_CHARACTERS + 1), "CODE_TOO_LONG"),
        ("https://example.org/|x", "CODE_NOT_RECOGNISED"),
        ("001085012345", "CODE_NOT_RECOGNISED"),
        ("00108501234|x", "CODE_NOT_RECOGNISED"),
        ("٠٠١٠٨٥٠١٢٣٤٥|x", "CODE_NOT_RECOGNISED"),
    ],
)
def test_what_is_no_code_is_refused_without_repeating_it(code: str, reason: str) -> None:
    with pytest.raises(CardCodeUnreadable) as refused:
        parse(code)
    assert refused.value.reason == reason == str(refused.value)


def test_a_code_stays_out_of_representations() -> None:
    assert not re.search(r"Nguy|0123|1985|Hai", repr(parse(CITIZEN)))


parts = st.text(max_size=30) | st.sampled_from(
    ["001085012345", "DN4797915071630", "02031985", "Nam", NAME_HEX, "-", ""]
)


@given(
    st.text(max_size=200)
    | st.lists(parts, max_size=14).map("|".join)
    | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = parse(text)
    except CardCodeUnreadable:
        return
    assert all(re.fullmatch(r"fields\[\d+\]: [A-Z_]+", warning) for warning in read.warnings)


@given(st.sampled_from(["001085012345", "DN4797915071630"]), st.lists(parts, min_size=1, max_size=14))
def test_a_number_is_kept_whatever_follows(number: str, rest: list[str]) -> None:
    assert parse("|".join([number, *(part.replace("|", "") for part in rest)])).number == number
