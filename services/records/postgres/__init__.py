"""The store port on PostgreSQL: the only place of the role that knows SQL, compression and sealing."""

from services.records.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
