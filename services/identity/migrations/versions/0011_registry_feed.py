"""By which transaction facilities and licences were last written, for those who follow the registries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds the columns; what is there counts as written now."""
    for table, key in (("organization", "code"), ("practitioner", "licence")):
        op.add_column(
            table,
            sa.Column(
                "xid", sa.BigInteger, nullable=False, server_default=sa.text("(pg_current_xact_id()::text)::bigint")
            ),
        )
        op.add_column(
            table,
            sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        )
        op.create_index(f"ix_{table}_xid", table, ["xid", key])
