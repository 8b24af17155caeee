"""What holds of every text: nothing raises, canonical forms are their own, forms of Unicode are equal, no value stands in a representation."""

from __future__ import annotations

import unicodedata
from datetime import date
from importlib.resources import files

from hypothesis import assume, given
from hypothesis import strategies as st

from services.identity.areas import REORGANISED, area_written, present_code, present_ward
from services.identity.model import Area, BirthDate, Demographics, Era, Identifier, IdentifierType, Sex
from services.identity.normalise.dates import OLDEST_YEARS, birth_date, plausible
from services.identity.normalise.identifiers import normalise
from services.identity.normalise.names import Name, name, written
from services.identity.normalise.person import normal
from services.identity.normalise.phones import phone
from services.identity.normalise.provinces import province_named, province_of_address
from tests.unit.identity.normalise.cases import cases
from tests.unit.identity.normalise.test_date_cases import TODAY, said

FAMILIES = [
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Huỳnh",
    "Hoàng",
    "Phan",
    "Vũ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Đinh",
    "Đào",
    "Đoàn",
    "Trịnh",
    "Trương",
]
TONES = ("", "\u0300", "\u0309", "\u0303", "\u0301", "\u0323")
SYLLABLES = [
    line
    for line in files("services.identity").joinpath("data/syllables.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#") and len(line) > 1
]
# Behind its vowels a tone belongs to the syllable as well as on one of them.
syllables = st.builds(
    lambda syllable, tone: syllable + (tone if not syllable.endswith(("p", "t", "c", "ch")) else ""),
    st.sampled_from(SYLLABLES),
    st.sampled_from(TONES),
)
full_names = st.builds(
    lambda family, rest: " ".join([family, *rest]),
    st.sampled_from(FAMILIES),
    st.lists(syllables, min_size=1, max_size=4),
)
RAW = [row["raw"] for file in ("names", "phones", "dates", "areas") for row in cases(file)]
texts = st.text(max_size=300) | st.sampled_from(RAW) | st.text("aăâđêôơư'`^~.?()+0123456789 -/<", max_size=60)
births = st.dates(date(1850, 1, 1), date(2099, 12, 31)).map(lambda day: BirthDate(day.year, day.month, day.day))


def bare(text: str) -> str:
    """The text without marks."""
    split = unicodedata.normalize("NFD", text.replace("Đ", "D").replace("đ", "d"))
    return "".join(one for one in split if not unicodedata.combining(one))


@given(texts, texts, texts, st.dates(), st.sampled_from(Era))
def test_no_text_raises(text: str, other: str, more: str, day: date, era: Era) -> None:
    person = Demographics(
        name=text, phone=other, mother_name=more, residence=Area(text, era, other, day), nationality=more
    )
    assert normal(person) == normal(person)
    birth_date(text, day)
    province_named(text)
    province_of_address(text)
    area_written(text, day, other)
    for type in IdentifierType:
        normalise(Identifier(type, text, other), person)


@given(texts)
def test_forms_of_unicode_are_equal(text: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert name(composed) == name(decomposed)
    assert province_named(composed) == province_named(decomposed)
    assert province_of_address(composed) == province_of_address(decomposed)
    assert birth_date(composed, TODAY) == birth_date(decomposed, TODAY)
    assert phone(composed) == phone(decomposed)


@given(full_names)
def test_case_and_blanks_make_no_difference(text: str) -> None:
    read = name(text)
    assert name(text.upper()) == name(text.lower()) == name(f"  {text.title()}\u00a0 ") == read
    assert name(written(text)) == read


@given(full_names)
def test_without_marks_a_name_is_the_same_in_plain(text: str) -> None:
    marked, unmarked = name(text), name(bare(text))
    assume(not (marked.newborn or unmarked.newborn or marked.empty or unmarked.empty))
    assert unmarked.plain == marked.plain
    assert not unmarked.marks
    assert [one.phonetic for one in unmarked.tokens] == [one.phonetic for one in marked.tokens]


@given(full_names)
def test_plain_forms_are_their_own(text: str) -> None:
    plain = name(bare(text)).plain
    assert name(" ".join(plain)).plain == plain


@given(full_names)
def test_a_name_written_twice_is_one(text: str) -> None:
    read = name(text)
    halves = len(read.tokens) // 2
    assume(len(read.tokens) > 1 and read.plain[:halves] != read.plain[halves:])
    assert name(f"{text} {text}") == read


@given(texts)
def test_a_phone_is_its_own_canonical_form(text: str) -> None:
    number = phone(text)
    assert number is None or (phone(number) == number and len(number) in {10, 11} and number.startswith("0"))
    assert number is None or phone("+84" + number[1:]) == number


@given(st.integers(2, 9), st.integers(0, 9999999))
def test_every_spelling_of_a_mobile_number_is_one(first: int, rest: int) -> None:
    number = f"09{first}{rest:07}"
    spelled = (f"+84 {number[1:]}", f"{number[:4]}.{number[4:7]}.{number[7:]}", f"ĐT {number}", number[1:])
    assert {phone(text) for text in spelled} == {phone(number)}


@given(births, st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_every_spelling_of_a_day_is_one(birth: BirthDate, today: date) -> None:
    year, month, day = birth.year, birth.month, birth.day
    expected = plausible(birth, today)
    for text in (
        f"{day:02}/{month:02}/{year}",
        f"{day}-{month}-{year}",
        f"{year}-{month:02}-{day:02}",
        f"{year}{month:02}{day:02}",
        f"{day:02}{month:02}{year}",
        f"{year}{month:02}{day:02}0000",
        f"ngày {day} tháng {month} năm {year}",
    ):
        assert birth_date(text, today) == expected
    assert expected is None or (expected == birth and date(year, month, day) <= today)
    assert expected is None or year >= today.year - OLDEST_YEARS


@given(texts)
def test_a_date_is_its_own_canonical_form(text: str) -> None:
    birth = birth_date(text, TODAY)
    assert birth is None or birth_date(said(birth).replace("~", ""), TODAY) == BirthDate(
        birth.year, birth.month, birth.day
    )


@given(st.integers(0, 999), st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a_code_is_of_the_list_of_its_day(code: int, day: date) -> None:
    area = area_written(str(code), day)
    assert area is None or present_code(area) is not None
    if area is not None and area.era is Era.PROVINCES_34:
        assert day >= REORGANISED
    assert area == area_written(f"{code:03}", day)
    assert area is None or present_ward(area) is None


@given(texts, texts, births, st.sampled_from(Sex))
def test_no_value_stands_in_a_representation(text: str, other: str, birth: BirthDate, sex: Sex) -> None:
    read = normal(
        Demographics(text, birth, sex, other, Area(other, Era.PROVINCES_63, text), mother_name=other, nationality=text)
    )
    assert repr(read) == "NormalPerson()"
    flags = read.name
    assert repr(flags) == f"Name(marks={flags.marks}, newborn={flags.newborn}, foreign={flags.foreign})"
    for one in read.name.tokens:
        assert repr(one) == f"Token(short={one.short}, repaired={one.repaired})"
    assert repr(Name(())) == "Name(marks=False, newborn=False, foreign=False)"
    assert str(birth.year) not in repr(birth)
