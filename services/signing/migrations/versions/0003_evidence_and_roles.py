"""Roles and purposes on the trust list, OCSP answers, evidence by hash, trusted lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.chassis.migrations import grant

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    for name, length, value in (("purpose", 16, "SIGNING"), ("revocation_list_uri", 512, ""), ("ocsp_uri", 512, "")):
        op.add_column("authority", sa.Column(name, sa.String(length), nullable=False, server_default=value))
        op.alter_column("authority", name, server_default=None)
    op.add_column("authority", sa.Column("sunset_at", time))
    for name, length, value in (("role", 16, "FACILITY"), ("licence", 64, "")):
        op.add_column("signer_certificate", sa.Column(name, sa.String(length), nullable=False, server_default=value))
        op.alter_column("signer_certificate", name, server_default=None)
    op.add_column("signer_certificate", sa.Column("suspended_at", time))
    op.add_column("signer_certificate", sa.Column("compromised_at", time))
    op.execute("UPDATE signer_certificate SET suspended_at = created_at WHERE state = 'SUSPENDED'")
    op.create_table(
        "evidence",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.add_column("revocation_list", sa.Column("sha256", sa.String(64), nullable=False, server_default=""))
    op.execute("UPDATE revocation_list SET sha256 = encode(sha256(der), 'hex')")
    op.execute(
        "INSERT INTO evidence (sha256, kind, content) SELECT sha256, 'REVOCATION_LIST', der FROM revocation_list"
    )
    op.alter_column("revocation_list", "sha256", server_default=None)
    op.drop_column("revocation_list", "der")
    op.create_table(
        "ocsp_answer",
        sa.Column("issuer", sa.String(64), primary_key=True),
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("this_update", time, nullable=False),
        sa.Column("next_update", time, nullable=False),
        sa.Column("revoked_at", time),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_table(
        "trust_list",
        sa.Column("territory", sa.String(16), primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("issued_at", time, nullable=False),
        sa.Column("next_update", time, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    grant(op, "SELECT, INSERT", "evidence")
    grant(op, "UPDATE", "authority", "revoked_certificate")
    grant(op, "SELECT, INSERT, UPDATE", "ocsp_answer", "trust_list")
