"""Names people write differently and mean alike, and names that differ by little and are other people."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.identity.crosscheck import NameAgreement, compare_names
from services.identity.normalise.names import name, written

FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Huỳnh", "Hoàng", "Võ", "Đặng", "Bùi", "Đỗ")
OTHER = ("Văn", "Thị", "Hữu", "Đức", "Thuý", "Thủy", "Hoà", "Quỳnh", "Ánh", "Anh", "Tuấn", "Lý", "Mỹ", "Hương", "Khánh")
full_names = st.lists(st.sampled_from(FAMILY + OTHER), min_size=2, max_size=5).map(" ".join)
# Without marks `Ánh Nguyễn …` cannot be told from `Anh Nguyễn …`, where a title stands: a family name is first.
ordered_names = st.builds(
    lambda family, rest: " ".join([family, *rest]),
    st.sampled_from(FAMILY),
    st.lists(st.sampled_from(FAMILY + OTHER), min_size=1, max_size=4),
)


def compare(left: str, right: str) -> NameAgreement:
    return compare_names(name(left), name(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Nguyễn Thị Hoà", "NGUYỄN THỊ HÒA"),
        ("Trần Thúy Lý", "Trần Thuý Lí"),
        ("Nguyễn Văn An", unicodedata.normalize("NFD", "Nguyễn Văn An")),
        ("BN. Nguyễn Văn An", "Ông Nguyễn  Văn\u00a0An"),
        ("Ｎguyen Van An", "nguyen van an"),
        ("H'Hen Niê", "H\u2019Hen Niê"),
        ("Niê H'Hen", "H'Hen Niê"),
        ("Đỗ\u200b Văn Đức", "đỗ văn đức"),
    ],
)
def test_spellings_of_one_name_are_the_same(left: str, right: str) -> None:
    assert compare(left, right) is NameAgreement.SAME


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Nguyễn Văn An", "Nguyen Van An"),
        ("Nguyễn Văn An", "Nguyễn An"),
        ("Ng. Văn An", "Nguyễn Văn An"),
        ("Nguyễn T. Hoa", "Nguyễn Thị Hoa"),
        ("John Smith", "Smith John"),
        ("Võ Thị Ngọc Hoa", "Võ Thị Hoa"),
    ],
)
def test_marks_middle_names_abbreviations_and_moved_family_names_are_close(left: str, right: str) -> None:
    assert compare(left, right) is NameAgreement.CLOSE
    assert compare(right, left) is NameAgreement.CLOSE


@pytest.mark.parametrize(
    ("left", "right", "agreement"),
    [
        ("Nguyễn Ngọc Ánh", "Nguyễn Ngọc Anh", NameAgreement.GIVEN_MARKS),
        ("Nguyễn Tuấn Anh", "Nguyễn Anh Tuấn", NameAgreement.OTHER),
        ("Nguyễn Văn Bình", "Nguyễn Văn An", NameAgreement.OTHER),
        ("Nguyễn Văn An", "Trần Văn An", NameAgreement.OTHER),
        ("Nguyễn Văn Đạt", "Nguyễn Văn Đat", NameAgreement.GIVEN_MARKS),
    ],
)
def test_twins_and_siblings_are_told_apart(left: str, right: str, agreement: NameAgreement) -> None:
    assert compare(left, right) is agreement


@pytest.mark.parametrize("text", ["", "   ", "Vô danh", "KHÔNG RÕ", "Nam 1", "Unknown", "A B", "X", "123", "\u200b"])
def test_placeholders_name_nobody(text: str) -> None:
    assert name(text).empty
    assert compare(text, text) is NameAgreement.ABSENT


def test_a_newborn_is_not_its_mother() -> None:
    baby = name("CB Nguyễn Thị Hoa")
    assert baby.newborn
    assert compare_names(baby, name("Nguyễn Thị Hoa")) is NameAgreement.ABSENT


def test_titles_that_are_names_stay_in_short_names() -> None:
    assert name("Anh Tuấn").plain == ("anh", "tuan")
    assert name("Anh Nguyễn Văn Tuấn").plain == ("nguien", "van", "tuan")


def test_names_stay_out_of_representations() -> None:
    assert "an" not in repr(name("Nguyễn Văn An")).replace("Name", "").replace("newborn", "")


@given(full_names)
def test_a_name_agrees_with_itself_in_any_case_and_form(text: str) -> None:
    other = unicodedata.normalize("NFD", text.upper())
    assert compare(text, other) in {NameAgreement.SAME, NameAgreement.ABSENT}


@given(full_names, full_names)
def test_comparison_is_symmetric(left: str, right: str) -> None:
    assert compare(left, right) is compare(right, left)


@given(ordered_names)
def test_without_marks_a_name_stays_close(text: str) -> None:
    bare = "".join(
        c
        for c in unicodedata.normalize("NFD", text.replace("Đ", "D").replace("đ", "d"))
        if not unicodedata.combining(c)
    )
    # Without its mark Ánh reads like anh before a family name, which is how men are addressed: nobody could tell.
    assume(len(name(text).tokens) == len(name(bare).tokens))
    assert compare(text, bare) in {NameAgreement.SAME, NameAgreement.CLOSE, NameAgreement.ABSENT}


@given(st.text(max_size=300))
def test_any_text_is_survived(text: str) -> None:
    kept = written(text)
    assert len(kept) <= 255
    assert written(kept) == kept
    assert name(text) == name(text)
