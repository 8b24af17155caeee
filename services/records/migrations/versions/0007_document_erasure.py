"""Erasures of documents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Makes the table; the application may now empty what is sealed, and nothing else of a document."""
    op.create_table(
        "document_erasure",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("document_id", UUID, primary_key=True),
        sa.Column("subject_request_id", UUID, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    grant(op, "SELECT, INSERT", "document_erasure")
    grant(op, "UPDATE (content_sealed, signatures_sealed)", "document_body")
    grant(op, "DELETE", "health_book")
