"""The versioned field table: what each table and field of QĐ 130 must look like on a given day, compiled from the
packaged CSV files.

`xml130_fields.csv` is the annex of 4750 with the fields that 3176 adds; `patches.csv` holds what later decisions
change, each from its day on;
`versions.csv` names the decision in force. A new decision is new rows, not new code.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from functools import cache
from importlib.resources import files

from services.records.formats.document import ContentKind, Severity

_PORTAL_SIZE = re.compile(r"portal check sheet size (\d+)")
_EQUAL_MARK = "if present must equal XML1"


class FieldType(Enum):
    """Type of a field's text (domain page §2.4)."""

    TEXT = "string"
    NUMBER = "number"
    DATE = "date8"
    TIME = "datetime12"
    DATE_OR_TIME = "date8_or_datetime12"


class RuleKind(Enum):
    """What a row of `rules.csv` asks; `argument` and `values` are `|`-separated."""

    PATTERN = "PATTERN"
    MAX_ITEMS = "MAX_ITEMS"
    PARALLEL = "PARALLEL"
    DATE_LIST = "DATE_LIST"
    NOT_BEFORE = "NOT_BEFORE"
    NOT_BEFORE_XML1 = "NOT_BEFORE_XML1"
    REQUIRED_IF_PRESENT = "REQUIRED_IF_PRESENT"
    REQUIRED_IF_ALL_ABSENT = "REQUIRED_IF_ALL_ABSENT"
    REQUIRED_IF_IN = "REQUIRED_IF_IN"
    REQUIRED_UNLESS_IN = "REQUIRED_UNLESS_IN"
    EQUALS_XML1 = "EQUALS_XML1"
    TABLE_EXPECTED_IF_IN = "TABLE_EXPECTED_IF_IN"
    TABLE_ONLY_IF_IN = "TABLE_ONLY_IF_IN"
    SUM = "SUM"
    DIFFERENCE = "DIFFERENCE"
    DAYS_ZERO_IF_IN = "DAYS_ZERO_IF_IN"
    DAYS_OF_STAY_IF_IN = "DAYS_OF_STAY_IF_IN"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field on one day. `size` is the annex' limit, `size_tolerated` the widest any official sheet names; None is
    unlimited.
    """

    table: str
    ordinal: int
    name: str
    type: FieldType
    size: int | None
    size_tolerated: int | None
    required: bool
    equals_xml1: bool
    codes: frozenset[str] | None
    code_severity: Severity
    decimals: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of `rules.csv`."""

    id: str
    table: str
    field: str
    kind: RuleKind
    arguments: tuple[str, ...]
    values: str
    reason: str
    severity: Severity
    valid_from: date
    valid_to: date

    @property
    def accepted(self) -> frozenset[str]:
        """`values` as a set; a leading zero makes no difference for numbers, so both spellings are in it."""
        return frozenset(value for item in self.values.split("|") for value in (item, item.zfill(2)))


@dataclass(frozen=True, slots=True)
class TableShape:
    """Root element (None: any), kind of content, and whether the table may hold several rows."""

    name: str
    root: str | None
    kind: ContentKind
    many: bool


@dataclass(frozen=True, slots=True)
class Specification:
    """The standard on one day: its version, its fields by table and name, the fields of other days, and its rules."""

    version: str
    fields: Mapping[str, Mapping[str, FieldSpec]]
    other_fields: frozenset[tuple[str, str]]
    rules: tuple[Rule, ...]


def read_rows(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a packaged CSV file."""
    yield from csv.DictReader(io.StringIO(files(__package__).joinpath("data", name).read_text("utf-8"), newline=""))


@cache
def table_shapes() -> Mapping[str, TableShape]:
    """Return the sixteen tables by name."""
    return {
        row["table"]: TableShape(row["table"], row["root"] or None, ContentKind[row["kind"]], row["rows"] == "many")
        for row in read_rows("tables.csv")
    }


@cache
def code_lists() -> Mapping[str, Mapping[str, bool]]:
    """Return field -> code -> whether the source is secondary, so that nothing but a hint may rest on it."""
    lists: dict[str, dict[str, bool]] = {}
    for row in read_rows("xml130_codes.csv"):
        lists.setdefault(row["field"], {})[row["code"]] = "secondary" in row["source"]
    return lists


@cache
def province_codes(era: str) -> frozenset[str]:
    """Return the province codes of era `old` (63, until 2025-06-30) or `new` (34, since 2025-07-01)."""
    return frozenset(row[f"{era}_code"] for row in read_rows("provinces.csv"))


def specification(on: date | None) -> Specification:
    """Return the standard in force on the day an episode ended; newest for None, oldest for a day before all."""
    starts = _starts()
    if on is None:
        return _compiled(starts[-1])
    return _compiled(starts[max(bisect_right(starts, on) - 1, 0)])


def _day(text: str, otherwise: date) -> date:
    return date.fromisoformat(text) if text else otherwise


@cache
def _starts() -> tuple[date, ...]:
    names = ("versions.csv", "patches.csv", "rules.csv")
    return tuple(sorted({date.fromisoformat(row["valid_from"]) for name in names for row in read_rows(name)}))


@cache
def _rules() -> tuple[Rule, ...]:
    return tuple(
        Rule(
            id=row["rule"],
            table=row["table"],
            field=row["field"],
            kind=RuleKind(row["kind"]),
            arguments=tuple(row["argument"].split("|")) if row["argument"] else (),
            values=row["values"],
            reason=row["reason"],
            severity=Severity(row["severity"]),
            valid_from=date.fromisoformat(row["valid_from"]),
            valid_to=_day(row["valid_to"], date.max),
        )
        for row in read_rows("rules.csv")
    )


@cache
def _compiled(on: date) -> Specification:
    versions = [row for row in read_rows("versions.csv") if date.fromisoformat(row["valid_from"]) <= on]
    specs = {row["spec"] for row in versions}
    fields: dict[str, dict[str, FieldSpec]] = {table: {} for table in table_shapes()}
    every: set[tuple[str, str]] = set()
    for row in read_rows("xml130_fields.csv"):
        every.add((row["table"], row["field"]))
        if row["spec"] in specs:
            fields[row["table"]][row["field"]] = _field(row)
    patches = [row for row in read_rows("patches.csv") if date.fromisoformat(row["valid_from"]) <= on]
    for patch in sorted(patches, key=lambda row: row["valid_from"]):
        _apply(fields[patch["table"]], patch)
    return Specification(
        version=versions[-1]["version"],
        fields=fields,
        other_fields=frozenset(pair for pair in every if pair[1] not in fields[pair[0]]),
        rules=tuple(rule for rule in _rules() if rule.valid_from <= on <= rule.valid_to),
    )


def _apply(table: dict[str, FieldSpec], patch: Mapping[str, str]) -> None:
    name, value = patch["field"], patch["value"]
    match patch["change"]:
        case "REMOVE":
            del table[name]
        case "SIZE":
            table[name] = replace(table[name], size=_size(value), size_tolerated=_size(value))
        case "TYPE":
            table[name] = replace(table[name], type=FieldType(value))
        case "REQUIRED":
            table[name] = replace(table[name], required=value == "yes")
        case change:
            raise ValueError(f"patches.csv: unknown change {change!r}")


def _size(text: str) -> int | None:
    return None if text == "n" else int(text)


def _field(row: Mapping[str, str]) -> FieldSpec:
    size = _size(row["max_len"])
    portal = _PORTAL_SIZE.search(row["spec_note"])
    codes = code_lists().get(row["field"])
    return FieldSpec(
        table=row["table"],
        ordinal=int(row["ordinal"]),
        name=row["field"],
        type=FieldType(row["type"]),
        size=size,
        size_tolerated=size if size is None or portal is None else max(size, int(portal[1])),
        required=row["required"] == "yes",
        equals_xml1=_EQUAL_MARK in row["condition_or_rule"],
        codes=frozenset(codes) if codes else None,
        code_severity=Severity.INFORMATION if codes and any(codes.values()) else Severity.WARNING,
        decimals=_decimals(row["field"], row["type"]),
    )


def _decimals(name: str, kind: str) -> int | None:
    """Amounts are rounded to 2 decimals, unit prices to 3 (domain page §2.4)."""
    if kind != FieldType.NUMBER.value:
        return None
    if name.startswith("DON_GIA"):
        return 3
    return 2 if name.startswith(("T_", "THANH_TIEN")) else None
