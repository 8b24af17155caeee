"""Who answers for whom, followed from the person index; ledgers of several entries are read together, by time."""

from __future__ import annotations

from alembic import op

from services.chassis.feed import create_feed

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the tables."""
    create_feed(op)
    op.create_index("ix_access_entry_person_id_at", "access_entry", ["person_id", "at", "sequence"])
