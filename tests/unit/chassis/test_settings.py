"""Settings: complete at start, every problem named at once, no value repeated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.settings import SettingsError, load, names


@dataclass(frozen=True)
class Inner:
    url: str
    size: int = 3


@dataclass(frozen=True)
class Outer:
    inner: Inner
    key: Path
    every: timedelta = timedelta(seconds=1)
    on: bool = False
    words: tuple[str, ...] = ()
    optional: Path | None = None


def test_nested_settings_are_flattened_and_typed() -> None:
    environ = {
        "LIENTHONG_INNER_URL": "here",
        "LIENTHONG_INNER_SIZE": "7",
        "LIENTHONG_KEY": "key.pem",
        "LIENTHONG_EVERY": "0.5",
        "LIENTHONG_ON": "True",
        "LIENTHONG_WORDS": "a, b,",
    }
    assert load(Outer, environ) == Outer(
        Inner("here", 7), Path("key.pem"), timedelta(milliseconds=500), on=True, words=("a", "b"), optional=None
    )


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert load(Outer, {"LIENTHONG_INNER_URL": "u", "LIENTHONG_KEY": "k", "LIENTHONG_ON": ""}).on is False


def test_every_problem_is_named_at_once_and_no_value_is_repeated() -> None:
    environ = {"LIENTHONG_INNER_SIZE": "secret-1", "LIENTHONG_ON": "secret-2", "LIENTHONG_EVERY": "secret-3"}
    with pytest.raises(SettingsError) as caught:
        load(Outer, environ)
    assert caught.value.problems == [
        "LIENTHONG_INNER_URL: missing",
        "LIENTHONG_INNER_SIZE: ill-typed",
        "LIENTHONG_KEY: missing",
        "LIENTHONG_EVERY: ill-typed",
        "LIENTHONG_ON: ill-typed",
    ]
    assert "secret" not in str(caught.value)


def test_names_lists_every_variable() -> None:
    assert names(Inner) == ["LIENTHONG_URL", "LIENTHONG_SIZE"]
    assert "LIENTHONG_INNER_URL" in names(Outer)
