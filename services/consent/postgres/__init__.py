"""The store of the consent role on PostgreSQL."""

from __future__ import annotations

from services.consent.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
