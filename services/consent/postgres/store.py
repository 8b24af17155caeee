"""`Store` on PostgreSQL."""

from __future__ import annotations

from services.consent.postgres.decisions import DecisionTables
from services.consent.postgres.emergency import EmergencyTables
from services.consent.postgres.emergency_counts import EmergencyCounts
from services.consent.postgres.ledger import LedgerTables


class PostgresStore(DecisionTables, LedgerTables, EmergencyTables, EmergencyCounts):
    """Consents, requests, decisions, the ledger, emergency accesses and notices."""
