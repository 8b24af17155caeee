"""Links of entries, refusals, review tasks, and the feed of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from services.chassis.migrations import grant

revision = "0004"
down_revision = "0003"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables; the history of links can be added to and read, never changed."""
    op.create_table(
        "link_event",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("target_id", UUID, nullable=False),
        sa.Column("link_id", UUID),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("detail", JSONB, nullable=False),
    )
    op.create_index("ix_link_event_target_id", "link_event", ["target_id"])
    op.create_index("ix_link_event_link_id", "link_event", ["link_id"])
    op.create_table(
        "person_link",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("target_id", UUID, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("evidence", sa.String(24)),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("second_actor", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("ix_person_link_id", "person_link", ["id"])
    op.create_index("ix_person_link_target_id", "person_link", ["target_id"])
    op.create_index(
        "uq_person_link_active", "person_link", ["person_id"], unique=True, postgresql_where=sa.text("state = 'ACTIVE'")
    )
    op.create_table(
        "person_redirect",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("current_id", UUID, nullable=False),
        sa.CheckConstraint("person_id <> current_id", name="no_loop"),
    )
    op.create_index("ix_person_redirect_current_id", "person_redirect", ["current_id"])
    op.create_table(
        "person_refusal",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("other_id", UUID, primary_key=True),
        sa.Column("event_id", UUID, nullable=False),
        sa.CheckConstraint("person_id < other_id", name="order"),
    )
    op.create_index("ix_person_refusal_other_id", "person_refusal", ["other_id"])
    _review_task()
    op.create_table(
        "person_change",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("xid", sa.BigInteger, nullable=False, server_default=sa.text("(pg_current_xact_id()::text)::bigint")),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("current_id", UUID, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("source_record", sa.String(128), nullable=False),
        sa.Column("former_id", UUID),
    )
    op.create_index("ix_person_change_xid", "person_change", ["xid", "id"])
    op.create_index("ix_person_change_at", "person_change", ["at"])
    grant(op, "SELECT, INSERT", "link_event")
    # The feed is pruned after the days that a cursor stays valid.
    grant(op, "SELECT, INSERT, DELETE", "person_change")
    grant(op, "SELECT, INSERT, UPDATE", "person_link", "review_task")
    grant(op, "SELECT, INSERT, UPDATE, DELETE", "person_redirect", "person_refusal")


def _review_task() -> None:
    op.create_table(
        "review_task",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("facility_id", sa.String(5), nullable=False),
        sa.Column("candidates", JSONB, nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("documents_waiting", sa.Integer, nullable=False),
        sa.Column("double_review", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("claimed_by", sa.String(128)),
        sa.Column("claim_ends_at", TIME),
        sa.Column("decisions", JSONB, nullable=False),
        sa.Column("decided_at", TIME),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("ix_review_task_id", "review_task", ["id"])
    op.create_index(
        "ix_review_task_waiting",
        "review_task",
        ["state", sa.text("documents_waiting DESC"), "created_at", "id"],
        postgresql_where=sa.text("state <> 'DECIDED'"),
    )
    op.create_index(
        "uq_review_task_open",
        "review_task",
        ["person_id", "reason"],
        unique=True,
        postgresql_where=sa.text("state IN ('OPEN', 'CLAIMED')"),
    )
