"""Checks across fields, rows and tables: one function per rule kind, driven by `rules.csv`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache

from services.records.formats.document import QualityFinding, Severity
from services.records.formats.xml130 import values
from services.records.formats.xml130.envelope import Row
from services.records.formats.xml130.tables import Rule, RuleKind, Specification

Tables = Mapping[str, tuple[Row, ...]]
RowCheck = Callable[[Rule, Row, Row], bool]
TableCheck = Callable[[Rule, Tables, Row], bool]

# One đồng: senders round rows and totals on their own.
_TOLERANCE = Decimal(1)


def check_rules(rows: Tables, summary: Row, specification: Specification) -> list[QualityFinding]:
    """Return the findings of the rules that hold on the specification's day; `summary` is the row of XML1 (or of
    XML0).
    """
    findings: list[QualityFinding] = []
    for rule in specification.rules:
        row_check = _ROW_CHECKS.get(rule.kind)
        if row_check is None:
            if not _TABLE_CHECKS[rule.kind](rule, rows, summary):
                findings.append(_finding(rule, rule.table, 0 if not rule.field else 1))
            continue
        for table in rows if rule.table == "*" else (rule.table,):
            for index, row in enumerate(rows.get(table, ()), 1):
                if not row_check(rule, row, summary):
                    findings.append(_finding(rule, table, index))
    findings.extend(_equalities(rows, summary, specification))
    findings.extend(_row_numbers(rows, specification))
    return findings


def _finding(rule: Rule, table: str, row: int) -> QualityFinding:
    return QualityFinding(table, row, rule.field, rule.id, rule.reason, rule.severity)


def _equalities(rows: Tables, summary: Row, specification: Specification) -> Iterator[QualityFinding]:
    """Fields that the annex repeats from XML1 must say the same when present."""
    for table in rows:
        names = [
            spec.name for spec in specification.fields[table].values() if spec.equals_xml1 and spec.name in summary
        ]
        for index, row in enumerate(rows[table], 1) if names else ():
            for name in names:
                text = row.get(name)
                if text and text != summary[name]:
                    yield QualityFinding(table, index, name, "same.as.summary", "DIFFERS_FROM_XML1", Severity.WARNING)


def _row_numbers(rows: Tables, specification: Specification) -> Iterator[QualityFinding]:
    for table, table_rows in rows.items():
        if len(table_rows) < 2 or "STT" not in specification.fields[table]:
            continue
        seen: set[str] = set()
        for index, row in enumerate(table_rows, 1):
            number = row.get("STT", "")
            if number and number in seen:
                yield QualityFinding(table, index, "STT", "row.number", "ROW_NUMBER_REPEATED", Severity.INFORMATION)
            seen.add(number)


@lru_cache(maxsize=64)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def _matches(rule: Rule, row: Row, summary: Row) -> bool:
    text = row.get(rule.field)
    return not text or _pattern(rule.values).fullmatch(text) is not None


def _few_items(rule: Rule, row: Row, summary: Row) -> bool:
    text = row.get(rule.field)
    return not text or len(values.items(text)) <= int(rule.values)


def _parallel(rule: Rule, row: Row, summary: Row) -> bool:
    text, other = row.get(rule.field), row.get(rule.arguments[0])
    # An empty list says nothing; whether it may be empty is another rule's business.
    return not text or not other or text.count(";") == other.count(";")


def _date_list(rule: Rule, row: Row, summary: Row) -> bool:
    return all(values.instant(item) is not None for item in values.items(row.get(rule.field, "")))


def _in_order(earlier: str, later: str) -> bool:
    """Compare yyyymmdd[HHMM] texts as far as both are known; what is no date is the type check's business."""
    if not (values.is_digits(earlier) and values.is_digits(later)):
        return True
    width = 12 if len(earlier) == len(later) == 12 else 8
    return earlier[:width] <= later[:width]


def _not_before(rule: Rule, row: Row, summary: Row) -> bool:
    return _in_order(row.get(rule.arguments[0], ""), row.get(rule.field, ""))


def _not_before_summary(rule: Rule, row: Row, summary: Row) -> bool:
    return _in_order(summary.get(rule.arguments[0], ""), row.get(rule.field, ""))


def _required_if_present(rule: Rule, row: Row, summary: Row) -> bool:
    return bool(row.get(rule.field)) or not row.get(rule.arguments[0])


def _required_if_all_absent(rule: Rule, row: Row, summary: Row) -> bool:
    return bool(row.get(rule.field)) or any(row.get(name) for name in rule.arguments)


def _required_if_in(rule: Rule, row: Row, summary: Row) -> bool:
    return bool(row.get(rule.field)) or row.get(rule.arguments[0], "") not in rule.accepted


def _required_unless_in(rule: Rule, row: Row, summary: Row) -> bool:
    return bool(row.get(rule.field)) or row.get(rule.arguments[0], "") in rule.accepted


def _equals_summary(rule: Rule, row: Row, summary: Row) -> bool:
    text, expected = row.get(rule.field), summary.get(rule.arguments[0])
    return not text or expected is None or text == expected


def _table_expected(rule: Rule, rows: Tables, summary: Row) -> bool:
    return bool(rows.get(rule.table)) or summary.get(rule.arguments[0], "") not in rule.accepted


def _table_allowed(rule: Rule, rows: Tables, summary: Row) -> bool:
    return not rows.get(rule.table) or summary.get(rule.arguments[0], "") in rule.accepted


def _amount(text: str) -> Decimal | None:
    return Decimal(text) if text.isascii() and values.NUMBER.fullmatch(text) else None


def _total(texts: Iterable[str]) -> Decimal | None:
    """Add up amounts, blanks as zero; None when one of them is no number, which the type check reports."""
    total = Decimal(0)
    for text in texts:
        amount = _amount(text or "0")
        if amount is None:
            return None
        total += amount
    return total


def _sums_up(rule: Rule, rows: Tables, summary: Row) -> bool:
    stated = _amount(summary.get(rule.field, ""))
    parts = [argument.split(".") for argument in rule.arguments]
    # Without any row there is nothing to compare: patients outside insurance may come with XML1 and XML8 only.
    if stated is None or not (rows.get("XML2") or rows.get("XML3")):
        return True
    total = _total(row.get(name, "") for table, name in parts for row in rows.get(table, ()))
    return total is None or abs(total - stated) <= _TOLERANCE


def _difference(rule: Rule, row: Row, summary: Row) -> bool:
    stated, whole, part = (_amount(row.get(name, "")) for name in (rule.field, *rule.arguments))
    return stated is None or whole is None or part is None or abs(whole - part - stated) <= _TOLERANCE


def _no_days(rule: Rule, row: Row, summary: Row) -> bool:
    if row.get(rule.arguments[0], "") not in rule.accepted:
        return True
    return not row.get(rule.field) or _amount(row[rule.field]) in (None, Decimal(0))


def _days_of_stay(rule: Rule, row: Row, summary: Row) -> bool:
    begin, end = values.day(row.get("NGAY_VAO", "")), values.day(row.get("NGAY_RA", ""))
    stated = _amount(row.get(rule.field, ""))
    if row.get(rule.arguments[0], "") not in rule.accepted or begin is None or end is None or stated is None:
        return True
    return stated == (end - begin).days + 1


_ROW_CHECKS: Mapping[RuleKind, RowCheck] = {
    RuleKind.PATTERN: _matches,
    RuleKind.MAX_ITEMS: _few_items,
    RuleKind.PARALLEL: _parallel,
    RuleKind.DATE_LIST: _date_list,
    RuleKind.NOT_BEFORE: _not_before,
    RuleKind.NOT_BEFORE_XML1: _not_before_summary,
    RuleKind.REQUIRED_IF_PRESENT: _required_if_present,
    RuleKind.REQUIRED_IF_ALL_ABSENT: _required_if_all_absent,
    RuleKind.REQUIRED_IF_IN: _required_if_in,
    RuleKind.REQUIRED_UNLESS_IN: _required_unless_in,
    RuleKind.EQUALS_XML1: _equals_summary,
    RuleKind.DIFFERENCE: _difference,
    RuleKind.DAYS_ZERO_IF_IN: _no_days,
    RuleKind.DAYS_OF_STAY_IF_IN: _days_of_stay,
}

_TABLE_CHECKS: Mapping[RuleKind, TableCheck] = {
    RuleKind.TABLE_EXPECTED_IF_IN: _table_expected,
    RuleKind.TABLE_ONLY_IF_IN: _table_allowed,
    RuleKind.SUM: _sums_up,
}
