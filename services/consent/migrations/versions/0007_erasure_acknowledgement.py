"""What recipients say of the erasure of what they were given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "erasure_acknowledgement",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("consent_id", UUID, primary_key=True),
        sa.Column("organization", sa.String(5), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("licence", sa.String(50), nullable=False),
        sa.Column("retained_under", sa.String(200), nullable=False),
    )
    grant(op, "SELECT, INSERT", "erasure_acknowledgement")
