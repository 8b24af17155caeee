"""The tables of a follower."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Boolean, Column, DateTime, Index, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from services.chassis.migrations import grant

LONGEST_NAME = 32
_CURSOR, _REDIRECT = "feed_cursor", "person_redirect"
_TIME = DateTime(timezone=True)


def _tables() -> dict[str, list[Column[object] | Index]]:
    """The tables as of migration time: frozen. A change is a further `alter_feed_<n>(op)` for the roles' migrations."""
    return {
        _CURSOR: [
            Column("name", String(LONGEST_NAME), primary_key=True),
            Column("cursor", Text, nullable=False),
            # The process that follows, and until when nobody else may.
            Column("holder", UUID, nullable=False),
            Column("holds_until", _TIME, nullable=False),
            # Until then what is kept counts as true; none before all was heard for the first time.
            Column("fresh_until", _TIME),
        ],
        _REDIRECT: [
            Column("person_id", UUID, primary_key=True),
            # Who answers for the entry: itself, once it was linked and is not any more, or was identified.
            Column("current_id", UUID, nullable=False),
            # Who answers for it is not confirmed.
            Column("held", Boolean, nullable=False),
            Column("since", _TIME, nullable=False),
            Index("ix_person_redirect_current_id", "current_id"),
        ],
    }


def feed_tables(metadata: MetaData) -> None:
    """Adds the follower's tables to a role's schema."""
    for name, parts in _tables().items():
        Table(name, metadata, *parts)


def create_feed(op: Operations) -> None:
    """Makes the tables in a migration and grants what `Follower` and `apply_redirects` need."""
    for name, parts in _tables().items():
        op.create_table(name, *(part for part in parts if isinstance(part, Column)))
        for index in parts:
            if isinstance(index, Index):
                op.create_index(index.name, name, [str(expression) for expression in index.expressions])
    grant(op, "SELECT, INSERT, UPDATE", _CURSOR, _REDIRECT)
