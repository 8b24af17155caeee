"""What the normaliser makes of all cases, pinned to its version: `python -m tests.unit.identity.normalise.outcomes` writes `cases/outcomes.json`.

An outcome that changed is written only under a new `NORMALISER_VERSION`, because keys that are stored say with which version they were made; new cases
are added to any.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from services.identity.normalise import NORMALISER_VERSION
from services.identity.normalise.dates import birth_date
from services.identity.normalise.names import name
from services.identity.normalise.phones import phone
from services.identity.normalise.phonetics import phonetic
from tests.unit.identity.normalise import test_area_cases, test_date_cases, test_name_cases
from tests.unit.identity.normalise.cases import cases

FILE = Path(__file__).parent / "cases" / "outcomes.json"


def outcomes() -> dict[str, str]:
    """Digest of what goes in to digest of what comes out, over every file of cases."""
    found: dict[str, str] = {}
    for row in cases("names"):
        read = name(row["raw"])
        keys = " ".join(one.phonetic for one in read.tokens)
        found[_digest("name", row["raw"])] = _digest(
            test_name_cases.said(read), " ".join(read.plain), keys, f"{read.marks} {read.newborn} {read.foreign}"
        )
    for row in cases("sounds"):
        for side in (row["left"], row["right"]):
            found[_digest("sound", side)] = _digest(phonetic(side))
    for row in cases("phones"):
        found[_digest("phone", row["raw"])] = _digest(phone(row["raw"]) or "")
    for row in cases("dates"):
        read_date = birth_date(row["raw"], test_date_cases.TODAY)
        found[_digest("date", row["raw"])] = _digest(test_date_cases.said(read_date))
    for row in cases("areas"):
        found[_digest(*(row[column] for column in ("what", "raw", "era", "day", "ward")))] = _digest(
            test_area_cases.said(row)
        )
    return found


def pinned() -> tuple[str, dict[str, str]]:
    """The version that the file was written with, and its outcomes."""
    read = json.loads(FILE.read_text(encoding="utf-8"))
    return read["normaliser"], read["outcomes"]


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Cases whose outcome is another."""
    return [case for case, outcome in after.items() if before.get(case, outcome) != outcome]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def main() -> None:
    """Writes the file, unless an outcome changed and the version did not."""
    after = outcomes()
    if FILE.exists():
        version, before = pinned()
        if version == NORMALISER_VERSION and (different := changed(before, after)):
            raise SystemExit(f"{len(different)} outcomes changed: NORMALISER_VERSION needs a new name")
    document = {"normaliser": NORMALISER_VERSION, "outcomes": dict(sorted(after.items()))}
    FILE.write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
