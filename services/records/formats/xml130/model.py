"""One episode of care as the tables tell it; re-exports the neutral facts it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.records.formats.document import (
    ContentKind,
    FollowUpSlip,
    IdentifierFact,
    IdentifierType,
    PatientFacts,
    QualityFinding,
    ReferralSlip,
)

__all__ = [
    "ContentKind",
    "Episode",
    "FollowUpSlip",
    "IdentifierFact",
    "IdentifierType",
    "PatientFacts",
    "QualityFinding",
    "ReferralSlip",
]


@dataclass(frozen=True, slots=True, repr=False)
class Episode:
    """(facility, episode_key) is the global key: nothing makes MA_LK unique across facilities. Codes are raw texts of
    QĐ 130.

    `rows` holds the tables present, in the envelope's order, each row as field -> stripped text.
    """

    facility: str
    episode_key: str
    version: str
    admitted: datetime | None
    discharged: datetime | None
    care_form: str
    end_type: str
    patient: PatientFacts
    main_diagnosis: str
    secondary_diagnoses: tuple[str, ...]
    kinds: tuple[ContentKind, ...]
    rows: Mapping[str, tuple[Mapping[str, str], ...]]
    referral: ReferralSlip | None = None
    follow_up: FollowUpSlip | None = None
    findings: tuple[QualityFinding, ...] = field(default=())

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables present, such as `XML1`."""
        return tuple(self.rows)

    @property
    def summary(self) -> Mapping[str, str]:
        """The row of XML1, or of XML0 in a check-in document."""
        return self.rows.get("XML1", self.rows.get("XML0", ({},)))[0]

    def row(self, table: str) -> Mapping[str, str]:
        """Return the first row of a table, empty when there is none."""
        found = self.rows.get(table, ())
        return found[0] if found else {}

    def __repr__(self) -> str:
        return f"Episode(facility={self.facility!r}, tables={self.tables!r})"
