"""The stores of the signing role on PostgreSQL."""

from __future__ import annotations

from services.signing.postgres.checkpoints import PostgresCheckpointStore
from services.signing.postgres.evidence import PostgresEvidenceStore
from services.signing.postgres.log import PostgresLogStore
from services.signing.postgres.trust import PostgresTrustStore

__all__ = ["PostgresCheckpointStore", "PostgresEvidenceStore", "PostgresLogStore", "PostgresTrustStore"]
