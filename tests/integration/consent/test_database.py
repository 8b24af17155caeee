"""The schema of consent on a real PostgreSQL: what migrations make, and what the app user may do."""

from __future__ import annotations

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Index, UniqueConstraint, create_engine

from services.consent.schema import METADATA
from tests.fixtures.database import DatabaseFor

# Lists of facilities and licences, and how far feeds were followed, do not grow with the nation; an anchor's entry stands for up to 1,000 ledgers;
# a breach is of nobody.
SMALL = {"registered_organization", "registered_licence", "feed_cursor", "anchor_entry", "breach", "breach_event"}
APPEND_ONLY = (
    "consent",
    "consent_event",
    "consent_use",
    "decision",
    "access_entry",
    "ledger_anchor",
    "consent_scan",
    "guardianship",
    "guardianship_end",
    "emergency_access",
    "emergency_access_event",
    "notice",
    "restriction",
    "restriction_lift",
    "subject_request_event",
    "breach_person",
)


def test_migrations_make_the_schema(database_for: DatabaseFor) -> None:
    engine = create_engine(database_for("consent").owner_url or "")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert differences == []


@pytest.mark.parametrize("table", sorted(METADATA.tables.keys() - SMALL))
def test_the_person_is_in_every_key(table: str) -> None:
    known = METADATA.tables[table]
    keys = [set(known.primary_key.columns.keys())]
    keys += [{column.name for column in one.columns} for one in known.constraints if isinstance(one, UniqueConstraint)]
    keys += [set(one.columns.keys()) for one in known.indexes if isinstance(one, Index) and one.unique]
    assert all("person_id" in key for key in keys)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_app_user_cannot_rewrite_what_happened(database_for: DatabaseFor, table: str) -> None:
    url = database_for("consent").url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (f'DELETE FROM "{table}"', f'TRUNCATE "{table}"', f'UPDATE "{table}" SET person_id = NULL'):  # noqa: S608 - names of our own
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
