"""Submissions with what became of them, documents, evidence, the health book, the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.chassis.migrations import grant
from services.chassis.outbox import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
ACCEPTED, REFUSED = sa.text("rejection = ''"), sa.text("rejection <> ''")


def upgrade() -> None:
    """Makes the tables. Only counter, progress and outbox may be changed by the application; nothing but the outbox may
    be deleted.
    """
    create_outbox(op)
    op.create_table(
        "facility_counter",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
    )
    _submissions()
    _contents()
    _documents()
    grant(op, "SELECT, INSERT, UPDATE", "facility_counter", "progress")
    grant(op, "SELECT, INSERT", "submission", "state_change", "document_body", "evidence", "document", "health_book")


def _submissions() -> None:
    op.create_table(
        "submission",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("document_id", sa.String(128), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("rejection", sa.String(64), nullable=False, server_default=""),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("stored_at", TIME, nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("(rejection = '') = (sequence IS NOT NULL)", name="numbered_when_accepted"),
    )
    op.create_index(
        "uq_submission_key", "submission", ["facility_id", "document_id"], unique=True, postgresql_where=ACCEPTED
    )
    op.create_index(
        "uq_submission_sequence", "submission", ["facility_id", "sequence"], unique=True, postgresql_where=ACCEPTED
    )
    op.create_index(
        "ix_submission_refused",
        "submission",
        ["facility_id", "document_id", "content_sha256"],
        postgresql_where=REFUSED,
    )
    op.create_table(
        "progress",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("submission_id", UUID, primary_key=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("leaf_index", sa.BigInteger),
        sa.Column("tlog_proof", sa.LargeBinary),
    )
    op.create_index(
        "ix_progress_unproven",
        "progress",
        ["leaf_index"],
        postgresql_where=sa.text("leaf_index IS NOT NULL AND tlog_proof IS NULL"),
    )
    op.create_table(
        "state_change",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("submission_id", UUID, primary_key=True),
        sa.Column("state", sa.SmallInteger, primary_key=True),
        sa.Column("destination", sa.String(32), primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("reason", sa.String(100), nullable=False),
    )


def _contents() -> None:
    for table, id in (("document_body", "id"), ("evidence", "submission_id")):
        op.create_table(
            table,
            sa.Column("facility_id", sa.String(5), primary_key=True),
            sa.Column(id, UUID, primary_key=True),
            sa.Column("content_sealed", sa.LargeBinary, nullable=False),
            sa.Column("signatures_sealed", sa.LargeBinary),
        )
        # Sealed bytes do not compress; do not try.
        op.execute(f"ALTER TABLE {table} ALTER COLUMN content_sealed SET STORAGE EXTERNAL")


def _documents() -> None:
    op.create_table(
        "document",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("facility_id", sa.String(5), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("kinds", ARRAY(sa.String(32)), nullable=False),
        sa.Column("care_start", TIME, nullable=False),
        sa.Column("care_end", TIME, nullable=False),
        sa.Column("content_sha256", sa.LargeBinary, nullable=False),
        sa.Column("content_size", sa.BigInteger, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
    )
    op.create_index(
        "ix_document_person_id_care_end", "document", ["person_id", sa.text("care_end DESC"), sa.text("id DESC")]
    )
    op.create_index("ix_document_id", "document", ["id"])
    op.create_index("ix_document_person_id_facility_id", "document", ["person_id", "facility_id"])
    op.create_table(
        "health_book",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("document_id", UUID, primary_key=True),
        sa.Column("parts", sa.LargeBinary, nullable=False),
    )
    op.execute("ALTER TABLE health_book ALTER COLUMN parts SET STORAGE EXTERNAL")
