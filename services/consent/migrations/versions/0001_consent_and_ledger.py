"""Consents, requests, decisions and the access ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.chassis.migrations import grant

revision = "0001"
down_revision = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "consent",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("kinds", ARRAY(sa.String(32)), nullable=False),
        sa.Column("data_start", time),
        sa.Column("data_end", time),
        sa.Column("duration_seconds", sa.BigInteger, nullable=False),
        sa.Column("organization", sa.String(5)),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("text_version", sa.String(32), nullable=False),
        sa.Column("text_sha256", sa.String(64), nullable=False),
        sa.Column("assertion_sealed", sa.LargeBinary),
        sa.Column("acr", sa.String(128), nullable=False),
        sa.Column("request_id", UUID),
        sa.Column("granted_at", time, nullable=False),
    )
    op.create_index("ix_consent_id", "consent", ["id"])
    op.create_table(
        "consent_event",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("consent_id", UUID, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("at", time, nullable=False),
    )
    op.create_table(
        "consent_request",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("terms", JSONB, nullable=False),
        sa.Column("binding_message", sa.String(32), nullable=False),
        sa.Column("app_request_sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.Column("answer", sa.String(16)),
        sa.Column("answered_at", time),
        sa.Column("consent_id", UUID),
        sa.Column("next_poll_at", time, nullable=False),
    )
    op.create_index("ix_consent_request_id", "consent_request", ["id"])
    op.create_index(
        "ix_consent_request_due", "consent_request", ["next_poll_at"], postgresql_where=sa.text("answer IS NULL")
    )
    op.create_table(
        "decision",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("decided_at", time, nullable=False),
    )
    op.create_index("ix_decision_id", "decision", ["id"])
    op.create_table(
        "access_entry",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", UUID, nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("licence", sa.String(50), nullable=False),
        sa.Column("principal_kind", sa.String(16), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("basis", sa.String(32), nullable=False),
        sa.Column("kinds", ARRAY(sa.String(32)), nullable=False),
        sa.Column("method", sa.String(200), nullable=False),
        sa.Column("decision_id", UUID, nullable=False),
        sa.Column("effect", sa.String(16), nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_head",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    # What was agreed, withdrawn, decided or seen is never changed or removed by the application.
    grant(op, "SELECT, INSERT", "consent", "consent_event", "decision", "access_entry")
    grant(op, "SELECT, INSERT, UPDATE", "consent_request", "ledger_head")
