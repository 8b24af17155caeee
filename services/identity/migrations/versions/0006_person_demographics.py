"""What was said of a person, and when; numbers that are a person's no longer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the table, which can be added to and read. A number can end, and then is exclusive no more; nothing else of it can change."""
    op.create_table(
        "person_demographics",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("assurance", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
    )
    grant(op, "SELECT, INSERT", "person_demographics")
    grant(op, "UPDATE (valid_to)", "person_identifier")
    grant(op, "UPDATE (exclusive)", "identifier_lookup")
