"""Referrals and follow-up appointments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.chassis.migrations import grant

revision = "0001"
down_revision = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "imported_event",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("event_id", UUID, primary_key=True),
        sa.Column("imported_at", time, nullable=False),
    )
    op.create_table(
        "referral",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("number", sa.String(50), nullable=False),
        sa.Column("document_id", UUID, nullable=False),
        sa.Column("source", sa.String(5), nullable=False),
        sa.Column("target", sa.String(5), nullable=False),
        sa.Column("previous", ARRAY(sa.String(5)), nullable=False),
        sa.Column("reason_code", sa.String(4), nullable=False),
        sa.Column("signed_on", sa.Date, nullable=False),
        sa.Column("valid_through", sa.Date, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("content_sealed", sa.LargeBinary, nullable=False),
        sa.Column("accepted_at", time),
        sa.Column("arrived_at", time),
        sa.Column("accept_request", sa.String(36), nullable=False, server_default=""),
        sa.Column("arrive_request", sa.String(36), nullable=False, server_default=""),
    )
    op.create_index("ix_referral_id", "referral", ["id"])
    op.create_index("ix_referral_target", "referral", ["target", "id"])
    op.create_index("ix_referral_source", "referral", ["source", "id"])
    op.create_table(
        "appointment",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("number", sa.String(50), nullable=False),
        sa.Column("document_id", UUID, nullable=False),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_index("ix_appointment_id", "appointment", ["id"])
    op.create_index("ix_appointment_organization", "appointment", ["organization", "day", "id"])
    op.create_index("ix_appointment_person", "appointment", ["person_id", "day", "id"])
    grant(op, "SELECT, INSERT", "imported_event", "appointment")
    grant(op, "SELECT, INSERT, UPDATE", "referral")
