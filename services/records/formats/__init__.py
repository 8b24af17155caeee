"""Formats that documents may arrive in, behind one port: an adapter types, checks and reads; it stores nothing and
knows no peer.
"""

from services.records.formats.document import (
    AreaEra,
    ContentKind,
    DocumentFormat,
    DocumentUnusable,
    FollowUpSlip,
    IdentifierFact,
    IdentifierType,
    ParsedDocument,
    PartialDate,
    PatientFacts,
    Precision,
    QualityFinding,
    ReferralSlip,
    Severity,
    format_of,
)
from services.records.formats.health_book import DrugEntry, HealthBookEntry, ResultEntry, SummaryEntry

__all__ = [
    "AreaEra",
    "ContentKind",
    "DocumentFormat",
    "DocumentUnusable",
    "DrugEntry",
    "FollowUpSlip",
    "HealthBookEntry",
    "IdentifierFact",
    "IdentifierType",
    "ParsedDocument",
    "PartialDate",
    "PatientFacts",
    "Precision",
    "QualityFinding",
    "ReferralSlip",
    "ResultEntry",
    "Severity",
    "SummaryEntry",
    "format_of",
]
