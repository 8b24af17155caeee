"""Persons, identifiers, source records, facilities, practitioners."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.chassis.idempotency import create_requests
from services.chassis.migrations import grant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables; histories and source records can be added to and read, never changed."""
    create_requests(op)
    op.create_table(
        "person",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("facility_id", sa.String(5)),
        sa.Column("demographics_sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("(state = 'PROVISIONAL') = (facility_id IS NOT NULL)", name="facility_of_provisional"),
    )
    op.create_table(
        "person_identifier",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("kind", sa.String(24), primary_key=True),
        sa.Column("blind", sa.LargeBinary, primary_key=True),
        sa.Column("type", sa.String(24), nullable=False),
        sa.Column("value_sealed", sa.LargeBinary, nullable=False),
        sa.Column("assurance", sa.String(16), nullable=False),
        sa.Column("valid_from", TIME, nullable=False),
        sa.Column("valid_to", TIME),
    )
    op.create_table(
        "identifier_lookup",
        sa.Column("blind", sa.LargeBinary, primary_key=True),
        sa.Column("kind", sa.String(24), primary_key=True),
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("exclusive", sa.Boolean, nullable=False),
    )
    op.create_index(
        "uq_identifier_lookup_exclusive",
        "identifier_lookup",
        ["blind", "kind"],
        unique=True,
        postgresql_where=sa.text("exclusive"),
    )
    op.create_table(
        "person_event",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("id", UUID, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("detail", JSONB, nullable=False),
    )
    op.create_table(
        "source_record",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("mrn_blind", sa.LargeBinary, primary_key=True),
        sa.Column("said_blind", sa.LargeBinary, primary_key=True),
        sa.Column("person_id", UUID, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("warnings", ARRAY(sa.String(64)), nullable=False),
        sa.Column("said_sealed", sa.LargeBinary, nullable=False),
        sa.Column("filed_at", TIME, nullable=False),
    )
    op.create_index("ix_source_record_person_id", "source_record", ["person_id"])
    op.create_table(
        "organization",
        sa.Column("code", sa.String(5), primary_key=True),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column("care_level", sa.String(16), nullable=False),
        sa.Column("province_code", sa.String(2), nullable=False),
        sa.Column("province_era", sa.String(16), nullable=False),
        sa.Column("parent_code", sa.String(5)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "practitioner",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("licence", sa.String(50), nullable=False, unique=True),
        sa.Column("human_name", sa.String(255), nullable=False),
        sa.Column("organizations", ARRAY(sa.String(5)), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_practitioner_organizations", "practitioner", ["organizations"], postgresql_using="gin")
    grant(op, "SELECT, INSERT", "person_event", "source_record", "identifier_lookup", "practitioner")
    grant(op, "SELECT, INSERT, UPDATE", "request", "person", "organization")
    grant(op, "SELECT, INSERT", "person_identifier")
