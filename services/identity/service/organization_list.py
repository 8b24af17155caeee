"""Lists of facilities as CSV (RFC 4180): every wrong column of every bad row is named, and no value."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.identity.areas import known
from services.identity.model import Area, Era, invalid
from services.identity.normalise.identifiers import facility_code
from services.identity.normalise.names import written
from services.identity.registers import CareLevel, Organization, OrganizationState
from services.identity.service.hierarchy import IS_SELF

REQUIRED = ("code", "display_name", "care_level", "province_code", "province_era")
OPTIONAL = ("parent", "capabilities", "contact")
MAX_BYTES = 2 * 1024 * 1024
MAX_ROWS = 20_000
NAME_LENGTH = 255
CONTACT_LENGTH = 255
MAX_CAPABILITIES = 50
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_SEPARATOR = ";"


@dataclass(frozen=True)
class RowError:
    """One wrong column of a row; `line` is counted from the header, which is 1. Without a column the row as such is wrong."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True)
class Listed:
    """A good row."""

    line: int
    organization: Organization


def capability(text: str) -> bool:
    """True for a code such as `OBSTETRICS`."""
    return _CODE.fullmatch(text) is not None


def read(content: bytes, now: datetime) -> tuple[Sequence[Listed], Sequence[RowError]]:
    """The good rows and the wrong columns of the others; whether parents exist is not looked at. Raises InvalidArgument when the list as such cannot be
    read.
    """
    good: dict[str, Listed] = {}
    wrong: list[RowError] = []
    for line, cells in _rows(content):
        if cells is None:
            wrong.append(RowError(line, "", "COLUMNS_COUNT"))
            continue
        listed, faults = _row(line, cells, now)
        if listed and listed.organization.code in good:
            wrong.append(RowError(line, "code", "CODE_REPEATED"))
        elif listed:
            good[listed.organization.code] = listed
        wrong += faults
    return list(good.values()), wrong


def _rows(content: bytes) -> Iterator[tuple[int, Mapping[str, str] | None]]:
    """The rows with their lines, by column; None for a row with too many or too few of them. Empty lines are none."""
    if len(content) > MAX_BYTES:
        raise invalid("csv", f"at most {MAX_BYTES} bytes", "TOO_LARGE")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid("csv", "UTF-8", "ENCODING_INVALID") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if not set(REQUIRED) <= set(header) <= {*REQUIRED, *OPTIONAL} or len(set(header)) != len(header):
            raise invalid("csv", f"the columns {', '.join((*REQUIRED, *OPTIONAL))}", "HEADER_INVALID")
        begin = reader.line_num + 1
        for number, row in enumerate(reader):
            if number >= MAX_ROWS:
                raise invalid("csv", f"at most {MAX_ROWS} rows", "COUNT")
            line, begin = begin, reader.line_num + 1
            if any(cell.strip() for cell in row):
                whole = len(row) == len(header)
                yield line, dict(zip(header, map(str.strip, row), strict=True)) if whole else None
    except csv.Error:
        raise invalid("csv", "CSV as RFC 4180 has it", "SYNTAX_INVALID") from None


def _row(line: int, cells: Mapping[str, str], now: datetime) -> tuple[Listed | None, list[RowError]]:
    code = cells["code"].upper()
    level, era = (
        CareLevel.__members__.get(cells["care_level"].upper()),
        Era.__members__.get(cells["province_era"].upper()),
    )
    parent = cells.get("parent", "").removeprefix("organizations/").upper() or None
    capabilities = sorted({one.strip().upper() for one in cells.get("capabilities", "").split(_SEPARATOR)} - {""})
    name, contact = written(cells["display_name"]), cells.get("contact", "")
    rules = (
        ("code", "FACILITY_CODE_INVALID", facility_code(code)),
        ("display_name", "LENGTH", 1 <= len(name) <= NAME_LENGTH),
        ("care_level", "CARE_LEVEL_UNKNOWN", level is not None),
        ("province_era", "ERA_UNKNOWN", era is not None),
        ("province_code", "PROVINCE_UNKNOWN", era is None or known(Area(cells["province_code"], era))),
        ("parent", "FACILITY_CODE_INVALID", parent is None or facility_code(parent)),
        ("parent", IS_SELF, parent is None or parent != code),
        ("capabilities", "COUNT", len(capabilities) <= MAX_CAPABILITIES),
        ("capabilities", "CAPABILITY_INVALID", all(map(capability, capabilities))),
        ("contact", "LENGTH", len(contact) <= CONTACT_LENGTH),
    )
    faults = [RowError(line, column, reason) for column, reason, holds in rules if not holds]
    if faults or level is None or era is None:
        return None, faults
    draft = Organization(
        code=code,
        display_name=name,
        care_level=level,
        province=Area(cells["province_code"], era),
        parent=parent,
        state=OrganizationState.ACTIVE,
        created_at=now,
        capabilities=tuple(capabilities),
        contact=contact,
    )
    return Listed(line, draft), []
