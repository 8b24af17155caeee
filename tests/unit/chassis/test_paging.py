"""Page tokens come back as they were given, or not at all."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.chassis.paging import decode_token, encode_token, page_limit

KEY = ("2026-11-23", "0193-77")


def forged(body: bytes, bound_to: str = "f") -> str:
    """A token with a right digest, which anybody can make."""
    digest = hashlib.sha256(body + b"\x00" + bound_to.encode()).digest()[:8]
    return base64.urlsafe_b64encode(digest + body).rstrip(b"=").decode()


@given(st.lists(st.text(max_size=20), max_size=4), st.text(max_size=20))
def test_a_token_returns_its_key(key: list[str], bound_to: str) -> None:
    assert decode_token(encode_token(key, bound_to), bound_to) == tuple(key)


def test_no_token_is_the_first_page() -> None:
    assert decode_token("", "anything") == ()


def test_a_token_is_for_its_own_filter() -> None:
    with pytest.raises(InvalidArgument):
        decode_token(encode_token(KEY, "facility=01001"), "facility=01002")


@given(st.data())
def test_any_altered_character_is_found(data: st.DataObject) -> None:
    token = encode_token(KEY, "f")
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_=+/ é").filter(lambda one: one != token[place]))
    with pytest.raises(InvalidArgument):
        decode_token(token[:place] + other + token[place + 1 :], "f")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "é",
        "!" * 40,
        encode_token(KEY, "f") + "=",
        encode_token(KEY, "f") + "\n",
        "A" * 5000,
        forged(b"[" * 500),
        forged(b"[" * 100_000),
        forged(b"5"),
        forged(b'{"a": 1}'),
        forged(b"[1]"),
        forged(b'["a" ]'),
        forged(b"\xff"),
    ],
)
def test_nonsense_is_an_invalid_page_token(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        decode_token(token, "f")
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("page_token", "PAGE_TOKEN_INVALID")


def test_page_sizes() -> None:
    assert [page_limit(size) for size in (0, 1, 500)] == [50, 1, 500]
    assert page_limit(0, largest=20) == 20
    for size in (-1, 501):
        with pytest.raises(InvalidArgument):
            page_limit(size)
