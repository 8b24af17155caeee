"""Aliases of wristbands: two neutral words that are nobody's name and are told apart without marks."""

from __future__ import annotations

import csv
import random
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.wristband import LIVING, THINGS, AliasesUsedUp, AliasInvalid, issue, parse, plain

# The commonest family names, also of the peoples of the mountains, which the samples do not have.
FAMILY_NAMES = (
    "nguyễn trần lê phạm huỳnh hoàng phan vũ võ đặng bùi đỗ hồ ngô dương lý đinh đào đoàn lâm mai trịnh trương hà cao lương lưu phùng tô tạ"
    " triệu thái châu quách kiều tăng vương quan nghiêm la lại lò vàng giàng sùng thào cầm lường tòng quàng hoàng nông vi ma mùa cứ lầu hạng"
)


def test_words_are_told_apart_without_marks() -> None:
    words = [plain(word) for word in (*THINGS, *LIVING)]
    assert len(set(words)) == len(words)
    assert all(word.isascii() and word.isalpha() and len(word) > 1 for word in words)
    assert len(THINGS) * len(LIVING) > 10_000


def test_no_word_is_a_name() -> None:
    names = {plain(part) for part in FAMILY_NAMES.split()}
    for file in ("given_names.csv", "family_names.csv"):
        text = (resources.files("lienthong.samples") / "data" / file).read_text("utf-8")
        names |= {plain(part) for row in csv.DictReader(text.splitlines()) for part in row["name"].split()}
    assert {plain(word) for word in (*THINGS, *LIVING)} & names == set()


@given(st.integers(0, 2**32))
def test_what_is_issued_can_be_read_as_people_write_it(seed: int) -> None:
    alias = issue(below=random.Random(seed).randrange)
    first, second = alias.split()
    for text in (alias, alias.upper(), plain(alias), f" {first}-{second.lower()} "):
        assert parse(text) == alias


@given(st.text(max_size=80))
def test_other_text_is_refused_and_not_repeated(text: str) -> None:
    try:
        read = parse(text)
    except AliasInvalid as refused:
        assert str(refused) == "not an alias"
    else:
        assert read.split()[0].lower() in THINGS


@pytest.mark.parametrize("text", ["", "Nguyễn Hoà", "Đèn", "Đèn Hươu Đèn", "Hươu Đèn", "Nam 1"])
def test_names_and_halves_are_no_aliases(text: str) -> None:
    with pytest.raises(AliasInvalid):
        parse(text)


def test_a_used_alias_is_passed_over_to_the_end() -> None:
    every = [f"{first.capitalize()} {second.capitalize()}" for first in THINGS for second in LIVING]
    assert issue(every[1:], lambda n: n - 1) == every[0]
    with pytest.raises(AliasesUsedUp):
        issue(every)
