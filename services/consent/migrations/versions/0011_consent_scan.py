"""Scans of consents that were signed on paper."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "consent_scan",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("scan_sealed", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )
    grant(op, "SELECT, INSERT", "consent_scan")
