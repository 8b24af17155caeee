"""Phone numbers in the form of today."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.normalise.phones import phone


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0912345678", "0912345678"),
        ("091 234 5678", "0912345678"),
        ("+84 91-234-5678", "0912345678"),
        ("+84 (0)912345678", "0912345678"),
        ("0084912345678", "0912345678"),
        ("84912345678", "0912345678"),
        ("01692345678", "0392345678"),
        ("+841692345678", "0392345678"),
        ("01202345678", "0702345678"),
        ("01882345678", "0582345678"),
        ("01992345678", "0592345678"),
        ("02438123456", "02438123456"),
    ],
)
def test_spellings_and_the_migration_of_2018(text: str, number: str) -> None:
    assert phone(text) == number


@pytest.mark.parametrize(
    "text", [None, "", "123", "0000000000", "0999999999", "01602345678", "không có", "09123456789", "٠٩١٢٣٤٥٦٧٨"]
)
def test_what_is_no_number_is_none(text: str | None) -> None:
    assert phone(text) is None


@given(st.text(max_size=30))
def test_a_result_is_its_own_canonical_form(text: str) -> None:
    number = phone(text)
    assert number is None or phone(number) == number
