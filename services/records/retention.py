"""How long the law keeps a document, from `data/retention-2026-11.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from services.records.formats.document import ContentKind
from services.records.sensitivity import SensitivityClass

_FILE = Path(__file__).parent / "data" / "retention-2026-11.toml"


@dataclass(frozen=True)
class Retention:
    """Years by kind of content and by sensitive class; `years` is for what neither names."""

    version: str
    article: str
    years: int
    kinds: Mapping[ContentKind, int]
    classes: Mapping[SensitivityClass, int]

    def until(self, kinds: Iterable[ContentKind], classes: Iterable[SensitivityClass], care_end: datetime) -> datetime:
        """From when on a document may be destroyed: the longest of the terms of all that is in it."""
        terms = [self.kinds.get(kind, self.years) for kind in kinds] or [self.years]
        longest = max([*terms, *(self.classes.get(one, 0) for one in classes)])
        try:
            return care_end.replace(year=care_end.year + longest)
        except ValueError:
            return care_end.replace(year=care_end.year + longest, month=3, day=1)


def retention_from(path: Path) -> Retention:
    """Reads a file; ValueError where a kind or class is unknown or named twice, or a term is not positive."""
    raw = tomllib.loads(path.read_text("utf-8"))
    kinds = [(ContentKind(kind), rule["years"]) for rule in raw["rule"] for kind in rule["kinds"]]
    classes = [(SensitivityClass(one["name"]), one["years"]) for one in raw["class"]]
    if len(dict(kinds)) != len(kinds) or len(dict(classes)) != len(classes):
        raise ValueError("a kind or class is named twice")
    if min(raw["years"], *(years for _, years in [*kinds, *classes])) < 1:
        raise ValueError("a term is not positive")
    return Retention(raw["version"], raw["article"], raw["years"], dict(kinds), dict(classes))


@lru_cache(maxsize=1)
def retention() -> Retention:
    """The terms of this release."""
    return retention_from(_FILE)
