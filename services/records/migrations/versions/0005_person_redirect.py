"""Who answers for whom, followed from the person index."""

from __future__ import annotations

from alembic import op

from services.chassis.feed import create_feed

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes the tables."""
    create_feed(op)
