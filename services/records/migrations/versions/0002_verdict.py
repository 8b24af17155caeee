"""Verdicts after the first, what is to be judged again, who signed what, and who was given what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Verdicts and signers are written once; what is due is a queue, and a disclosure keeps its last time."""
    op.create_table(
        "verdict",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("submission_id", UUID, primary_key=True),
        sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("occasion", sa.String(32), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("verdict", sa.LargeBinary, nullable=False),
    )
    op.execute("ALTER TABLE verdict ALTER COLUMN verdict SET STORAGE EXTERNAL")
    op.create_table(
        "judgement_due",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("submission_id", UUID, primary_key=True),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("occasion", sa.String(32), nullable=False),
        sa.Column("attempts", sa.SmallInteger, nullable=False),
    )
    op.create_index("ix_judgement_due_due_at", "judgement_due", ["due_at"])
    op.create_table(
        "signer",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("submission_id", UUID, primary_key=True),
        sa.Column("certificate_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("proven_at", TIME),
    )
    op.create_index("ix_signer_certificate_sha256", "signer", ["certificate_sha256", "received_at", "submission_id"])
    op.create_table(
        "disclosure",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("document_id", UUID, primary_key=True),
        sa.Column("reader", sa.String(5), primary_key=True),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
    )
    op.create_table(
        "key_compromise",
        sa.Column("certificate_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("since", TIME, primary_key=True),
        sa.Column("noticed_at", TIME, nullable=False),
    )
    grant(op, "SELECT, INSERT", "verdict", "signer", "key_compromise")
    grant(op, "SELECT, INSERT, UPDATE", "disclosure")
    grant(op, "SELECT, INSERT, UPDATE, DELETE", "judgement_due")
