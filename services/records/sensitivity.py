"""Which care is of a sensitive class: by the ICD-10 codes of a document, and by the HIV table. The codes are a versioned data file.

A document is labelled as a whole: a code anywhere in an episode tells what its drugs, services and results are for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from enum import Enum
from functools import cache
from pathlib import Path

from services.records.formats.document import ContentKind

_FILE = Path(__file__).parent / "data" / "sensitive-codes-2026-11.toml"
_CATEGORY = 3


class SensitivityClass(Enum):
    """Classes of care that need a permission of their own, as `lienthong.type.v1.SensitivityClass`."""

    HIV = "HIV"
    PSYCHIATRIC = "PSYCHIATRIC"
    REPRODUCTIVE = "REPRODUCTIVE"


EVERY_CLASS = frozenset(SensitivityClass)


@cache
def _codes() -> tuple[tuple[SensitivityClass, str, str], ...]:
    """First and last of each span of codes; as long as they are compared."""
    raw = tomllib.loads(_FILE.read_text("utf-8"))
    return tuple((SensitivityClass(name), *_span(span)) for name, spans in raw["class"].items() for span in spans)


def _span(span: str) -> tuple[str, str]:
    first, _, last = span.partition("-")
    return _plain(first), _plain(last or first)


def _plain(code: str) -> str:
    return code.strip().upper().replace(".", "")


def classes_of(codes: Iterable[str], kinds: Iterable[ContentKind]) -> frozenset[SensitivityClass]:
    """The classes of a document with these ICD-10 codes (with or without the point) and these kinds of content."""
    found = {SensitivityClass.HIV} if ContentKind.HIV_CARE in kinds else set()
    for code in {_plain(one) for one in codes}:
        found |= {
            name for name, first, last in _codes() if len(code) >= _CATEGORY and first <= code[: len(first)] <= last
        }
    return frozenset(found)
