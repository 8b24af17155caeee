"""Codes that answer a request: on the kiosk's screen, or by SMS."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.chassis.migrations import grant

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("consent_request", sa.Column("code_hash", sa.LargeBinary))
    op.add_column("consent_request", sa.Column("wrong_codes", sa.SmallInteger, nullable=False, server_default="0"))
    grant(op, "UPDATE (wrong_codes)", "consent_request")
