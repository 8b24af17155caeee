"""Block keys and features of entries, and loads of an existing population."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0008"
down_revision = "0007"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables. Entries that exist get their keys by the command `reindex`."""
    op.create_table(
        "block_key",
        sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("person_id", UUID, primary_key=True),
    )
    op.create_table(
        "person_feature",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("normaliser", sa.String(32), nullable=False),
        sa.Column("blind_version", sa.SmallInteger, nullable=False),
        sa.Column("block_keys", sa.LargeBinary, nullable=False),
        sa.Column("packed_sealed", sa.LargeBinary, nullable=False),
    )
    counts = ("parts", "entries", "created", "known", "rejected", "conflicts")
    op.create_table(
        "population_load",
        sa.Column("source", sa.String(40), primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
        sa.Column("last_part", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    )
    op.create_table(
        "population_load_error",
        sa.Column("source", sa.String(40), primary_key=True),
        sa.Column("row", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("field", sa.String(64), primary_key=True),
        sa.Column("reason", sa.String(64), primary_key=True),
    )
    grant(op, "SELECT, INSERT, DELETE", "block_key", "person_feature")
    grant(op, "UPDATE", "person_feature")
    grant(op, "SELECT, INSERT, UPDATE", "population_load")
    grant(op, "SELECT, INSERT", "population_load_error")
