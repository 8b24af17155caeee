"""Names of source records, and the right to move one to another entry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Every source record gets a name; stewards move records, and seal what was said under the other person's key."""
    op.add_column("source_record", sa.Column("id", UUID, nullable=False, server_default=sa.text("gen_random_uuid()")))
    op.drop_index("ix_source_record_person_id")
    op.create_index("ix_source_record_person_id", "source_record", ["person_id", "filed_at", "id"])
    op.create_index("ix_source_record_id", "source_record", ["id"])
    grant(op, "UPDATE (person_id, said_sealed)", "source_record")
