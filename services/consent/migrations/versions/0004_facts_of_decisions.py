"""What decisions rest on besides plain consents: terms in full, agreements, uses, treatment, registries, guardians, emergencies, restrictions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.chassis.migrations import grant

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes the columns and tables."""
    time = sa.DateTime(timezone=True)

    def text(name: str, size: int, default: str | None = "") -> sa.Column[str]:
        return sa.Column(name, sa.String(size), nullable=False, server_default=default)

    for column in (
        sa.Column("licence", sa.String(50)),
        sa.Column("organization_class", sa.String(16)),
        sa.Column("erase_after_seconds", sa.BigInteger),
        sa.Column("frequency_reads", sa.Integer),
        sa.Column("frequency_interval_seconds", sa.BigInteger),
        sa.Column("sensitive_classes", ARRAY(sa.String(16)), nullable=False, server_default="{}"),
        sa.Column("source", sa.String(5)),
        sa.Column("required", ARRAY(sa.String(8)), nullable=False, server_default="{SELF}"),
        text("granted_as", 8, "SELF"),
        sa.Column("granted_by", UUID),
        sa.Column("ends_by", time),
        text("witness_licence", 50),
    ):
        op.add_column("consent", column)
    for column in (
        sa.Column("actor_id", UUID),
        text("channel", 32),
        text("text_version", 32),
        text("text_sha256", 64),
        sa.Column("evidence_sealed", sa.LargeBinary),
        text("acr", 128),
        text("witness_licence", 50),
    ):
        op.add_column("consent_event", column)
    op.add_column("consent_request", text("channel", 32, "NATIONAL_ID_APP"))
    op.add_column("decision", sa.Column("emergency_access_id", UUID))
    op.create_index(
        "ix_decision_emergency_access",
        "decision",
        ["person_id", "emergency_access_id"],
        postgresql_where=sa.text("emergency_access_id IS NOT NULL"),
    )

    op.create_table(
        "consent_use",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("consent_id", UUID, primary_key=True),
        sa.Column("decision_id", UUID, primary_key=True),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("at", time, nullable=False),
    )
    op.create_index("ix_consent_use_at", "consent_use", ["person_id", "consent_id", "at"])
    op.create_table(
        "treatment_relation",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("starts_at", time),
        sa.Column("ends_at", time, nullable=False),
        sa.Column("recorded_at", time, nullable=False),
    )
    op.create_table(
        "registered_organization",
        sa.Column("organization", sa.String(5), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("care_level", sa.String(16), nullable=False),
        sa.Column("changed_at", time, nullable=False),
    )
    op.create_table(
        "registered_licence",
        sa.Column("licence", sa.String(50), primary_key=True),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("starts_at", time),
        sa.Column("ends_at", time),
        sa.Column("organizations", ARRAY(sa.String(5)), nullable=False),
        sa.Column("changed_at", time, nullable=False),
    )
    op.create_table(
        "guardianship",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("guardian_id", UUID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("starts_at", time),
        sa.Column("ends_at", time),
        sa.Column("evidence", sa.String(64), nullable=False),
        sa.Column("created_at", time, nullable=False),
    )
    op.create_index("ix_guardianship_id", "guardianship", ["id"])
    op.create_index("ix_guardianship_guardian", "guardianship", ["guardian_id", "id"])
    op.create_table(
        "guardianship_end",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("guardianship_id", UUID, primary_key=True),
        sa.Column("at", time, nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
    )
    op.create_table(
        "emergency_access",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("organization", sa.String(5), nullable=False),
        sa.Column("licence", sa.String(50), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("text_sealed", sa.LargeBinary, nullable=False),
        sa.Column("opened_at", time, nullable=False),
    )
    op.create_index("ix_emergency_access_id", "emergency_access", ["id"])
    op.create_index("ix_emergency_access_organization", "emergency_access", ["organization", "licence", "opened_at"])
    op.create_index("ix_emergency_access_opened_at", "emergency_access", ["opened_at", "id"])
    op.create_table(
        "emergency_access_event",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("access_id", UUID, primary_key=True),
        sa.Column("type", sa.String(16), primary_key=True),
        sa.Column("at", time, nullable=False),
        text("organization", 5),
        text("licence", 50),
        sa.Column("life_saving", sa.Boolean, nullable=False, server_default="false"),
        text("outcome", 16),
        sa.Column("text_sealed", sa.LargeBinary),
    )
    op.create_table(
        "restriction",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("subject_request_id", UUID, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("purpose", sa.String(32)),
        sa.Column("starts_at", time, nullable=False),
    )
    op.create_table(
        "restriction_lift",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("subject_request_id", UUID, primary_key=True),
        sa.Column("at", time, nullable=False),
    )
    # What happened is never changed or removed by the application; what is followed or told by other roles may be told anew.
    grant(
        op,
        "SELECT, INSERT",
        "consent_use",
        "guardianship",
        "guardianship_end",
        "emergency_access",
        "emergency_access_event",
        "restriction",
        "restriction_lift",
    )
    grant(op, "SELECT, INSERT, UPDATE", "treatment_relation", "registered_organization", "registered_licence")
