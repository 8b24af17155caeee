"""`Store` on PostgreSQL."""

from __future__ import annotations

from services.consent.postgres.decisions import DecisionTables
from services.consent.postgres.ledger import LedgerTables


class PostgresStore(DecisionTables, LedgerTables):
    """Consents, requests, decisions and the ledger."""
