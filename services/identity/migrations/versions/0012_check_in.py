"""Check-ins, which show treatment for a day, and the outbox by which the role that decides hears of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant
from services.chassis.outbox import create_outbox

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "check_in",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_check_in_id", "check_in", ["id"])
    grant(op, "SELECT, INSERT, UPDATE", "check_in")
    create_outbox(op)
