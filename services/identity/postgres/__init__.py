"""The store port on PostgreSQL: the only place of the role that knows SQL, sealing and blind indexes."""

from __future__ import annotations

from services.identity.postgres.changes import PostgresFeed
from services.identity.postgres.registry_pages import PostgresRegistryPages
from services.identity.postgres.store import PostgresStore

__all__ = ["PostgresFeed", "PostgresRegistryPages", "PostgresStore"]
