"""Checks of single fields against the field table: presence, length, type, code, spelling of Unicode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from unicodedata import is_normalized

from services.records.formats.document import QualityFinding, Severity
from services.records.formats.xml130 import values
from services.records.formats.xml130.envelope import Row
from services.records.formats.xml130.tables import FieldSpec, FieldType, Specification


def check_fields(rows: Mapping[str, tuple[Row, ...]], specification: Specification) -> list[QualityFinding]:
    """Return the findings of every field of every row, in table and row order."""
    findings: list[QualityFinding] = []
    for table, table_rows in rows.items():
        specs = specification.fields[table]
        required = [spec.name for spec in specs.values() if spec.required]
        for index, row in enumerate(table_rows, 1):
            findings.extend(
                _warning(table, index, name, "field.required", "FIELD_MISSING")
                for name in required
                if not row.get(name)
            )
            for name, text in row.items():
                spec = specs.get(name)
                if spec is None:
                    findings.append(_stranger(table, index, name, specification))
                elif text:
                    _check(spec, text, index, findings)
    return findings


def _check(spec: FieldSpec, text: str, row: int, findings: list[QualityFinding]) -> None:
    if spec.size is not None and len(text) > spec.size:
        tolerated = spec.size_tolerated is not None and len(text) <= spec.size_tolerated
        severity = Severity.INFORMATION if tolerated else Severity.WARNING
        findings.append(QualityFinding(spec.table, row, spec.name, "field.size", "FIELD_TOO_LONG", severity))
    if spec.type is FieldType.TEXT:
        # TCVN 6909 asks for precomposed Vietnamese; decomposed text does not compare.
        if not text.isascii() and not is_normalized("NFC", text):
            findings.append(
                QualityFinding(spec.table, row, spec.name, "field.unicode", "TEXT_NOT_NFC", Severity.INFORMATION)
            )
    else:
        reason = _TYPES[spec.type](text) if spec.name != "NGAY_SINH" else _birth(text)
        if reason:
            findings.append(_warning(spec.table, row, spec.name, "field.type", reason))
        elif spec.decimals is not None and len(text.partition(".")[2].rstrip("0")) > spec.decimals:
            findings.append(_warning(spec.table, row, spec.name, "field.decimals", "TOO_MANY_DECIMALS"))
    if spec.codes is not None and text not in spec.codes:
        findings.append(QualityFinding(spec.table, row, spec.name, "field.code", "CODE_UNKNOWN", spec.code_severity))


def _stranger(table: str, row: int, name: str, specification: Specification) -> QualityFinding:
    # A name that no version knows is text from outside: it is not repeated, lest a sender's slip put personal
    # data there.
    if (table, name) in specification.other_fields:
        return QualityFinding(table, row, name, "field.version", "FIELD_NOT_IN_VERSION", Severity.INFORMATION)
    return QualityFinding(table, row, "", "field.known", "FIELD_UNKNOWN", Severity.INFORMATION)


def _warning(table: str, row: int, field: str, rule: str, reason: str) -> QualityFinding:
    return QualityFinding(table, row, field, rule, reason, Severity.WARNING)


def _number(text: str) -> str:
    return "" if text.isascii() and values.NUMBER.fullmatch(text) else "NUMBER_INVALID"


def _date(text: str) -> str:
    return "" if len(text) == 8 and values.day(text) else "DATE_INVALID"


def _time(text: str) -> str:
    return "" if len(text) == 12 and values.instant(text) else "TIME_INVALID"


def _date_or_time(text: str) -> str:
    return "" if values.instant(text) else "DATE_INVALID"


def _birth(text: str) -> str:
    return "" if len(text) in (8, 12) and values.partial_date(text) else "DATE_INVALID"


_TYPES: Mapping[FieldType, Callable[[str], str]] = {
    FieldType.NUMBER: _number,
    FieldType.DATE: _date,
    FieldType.TIME: _time,
    FieldType.DATE_OR_TIME: _date_or_time,
}
