"""The packaged tables the generator draws from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any


def _text(name: str) -> str:
    return files(__package__).joinpath("data", name).read_text("utf-8")


@cache
def table(name: str) -> Sequence[Mapping[str, str]]:
    """Return the rows of `data/<name>.csv`."""
    return tuple(csv.DictReader(io.StringIO(_text(f"{name}.csv"), newline="")))


@cache
def by_key(name: str) -> Mapping[str, Mapping[str, str]]:
    """Return the rows of `data/<name>.csv` by their `key` column."""
    return {row["key"]: row for row in table(name)}


@cache
def conditions() -> Sequence[Mapping[str, Any]]:
    """Return the clinical pictures of `data/conditions.json`."""
    found: list[Mapping[str, Any]] = json.loads(_text("conditions.json"))
    return tuple(found)


@cache
def layout(spec: str, name: str) -> Sequence[str]:
    """Return the field names of a table in the order of the annex of `spec` (`4750` or `3176`)."""
    rows = {(row["spec"], row["table"]): row["fields"].split() for row in table("layouts")}
    return tuple(rows.get((spec, name)) or rows["4750", name])
