"""Trust list and transparency log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.chassis.migrations import grant

revision = "0001"
down_revision = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "trust_state",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO trust_state (id, version) VALUES (1, 0)")
    op.create_table(
        "authority",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
    )
    op.create_table(
        "signer_certificate",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("facility", sa.String(5), nullable=False),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
    )
    op.create_index("ix_signer_certificate_facility", "signer_certificate", ["facility", "fingerprint"])
    op.create_table(
        "revocation_list",
        sa.Column("issuer", sa.String(64), primary_key=True),
        sa.Column("number", sa.String(40), nullable=False),
        sa.Column("this_update", time, nullable=False),
        sa.Column("next_update", time, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "revoked_certificate",
        sa.Column("issuer", sa.String(64), sa.ForeignKey("revocation_list.issuer"), primary_key=True),
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("revoked_at", time, nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("invalid_since", time),
    )
    op.create_table(
        "log_state", sa.Column("id", sa.Integer, primary_key=True), sa.Column("size", sa.BigInteger, nullable=False)
    )
    op.execute("INSERT INTO log_state (id, size) VALUES (1, 0)")
    op.create_table(
        "log_entry",
        sa.Column("leaf_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("entry", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_node",
        sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("published_at", time, nullable=False),
    )
    grant(op, "SELECT, UPDATE", "trust_state", "log_state")
    grant(op, "SELECT, INSERT", "authority", "log_entry", "log_node", "log_checkpoint")
    grant(op, "SELECT, INSERT, UPDATE", "signer_certificate", "revocation_list")
    grant(op, "SELECT, INSERT, DELETE", "revoked_certificate")
