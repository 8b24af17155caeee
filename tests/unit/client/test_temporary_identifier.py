"""The check pair of temporary identifiers catches what people get wrong."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.temporary_identifier import ALPHABET, TemporaryIdentifierInvalid, check_digits, issue, parse

facilities = st.sampled_from(["01001", "01234", "79A1Z", "96999"])
seeds = st.integers(0, 2**32)


def issued(facility: str, seed: int) -> str:
    return str(issue(facility, random.Random(seed).randrange))


def test_the_check_pair_is_that_of_iban() -> None:
    # GB82 WEST 1234 5698 7654 32: the IBAN standard's own example, rearranged as it prescribes.
    assert check_digits("WEST12345698765432GB") == "82"


@given(facilities, seeds)
def test_what_is_issued_can_be_read(facility: str, seed: int) -> None:
    text = issued(facility, seed)
    read = parse(text)
    assert (str(read), read.facility) == (text, facility)
    assert len(read.compact) == 15
    assert not read.compact.isdecimal()


@given(facilities, seeds)
def test_people_may_write_it_their_way(facility: str, seed: int) -> None:
    text = issued(facility, seed)
    serial = text.split("-")[2]
    loose = text.replace(serial, serial.replace("0", "O").replace("1", "l")).replace("-", " ").lower()
    assert str(parse(loose)) == text
    assert str(parse(text.replace("-", "\u2013"))) == text


@given(facilities, seeds, st.integers(6, 12), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_caught(facility: str, seed: int, at: int, other: str) -> None:
    compact = parse(issued(facility, seed)).compact
    altered = compact[:at] + other + compact[at + 1 :]
    if altered != compact:
        with pytest.raises(TemporaryIdentifierInvalid, match="WRONG_CHECK"):
            parse(altered)


@given(facilities, seeds, st.integers(6, 11))
def test_exchanged_neighbours_are_caught(facility: str, seed: int, at: int) -> None:
    compact = parse(issued(facility, seed)).compact
    altered = compact[:at] + compact[at + 1] + compact[at] + compact[at + 2 :]
    if altered != compact:
        with pytest.raises(TemporaryIdentifierInvalid, match="WRONG_CHECK"):
            parse(altered)


@given(facilities, seeds, st.integers(6, 10))
def test_characters_exchanged_over_one_are_caught(facility: str, seed: int, at: int) -> None:
    compact = parse(issued(facility, seed)).compact
    altered = compact[:at] + compact[at + 2] + compact[at + 1] + compact[at] + compact[at + 3 :]
    if altered != compact:
        with pytest.raises(TemporaryIdentifierInvalid, match="WRONG_CHECK"):
            parse(altered)


@given(facilities, seeds, st.sampled_from([6, 8, 10]), st.sampled_from(ALPHABET))
def test_a_doubled_character_written_as_another_is_caught(facility: str, seed: int, at: int, other: str) -> None:
    random_of, last = random.Random(seed), [0, 0]

    def doubled(n: int) -> int:
        last[0] += 1
        if last[0] % 7 % 2:
            last[1] = random_of.randrange(n)
        return last[1]

    compact = issue(facility, doubled).compact
    assert compact[at] == compact[at + 1]
    if other != compact[at]:
        with pytest.raises(TemporaryIdentifierInvalid, match="WRONG_CHECK"):
            parse(compact[:at] + other * 2 + compact[at + 2 :])


def test_of_two_random_errors_one_in_a_hundred_passes() -> None:
    """Two digits with 97 values can promise no more."""
    random_of = random.Random(4)
    passed, tried = 0, 20_000
    compact = parse(issued("01234", 4)).compact
    for _ in range(tried):
        altered = list(compact)
        for at in random_of.sample(range(6, 13), 2):
            altered[at] = random_of.choice([one for one in ALPHABET if one != compact[at]])
        try:
            parse("".join(altered))
            passed += 1
        except TemporaryIdentifierInvalid:
            continue
    assert passed / tried < 0.012


@given(st.text(max_size=30))
def test_other_text_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(TemporaryIdentifierInvalid) as refused:
        parse(text)
    assert str(refused.value) in {"MALFORMED", "WRONG_CHECK"}


@pytest.mark.parametrize("facility", ["", "0100", "010011", "01-01", "0100a", "0100é"])
def test_a_facility_code_is_five_letters_or_digits(facility: str) -> None:
    with pytest.raises(TemporaryIdentifierInvalid):
        issue(facility)


@pytest.mark.parametrize("text", ["T-01001-B1", "T-01001-0000000-00"])
def test_the_check_pair_is_needed(text: str) -> None:
    with pytest.raises(TemporaryIdentifierInvalid):
        parse(text)


def test_serials_whose_errors_would_pass_are_not_issued() -> None:
    # B1 and 1B count alike (11 and 1, 1 and 11), so their exchange would pass the check pair.
    drawn = iter([ALPHABET.index(character) for character in "B100000"])
    rest = random.Random(7)
    assert "B1" not in issue("01001", lambda n: next(drawn, None) or rest.randrange(n)).serial[:2]
