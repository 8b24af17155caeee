"""`Store` on PostgreSQL."""

from __future__ import annotations

from services.consent.postgres.anchors import AnchorTables
from services.consent.postgres.breaches import BreachTables
from services.consent.postgres.decisions import DecisionTables
from services.consent.postgres.emergency import EmergencyTables
from services.consent.postgres.emergency_counts import EmergencyCounts
from services.consent.postgres.guardians import GuardianTables
from services.consent.postgres.ledger import LedgerTables
from services.consent.postgres.papers import PaperTables
from services.consent.postgres.relations import RelationTables
from services.consent.postgres.subjects import SubjectTables


class PostgresStore(
    DecisionTables,
    LedgerTables,
    AnchorTables,
    EmergencyTables,
    EmergencyCounts,
    RelationTables,
    GuardianTables,
    SubjectTables,
    PaperTables,
    BreachTables,
):
    """All that the role keeps."""
