"""Archive time-stamps over evidence packages, and until when each document is protected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """A renewal is written once."""
    op.create_table(
        "seal_renewal",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("document_id", UUID, primary_key=True),
        sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("renewed_at", TIME, nullable=False),
        sa.Column("protected_until", TIME, nullable=False),
        sa.Column("listing", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.add_column(
        "progress",
        sa.Column("protected_until", TIME, nullable=False, server_default=sa.text("now() + interval '1 year'")),
    )
    op.create_index(
        "ix_progress_protected_until",
        "progress",
        ["protected_until", "submission_id"],
        postgresql_where=sa.text("tlog_proof IS NOT NULL"),
    )
    grant(op, "SELECT, INSERT", "seal_renewal")
