"""Up to which entry the population was searched again, by version of model and normaliser."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "re_resolution",
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("last_person_id", UUID, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
    grant(op, "SELECT, INSERT, UPDATE", "re_resolution")
