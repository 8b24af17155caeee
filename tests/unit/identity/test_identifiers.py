"""Canonical values of identifiers; faults are codes and never repeat a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.model import BirthDate, Demographics, Identifier, IdentifierKey, IdentifierType, Sex
from services.identity.normalise.identifiers import facility_code, normalise

NOBODY = Demographics()
MAN_OF_1985 = Demographics(sex=Sex.MALE, birth=BirthDate(1985, 3, 2))


def key_of(type: IdentifierType, value: str, assigner: str = "") -> IdentifierKey | None:
    return normalise(Identifier(type, value, assigner), NOBODY).key


def warnings_of(
    type: IdentifierType, value: str, demographics: Demographics = NOBODY, assigner: str = ""
) -> tuple[str, ...]:
    return normalise(Identifier(type, value, assigner), demographics).warnings


@pytest.mark.parametrize("value", ["001085012345", "001 085 012 345", "001.085.012-345"])
def test_a_citizen_number_is_twelve_digits_however_spaced(value: str) -> None:
    assert key_of(IdentifierType.CITIZEN_ID, value) == IdentifierKey("CITIZEN_ID", "001085012345")


@pytest.mark.parametrize(
    ("value", "warnings"),
    [
        ("001085012345", ()),
        ("001185012345", ("CITIZEN_ID_SEX_MISMATCH",)),
        ("001086012345", ("CITIZEN_ID_BIRTH_YEAR_MISMATCH",)),
        ("001385012345", ("CITIZEN_ID_SEX_MISMATCH", "CITIZEN_ID_BIRTH_YEAR_MISMATCH")),
        ("003085012345", ("CITIZEN_ID_PROVINCE_UNKNOWN",)),
    ],
)
def test_an_implausible_citizen_number_is_a_hint_and_stays_usable(value: str, warnings: tuple[str, ...]) -> None:
    normal = normalise(Identifier(IdentifierType.CITIZEN_ID, value), MAN_OF_1985)
    assert normal.warnings == warnings
    assert normal.key is not None


def test_an_estimated_year_makes_no_hint() -> None:
    estimated = Demographics(birth=BirthDate(1990, estimated=True))
    assert warnings_of(IdentifierType.CITIZEN_ID, "001085012345", estimated) == ()


@pytest.mark.parametrize(
    ("type", "value", "code"),
    [
        (IdentifierType.CITIZEN_ID, "00108501234", "CITIZEN_ID_MALFORMED"),
        (IdentifierType.CITIZEN_ID, "00108501234٥", "CITIZEN_ID_MALFORMED"),
        (IdentifierType.CITIZEN_ID, "000000000000", "IDENTIFIER_PLACEHOLDER"),
        (IdentifierType.OLD_ID, "1234", "OLD_ID_MALFORMED"),
        (IdentifierType.OLD_ID, "111111111", "IDENTIFIER_PLACEHOLDER"),
        (IdentifierType.PASSPORT, "", "PASSPORT_MALFORMED"),
        (IdentifierType.PASSPORT, "123456789", "PASSPORT_COUNTRY_MISSING"),
        (IdentifierType.HEALTH_INSURANCE, "DN401", "HEALTH_INSURANCE_MALFORMED"),
        (IdentifierType.HEALTH_INSURANCE, "DN4010000000000", "IDENTIFIER_PLACEHOLDER"),
        (IdentifierType.HEALTH_INSURANCE, "TE1010100012345", "IDENTIFIER_PLACEHOLDER"),
        (IdentifierType.HEALTH_INSURANCE, "DN9010123456789", "HEALTH_INSURANCE_MALFORMED"),
        (IdentifierType.SOCIAL_INSURANCE, "012345678", "SOCIAL_INSURANCE_MALFORMED"),
        (IdentifierType.TEMPORARY, "T-01001", "TEMPORARY_MALFORMED"),
        (IdentifierType.TEMPORARY, "T-01234-7KQ2M9X-00", "TEMPORARY_WRONG_CHECK"),
    ],
)
def test_a_fault_makes_an_identifier_unusable(type: IdentifierType, value: str, code: str) -> None:
    assert key_of(type, value) is None
    assert warnings_of(type, value) == (code,)


def test_all_spellings_of_an_insurance_number_meet() -> None:
    number = IdentifierKey("SOCIAL_INSURANCE", "0123456789")
    assert key_of(IdentifierType.HEALTH_INSURANCE, "DN4010123456789") == number
    assert key_of(IdentifierType.HEALTH_INSURANCE, "GD 2 79 0123456789") == number
    assert key_of(IdentifierType.HEALTH_INSURANCE, "0123456789") == number
    assert key_of(IdentifierType.SOCIAL_INSURANCE, "0123456789") == number


def test_twelve_digits_are_the_citizen_number_in_any_field() -> None:
    number = IdentifierKey("CITIZEN_ID", "001085012345")
    for type in (IdentifierType.OLD_ID, IdentifierType.HEALTH_INSURANCE, IdentifierType.SOCIAL_INSURANCE):
        assert key_of(type, "001085012345") == number


def test_a_passport_is_unique_within_its_country() -> None:
    assert key_of(IdentifierType.PASSPORT, "b1234567", "vnm") == IdentifierKey("PASSPORT", "VNM:B1234567")
    assert key_of(IdentifierType.PASSPORT, "B1234567", "LAO") == IdentifierKey("PASSPORT", "LAO:B1234567")
    assumed = normalise(Identifier(IdentifierType.PASSPORT, "B1234567"), NOBODY)
    assert assumed.key == IdentifierKey("PASSPORT", "VNM:B1234567")
    assert assumed.warnings == ("PASSPORT_COUNTRY_ASSUMED",)


def test_a_patient_number_belongs_to_its_facility() -> None:
    assert key_of(IdentifierType.LOCAL_MRN, " 12  34 ", "01001") == IdentifierKey("LOCAL_MRN", "01001:12 34")
    assert key_of(IdentifierType.LOCAL_MRN, "1234", "") is None


@pytest.mark.parametrize(
    ("code", "good"),
    [("01001", True), ("79A12", True), ("03001", False), ("0100", False), ("A1001", False), ("01a01", False)],
)
def test_a_facility_code_starts_with_a_province_of_the_old_list(code: str, good: bool) -> None:
    assert facility_code(code) is good


@given(st.sampled_from(list(IdentifierType)), st.text(max_size=40), st.text(max_size=6))
def test_any_value_is_survived_and_never_shown(type: IdentifierType, value: str, assigner: str) -> None:
    normal = normalise(Identifier(type, value, assigner), MAN_OF_1985)
    assert (normal.key is None) <= bool(normal.warnings)
    assert all(code.replace("_", "").isalpha() and code.isupper() for code in normal.warnings)
    if len(value) > 12:
        assert value not in repr(normal)
