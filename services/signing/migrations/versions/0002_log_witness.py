"""What outsiders say of the log's checkpoints: cosignatures of witnesses and RFC 3161 time-stamps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.chassis.migrations import grant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "log_cosignature",
        sa.Column("size", sa.BigInteger, sa.ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False),
        sa.Column("witness", sa.String, primary_key=True),
        sa.Column("line", sa.String, nullable=False),
        sa.Column("seen_at", time, nullable=False),
    )
    op.create_table(
        "log_witnessed",
        sa.Column("size", sa.BigInteger, sa.ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False),
        sa.Column("witnessed_at", time, nullable=False),
    )
    op.create_table(
        "log_timestamp",
        sa.Column("size", sa.BigInteger, sa.ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False),
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.Column("stated_at", time, nullable=False),
    )
    grant(op, "SELECT, INSERT", "log_cosignature", "log_witnessed", "log_timestamp")
