"""A counter, notes, first answers, the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.chassis.idempotency import create_requests
from services.chassis.migrations import grant
from services.chassis.outbox import create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "counter",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.CheckConstraint("value >= 0", name="not_negative"),
    )
    op.execute("INSERT INTO counter VALUES (1, 0), (2, 0)")
    op.create_table(
        "note", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String(100), nullable=False)
    )
    op.execute('GRANT USAGE ON SEQUENCE "note_id_seq" TO PUBLIC')
    create_requests(op)
    create_outbox(op)
    grant(op, "SELECT, INSERT", "note")
    grant(op, "SELECT, UPDATE", "counter")
    grant(op, "SELECT, INSERT, UPDATE, DELETE", "request")
