"""What facilities can do and whom to call there, why one is suspended; periods and scope of licences; the history of both registers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.chassis.migrations import grant

revision = "0009"
down_revision = "0008"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds columns and the history."""
    op.add_column("organization", sa.Column("capabilities", ARRAY(sa.String(64)), nullable=False, server_default="{}"))
    op.add_column("organization", sa.Column("contact", sa.String(255), nullable=False, server_default=""))
    op.add_column("organization", sa.Column("suspension_reason", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_organization_parent_code", "organization", ["parent_code"])
    op.create_index("ix_organization_capabilities", "organization", ["capabilities"], postgresql_using="gin")
    op.add_column("practitioner", sa.Column("licence_from", TIME))
    op.add_column("practitioner", sa.Column("licence_until", TIME))
    op.add_column("practitioner", sa.Column("scope", sa.String(64), nullable=False, server_default=""))
    op.add_column("practitioner", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    for table, columns in (
        ("organization", ("capabilities", "contact", "suspension_reason")),
        ("practitioner", ("scope", "version")),
    ):
        for column in columns:
            op.alter_column(table, column, server_default=None)
    op.create_table(
        "registry_event",
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("detail", JSONB, nullable=False),
    )
    grant(op, "SELECT, INSERT", "registry_event")
    grant(op, "UPDATE", "practitioner")
