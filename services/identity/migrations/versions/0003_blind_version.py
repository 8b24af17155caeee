"""Which blind key an index is made by, so that it can be made anew under another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.chassis.migrations import app_role, grant

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the versions. What is there was made under the first. The lookup is moved by adding and removing, as it is distributed by what
    changes; the other two by changing it, and nothing else of them.
    """
    for table in ("person_identifier", "source_record"):
        op.add_column(table, sa.Column("blind_version", sa.SmallInteger, nullable=False, server_default="1"))
        op.alter_column(table, "blind_version", server_default=None)
    grant(op, "DELETE", "identifier_lookup")
    op.execute(f'GRANT UPDATE (blind, blind_version) ON person_identifier TO "{app_role()}"')
    op.execute(f'GRANT UPDATE (mrn_blind, said_blind, blind_version) ON source_record TO "{app_role()}"')
