"""Cases as data: what was written, what comes out of it, and by which rule."""

from __future__ import annotations

import csv
import re
from pathlib import Path

_CASES = Path(__file__).parent / "cases"
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")


def cases(name: str) -> list[dict[str, str]]:
    """Rows of a file of cases; `\\u200b` in `raw` stands for a character that could not be seen there."""
    with (_CASES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["raw"] = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), row.get("raw", ""))
    return rows


def label(row: dict[str, str]) -> str:
    """What a case is called in a test's name."""
    return f"{row['raw'][:30]!a}: {row['why']}"
