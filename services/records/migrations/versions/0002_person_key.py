"""Keys of persons, under which their data are sealed."""

from __future__ import annotations

from alembic import op

from services.chassis.keyring import create_person_key

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table."""
    create_person_key(op)
