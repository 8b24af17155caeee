"""Which blind key an index is made by, so that it can be made anew under another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the versions; what is there was made under the first. The application gets no right to change an index: the command `reindex` works
    as the owner.
    """
    for table in ("person_identifier", "source_record"):
        op.add_column(table, sa.Column("blind_version", sa.SmallInteger, nullable=False, server_default="1"))
        op.alter_column(table, "blind_version", server_default=None)
