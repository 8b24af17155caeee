"""The outbox's tables, and putting messages into them.

Three tables, so that each statement of the relay touches only what it needs, whatever the backlog looks like: `outbox`
has the messages, `outbox_aggregate` one row for every aggregate that has some (when its oldest is due, who delivers it),
`outbox_dead_letter` what was given up. The row of an aggregate is locked by who enqueues for it until the end of the
transaction, so that the order of sequence numbers is the order of commits.
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.migrations import grant
from services.chassis.outbox.message import LONGEST_AGGREGATE, LONGEST_REASON, LONGEST_TOPIC, Message

_OUTBOX, _AGGREGATE, _DEAD = "outbox", "outbox_aggregate", "outbox_dead_letter"
_TIME = DateTime(timezone=True)


def _tables() -> dict[str, list[Column[object] | Index]]:
    """The tables as of migration time: frozen. A change is a further `alter_outbox_<n>(op)` for the roles' migrations."""

    def place() -> list[Column[object] | Index]:
        return [
            Column("topic", String(LONGEST_TOPIC), primary_key=True),
            Column("aggregate", String(LONGEST_AGGREGATE), primary_key=True),
        ]

    def content() -> list[Column[object] | Index]:
        return [
            Column("id", UUID, nullable=False),
            Column("payload", LargeBinary, nullable=False),
            Column("trace", String(64), nullable=False),
            Column("queued_at", _TIME, nullable=False, server_default=func.now()),
        ]

    return {
        _OUTBOX: [*place(), Column("sequence", BigInteger, Identity(), primary_key=True), *content()],
        _AGGREGATE: [
            *place(),
            Column("due_at", _TIME, nullable=False, server_default=func.now()),
            Column("attempts", Integer, nullable=False, server_default="0"),
            Column("claim", UUID),
            Column("last_reason", String(LONGEST_REASON)),
            Index(f"ix_{_AGGREGATE}_due_at", "topic", "due_at"),
        ],
        _DEAD: [
            *place(),
            Column("sequence", BigInteger, primary_key=True, autoincrement=False),
            *content(),
            Column("attempts", Integer, nullable=False),
            Column("reason", String(LONGEST_REASON), nullable=False),
            Column("died_at", _TIME, nullable=False, server_default=func.now()),
        ],
    }


def outbox_table(metadata: MetaData) -> Table:
    """Adds the outbox of a role to its schema; returns the table of messages."""
    made = {name: Table(name, metadata, *parts) for name, parts in _tables().items()}
    return made[_OUTBOX]


def create_outbox(op: Operations) -> None:
    """Makes the tables in a migration and grants what `enqueue` and `Relay` need."""
    for name, parts in _tables().items():
        op.create_table(name, *(part for part in parts if isinstance(part, Column)))
        for index in parts:
            if isinstance(index, Index):
                op.create_index(index.name, name, [str(expression) for expression in index.expressions])
    for name in (_OUTBOX, _AGGREGATE):
        # Small tables through which everything passes: vacuumed by what passed, not by their size.
        op.execute(
            f'ALTER TABLE "{name}" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,'
            " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000)"
        )
    grant(op, "SELECT, INSERT, DELETE", _OUTBOX, _DEAD)
    grant(op, "SELECT, INSERT, UPDATE, DELETE", _AGGREGATE)


# The messages wait for the locks of their aggregates (the count makes them), and only then draw their sequence numbers.
# Locks are taken in order, so that two writers do not wait for each other; a conflicting update locks and changes nothing.
_ENQUEUE = text("""
    WITH message AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:aggregates AS text[]),
                             CAST(:payloads AS bytea[]), CAST(:traces AS text[]))
            WITH ORDINALITY AS message (id, topic, aggregate, payload, trace, place)
    ), locked AS (
        INSERT INTO outbox_aggregate (topic, aggregate)
        SELECT DISTINCT topic, aggregate FROM message ORDER BY topic, aggregate
        ON CONFLICT (topic, aggregate) DO UPDATE SET due_at = outbox_aggregate.due_at
        RETURNING topic
    )
    INSERT INTO outbox (id, topic, aggregate, payload, trace)
    SELECT id, topic, aggregate, payload, trace FROM message
    WHERE (SELECT count(*) FROM locked) > 0
    ORDER BY place
""")


async def enqueue(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """Puts messages into the outbox, in the caller's transaction, its order and one statement. Writers of one aggregate
    wait for each other until they commit. Tell the relay afterwards (`Relay.wake`).
    """
    if messages:
        await connection.execute(
            _ENQUEUE,
            {
                "ids": [message.id for message in messages],
                "topics": [message.topic for message in messages],
                "aggregates": [message.aggregate for message in messages],
                "payloads": [message.payload for message in messages],
                "traces": [message.trace for message in messages],
            },
        )
