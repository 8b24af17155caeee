"""Provisional persons: how they came, what they are called in the ward, and newborns by mother."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

revision = "0005"
down_revision = "0004"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables, and a line for every person who is provisional already; nobody of those is due to be told of to an authority, as they
    came by documents or before the rule was kept.
    """
    op.add_column("person", sa.Column("protected", sa.Boolean, nullable=False, server_default=sa.false()))
    op.alter_column("person", "protected", server_default=None)
    op.add_column("person", sa.Column("death_sealed", sa.LargeBinary))
    op.create_table(
        "provisional_person",
        sa.Column("person_id", UUID, primary_key=True),
        sa.Column("facility_id", sa.String(5), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("alias", sa.String(32), nullable=False),
        sa.Column("arrival_at", TIME, nullable=False),
        sa.Column("notice_due_at", TIME),
        sa.Column("notice_at", TIME),
        sa.Column("waiting", sa.Boolean, nullable=False),
        sa.Column("mother_id", UUID),
        sa.Column("birth_sealed", sa.LargeBinary),
        sa.Column("birth_order", sa.SmallInteger, nullable=False),
    )
    waiting = sa.text("waiting")
    columns = ["arrival_at", "person_id"]
    op.create_index(
        "ix_provisional_person_waiting", "provisional_person", ["facility_id", *columns], postgresql_where=waiting
    )
    op.create_index("ix_provisional_person_arrival", "provisional_person", columns, postgresql_where=waiting)
    op.create_index(
        "ix_provisional_person_mother_id",
        "provisional_person",
        ["mother_id"],
        postgresql_where=sa.text("mother_id IS NOT NULL"),
    )
    op.execute(
        "INSERT INTO provisional_person (person_id, facility_id, kind, alias, arrival_at, waiting, birth_order)"
        " SELECT person_id, facility_id, 'UNIDENTIFIED', '', created_at, true, 0 FROM person WHERE state = 'PROVISIONAL'"
    )
    op.create_table(
        "wristband_alias",
        sa.Column("facility_id", sa.String(5), primary_key=True),
        sa.Column("alias", sa.String(32), primary_key=True),
        sa.Column("person_id", UUID, nullable=False),
        sa.Column("until", TIME, nullable=False),
    )
    grant(op, "SELECT, INSERT, UPDATE", "provisional_person", "wristband_alias")
