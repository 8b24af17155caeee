"""Sensitive classes of each document."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the column. What was stored before is labelled by its HIV table; its codes are sealed."""
    op.add_column("document", sa.Column("classes", ARRAY(sa.String(16)), nullable=False, server_default="{}"))
    op.execute("UPDATE document SET classes = '{HIV}' WHERE 'HIV_CARE' = ANY(kinds)")
