"""Notices to citizens and their delivery; who opened, confirmed, widened, ended and reviewed emergency accesses, and how they were authenticated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes the columns and tables."""
    time = sa.DateTime(timezone=True)
    for table in ("emergency_access", "emergency_access_event"):
        for column in ("actor", "acr"):
            op.add_column(table, sa.Column(column, sa.String(200), nullable=False, server_default=""))
    op.create_table(
        "notice",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("type", sa.String(48), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("created_at", time, nullable=False),
    )
    op.create_index("ix_notice_created_at", "notice", ["person_id", "created_at", "id"])
    op.create_table(
        "notice_delivery",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("notice_id", UUID, primary_key=True),
        sa.Column("recipient_id", UUID, primary_key=True),
        sa.Column("due_at", time, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_reason", sa.String(64), nullable=False, server_default=""),
        sa.Column("delivered_at", time),
    )
    op.create_index(
        "ix_notice_delivery_due_at", "notice_delivery", ["due_at"], postgresql_where=sa.text("delivered_at IS NULL")
    )
    # That somebody was to be told is never changed or removed; only what became of the telling.
    grant(op, "SELECT, INSERT", "notice")
    grant(op, "SELECT, INSERT, UPDATE", "notice_delivery")
