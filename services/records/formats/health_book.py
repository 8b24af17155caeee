"""One visit of the health book (QĐ 31/QĐ-BYT of 06/01/2026, groups 3 and 4), as stored and served."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

# Raise on every change of the shape; older entries stay readable because every new member has a default.
LAYOUT = 1


@dataclass(frozen=True, slots=True, repr=False)
class DrugEntry:
    """A drug prescribed or dispensed (XML2); texts as the source has them."""

    code: str
    name: str
    strength: str = ""
    route: str = ""
    dosage: str = ""
    quantity: str = ""
    unit: str = ""
    directions: str = ""
    ordered_at: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ResultEntry:
    """A laboratory or imaging result (XML4)."""

    code: str
    name: str
    value: str = ""
    unit: str = ""
    description: str = ""
    conclusion: str = ""
    resulted_at: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False)
class SummaryEntry:
    """The record summary (XML8)."""

    course: str
    results: str
    treatment: str
    note: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class HealthBookEntry:
    """One visit. Codes are those of QĐ 130: care_form MA_LOAI_KCB, outcome KET_QUA_DTRI, end_type MA_LOAI_RV. Times
    are aware.
    """

    facility: str
    episode_key: str
    admitted: datetime | None
    discharged: datetime | None
    care_form: str
    reason: str
    admission_diagnosis: str
    diagnosis: str
    main_diagnosis: str
    secondary_diagnoses: tuple[str, ...]
    outcome: str
    end_type: str
    blood_group: str = ""
    weight_kg: str = ""
    treatment: str = ""
    advice: str = ""
    next_visit: str = ""
    department: str = ""
    doctors: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()
    drugs: tuple[DrugEntry, ...] = ()
    results: tuple[ResultEntry, ...] = ()
    summary: SummaryEntry | None = None

    def to_json(self) -> bytes:
        """Serialise as UTF-8 JSON with a layout number; times in RFC 3339."""
        return json.dumps(
            {"layout": LAYOUT, **asdict(self)}, ensure_ascii=False, separators=(",", ":"), default=_time_text
        ).encode()

    @classmethod
    def from_json(cls, content: bytes) -> HealthBookEntry:
        """Read what `to_json` wrote. Raises ValueError for a layout newer than this code."""
        members: dict[str, Any] = json.loads(content)
        layout = members.pop("layout", None)
        if not isinstance(layout, int) or layout > LAYOUT:
            raise ValueError(f"health book entry of layout {layout!r}; this code reads up to {LAYOUT}")
        for name in ("admitted", "discharged"):
            members[name] = _time(members[name])
        for name in ("secondary_diagnoses", "doctors", "procedures"):
            members[name] = tuple(members[name])
        members["drugs"] = tuple(
            DrugEntry(**{**drug, "ordered_at": _time(drug["ordered_at"])}) for drug in members["drugs"]
        )
        members["results"] = tuple(
            ResultEntry(**{**result, "resulted_at": _time(result["resulted_at"])}) for result in members["results"]
        )
        if members["summary"] is not None:
            members["summary"] = SummaryEntry(**members["summary"])
        return cls(**members)


def _time_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
