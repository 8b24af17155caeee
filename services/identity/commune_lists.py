"""Makes the lists of communes that ship from a public table of what became what.

    python -m services.identity.commune_lists PRESENT.csv FORMER.csv --source "who published it, when, under which licence" [--into DIRECTORY]

`PRESENT.csv` has the columns `code,province_code`: every commune in force and its province of the 34-list. `FORMER.csv` has
`code,province_code,successor`: a commune of the former list, its province of the 63-list and a commune in force that it became part of, one row for each
where it was divided. Written are `wards_34.csv` and `wards_63.csv`, sorted; a commune that was divided gets no successor, because which part somebody lives
in is not known: absent, never wrong. Bad rows are told by line and reason, and then nothing is written. New lists have a new `areas.AREAS_VERSION`.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.identity.areas import known, present_code
from services.identity.model import Area, Era

DATA = Path(__file__).parent / "data"
_CODE = re.compile(r"[0-9]{5}")
_COLUMNS = {"present": ("code", "province_code"), "former": ("code", "province_code", "successor")}


@dataclass(frozen=True)
class Fault:
    """A row that cannot be taken: its line in the file, and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class CommuneLists:
    """`present`: commune in force to province of the 34-list; `former`: commune of before to its province of the 63-list and its successor, ''
    where it was divided.
    """

    present: dict[str, str]
    former: dict[str, tuple[str, str]]


def read(present: Path, former: Path) -> tuple[CommuneLists, list[Fault]]:
    """The lists of two tables, and the faults of their rows."""
    faults: list[Fault] = []
    communes: dict[str, str] = {}
    for line, row in _rows(present, "present", faults):
        code, province = row["code"], row["province_code"]
        if not known(Area(province, Era.PROVINCES_34)):
            faults.append(Fault("present", line, "PROVINCE_UNKNOWN"))
        elif communes.setdefault(code, province) != province:
            faults.append(Fault("present", line, "COMMUNE_TWICE"))
    provinces: dict[str, str] = {}
    successors: dict[str, set[str]] = {}
    for line, row in _rows(former, "former", faults):
        code, province, successor = row["code"], row["province_code"], row["successor"]
        area = Area(province, Era.PROVINCES_63)
        if not known(area):
            faults.append(Fault("former", line, "PROVINCE_UNKNOWN"))
        elif provinces.setdefault(code, province) != province:
            faults.append(Fault("former", line, "COMMUNE_TWICE"))
        elif successor and successor not in communes:
            faults.append(Fault("former", line, "SUCCESSOR_UNKNOWN"))
        elif successor and communes[successor] != present_code(area):
            faults.append(Fault("former", line, "SUCCESSOR_IN_ANOTHER_PROVINCE"))
        else:
            successors.setdefault(code, set()).add(successor)
    # An empty successor among others says that a part went where no table tells.
    became = {code: (provinces[code], next(iter(to)) if len(to) == 1 else "") for code, to in successors.items()}
    return CommuneLists(communes, became), faults


def _rows(path: Path, file: str, faults: list[Fault]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with their line, which have the columns and a code of five digits."""
    columns = _COLUMNS[file]
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    head = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    reader = csv.DictReader(lines[head:])
    if not set(columns) <= set(reader.fieldnames or ()):
        faults.append(Fault(file, head + 1, "COLUMN_MISSING"))
        return
    for raw in reader:
        row = {column: (raw[column] or "").strip() for column in columns}
        if not _CODE.fullmatch(row["code"]):
            faults.append(Fault(file, head + reader.line_num, "CODE_MALFORMED"))
            continue
        yield head + reader.line_num, row


def write(lists: CommuneLists, into: Path, source: str) -> None:
    """Writes both files into a directory, with where they come from."""
    head = f"# {source}\n# Made by services.identity.commune_lists.\n"
    present = "".join(f"{code},{province}\n" for code, province in sorted(lists.present.items()))
    former = "".join(f"{code},{province},{to}\n" for code, (province, to) in sorted(lists.former.items()))
    (into / "wards_34.csv").write_text(f"{head}{','.join(_COLUMNS['present'])}\n{present}", encoding="utf-8")
    (into / "wards_63.csv").write_text(f"{head}{','.join(_COLUMNS['former'])}\n{former}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when the lists were written, 1 when rows were bad."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("present", type=Path)
    parser.add_argument("former", type=Path)
    parser.add_argument("--source", required=True)
    parser.add_argument("--into", type=Path, default=DATA)
    options = parser.parse_args(arguments)
    lists, faults = read(options.present, options.former)
    for fault in faults:
        sys.stderr.write(f"{fault.file}:{fault.line}: {fault.reason}\n")
    if faults:
        return 1
    write(lists, options.into, options.source)
    divided = sum(not to for _, to in lists.former.values())
    sys.stdout.write(f"{len(lists.present)} communes, {len(lists.former)} of before, {divided} of them divided\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
