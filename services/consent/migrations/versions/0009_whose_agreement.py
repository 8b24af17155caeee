"""Who is asked for a child, and whose agreement a request needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, UUID

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("consent_request", sa.Column("asked_id", UUID))
    op.add_column(
        "consent_request", sa.Column("required", ARRAY(sa.String(8)), nullable=False, server_default="{SELF}")
    )
    op.add_column("consent_request", sa.Column("ends_by", sa.DateTime(timezone=True)))
