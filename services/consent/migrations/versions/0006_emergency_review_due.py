"""Emergency accesses that nobody has reviewed, as a list of their own: what is to be done does not cost more with every year of history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the table and fills it."""
    op.create_table(
        "emergency_review_due",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("access_id", UUID, primary_key=True),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_emergency_review_due_opened_at", "emergency_review_due", ["opened_at", "access_id"])
    op.execute(
        "INSERT INTO emergency_review_due (person_id, access_id, organization, opened_at)"
        " SELECT a.person_id, a.id, a.organization, a.opened_at FROM emergency_access AS a WHERE NOT EXISTS ("
        "SELECT 1 FROM emergency_access_event AS r WHERE r.person_id = a.person_id AND r.access_id = a.id AND r.type = 'REVIEWED')"
    )
    grant(op, "SELECT, INSERT, DELETE", "emergency_review_due")
