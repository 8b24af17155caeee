"""Keys of persons, under which their documents are sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.keyring import create_person_key

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the table, and says of each body under whose key it is. Nothing is stored anywhere yet that would have to be sealed anew."""
    create_person_key(op)
    op.add_column("document_body", sa.Column("person_id", UUID, nullable=False))
