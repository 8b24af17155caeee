"""Lines that say who acted and on what, and their anchors in the transparency log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.chassis.migrations import grant

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Lines of before keep their form, 1; heads of before are anchored too."""
    op.add_column("access_entry", sa.Column("acting_person_id", UUID))
    op.add_column("access_entry", sa.Column("resources", ARRAY(sa.String(200)), nullable=False, server_default="{}"))
    op.add_column("access_entry", sa.Column("emergency_access_id", UUID))
    op.add_column(
        "access_entry", sa.Column("sensitive_classes", ARRAY(sa.String(16)), nullable=False, server_default="{}")
    )
    op.add_column("access_entry", sa.Column("form", sa.SmallInteger, nullable=False, server_default="1"))
    op.add_column("ledger_head", sa.Column("anchored_sequence", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index(
        "ix_ledger_head_unanchored", "ledger_head", ["person_id"], postgresql_where="sequence > anchored_sequence"
    )
    op.create_table(
        "ledger_anchor",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("anchor_entry_id", UUID, nullable=False),
        sa.Column("head_hash", sa.LargeBinary, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("leaf_index", sa.Integer, nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "anchor_entry",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("tree_size", sa.Integer, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("anchored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger),
        sa.Column("tlog_proof", sa.Text),
    )
    op.create_index("ix_anchor_entry_open", "anchor_entry", ["id"], postgresql_where="tlog_proof IS NULL")
    grant(op, "SELECT, INSERT", "ledger_anchor")
    grant(op, "SELECT, INSERT", "anchor_entry")
    grant(op, "UPDATE (log_index, tlog_proof)", "anchor_entry")
