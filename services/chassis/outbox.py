"""The transactional outbox: facts that others must learn leave with the transaction that made them, and reach them at least once.

In order per aggregate: a message is not claimed while an older one of its aggregate and topic is undelivered. A message that cannot be delivered
becomes a dead letter with its reason; it stops blocking its aggregate and can be run again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

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
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.errors import DomainError

_NAME = "outbox"
_IDLE = 1.0
_REASON = 100


@dataclass(frozen=True)
class Message:
    """A fact on its way: `id` is the event id that receivers deduplicate on, `aggregate` what it must stay in order with, `trace` a traceparent."""

    id: UUID
    topic: str
    aggregate: str
    payload: bytes = field(repr=False)
    trace: str = ""
    attempts: int = 0


@dataclass(frozen=True)
class Done:
    """Delivered."""


@dataclass(frozen=True)
class Retry:
    """Not now; `reason` is a stable code."""

    reason: str


@dataclass(frozen=True)
class Dead:
    """Never; kept with its reason."""

    reason: str


Outcome = Done | Retry | Dead
DONE = Done()
Deliver = Callable[[Sequence[Message]], Awaitable[Sequence[Outcome]]]


def _columns() -> list[Column[object]]:
    return [
        Column("topic", String(32), primary_key=True),
        # Order of commit is not order of sequence; within an aggregate the writer's row lock makes it so.
        Column("sequence", BigInteger, Identity(always=True), primary_key=True),
        Column("id", postgresql.UUID, nullable=False),
        Column("aggregate", String(64), nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("trace", String(64), nullable=False),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("due_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
        Column("dead_reason", String(_REASON)),
    ]


def _indexes(table: str) -> list[tuple[str, list[str], str]]:
    return [
        (f"ix_{table}_due", ["topic", "due_at"], "dead_reason IS NULL"),
        (f"ix_{table}_aggregate", ["topic", "aggregate", "sequence"], "dead_reason IS NULL"),
    ]


def outbox_table(metadata: MetaData) -> Table:
    """The outbox of a role."""
    indexes = [Index(name, *columns, postgresql_where=text(where)) for name, columns, where in _indexes(_NAME)]
    return Table(_NAME, metadata, *_columns(), *indexes)


def create_outbox(op: Operations) -> None:
    """Makes the table in a migration."""
    op.create_table(_NAME, *_columns())
    for name, columns, where in _indexes(_NAME):
        op.create_index(name, _NAME, columns, postgresql_where=text(where))


_ENQUEUE = text(
    "INSERT INTO outbox (id, topic, aggregate, payload, trace)"
    " SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:aggregates AS text[]), CAST(:payloads AS bytea[]),"
    " CAST(:traces AS text[]))"
)
_CLAIM = text(
    "WITH due AS ("
    " SELECT o.topic, o.sequence FROM outbox o WHERE o.topic = :topic AND o.dead_reason IS NULL AND o.due_at <= :now"
    " AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.topic = o.topic AND p.aggregate = o.aggregate AND p.sequence < o.sequence"
    " AND p.dead_reason IS NULL)"
    " ORDER BY o.sequence LIMIT :batch FOR UPDATE SKIP LOCKED)"
    " UPDATE outbox SET due_at = :lease, attempts = attempts + 1 FROM due"
    " WHERE outbox.topic = due.topic AND outbox.sequence = due.sequence"
    " RETURNING outbox.sequence, outbox.id, outbox.topic, outbox.aggregate, outbox.payload, outbox.trace, outbox.attempts"
)
_DELETE = text("DELETE FROM outbox WHERE topic = :topic AND sequence = ANY(CAST(:sequences AS bigint[]))")
_DELAY = text(
    "UPDATE outbox SET due_at = late.due_at FROM unnest(CAST(:sequences AS bigint[]), CAST(:dues AS timestamptz[])) AS late (sequence, due_at)"
    " WHERE outbox.topic = :topic AND outbox.sequence = late.sequence"
)
_BURY = text(
    "UPDATE outbox SET dead_reason = dead.reason FROM unnest(CAST(:sequences AS bigint[]), CAST(:reasons AS text[])) AS dead (sequence, reason)"
    " WHERE outbox.topic = :topic AND outbox.sequence = dead.sequence"
)
_RERUN = text(
    "UPDATE outbox SET dead_reason = NULL, attempts = 0, due_at = now()"
    " WHERE topic = :topic AND dead_reason IS NOT NULL AND id = ANY(CAST(:ids AS uuid[]))"
)


async def enqueue(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """Puts messages into the outbox, in the caller's transaction and one statement."""
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


class Relay:
    """Delivers one topic, batch by batch. Several relays of a topic may run: the lease keeps them apart."""

    def __init__(
        self,
        database: Database,
        topic: str,
        deliver: Deliver,
        *,
        clock: Clock,
        batch: int = 100,
        lease: timedelta = timedelta(seconds=30),
        attempts: int = 1000,
        longest_pause: timedelta = timedelta(minutes=1),
    ) -> None:
        self._database = database
        self._topic = topic
        self._deliver = deliver
        self._clock = clock
        self._batch = batch
        self._lease = lease
        self._attempts = attempts
        self._longest = longest_pause
        self._nudge = asyncio.Event()

    def wake(self) -> None:
        """Looks at once; call it after a commit that put something in."""
        self._nudge.set()

    async def run(self) -> None:
        """Delivers for ever."""
        while True:
            self._nudge.clear()
            if await self.once() == 0:
                try:
                    await asyncio.wait_for(self._nudge.wait(), _IDLE)
                except TimeoutError:
                    continue

    async def once(self) -> int:
        """Claims and delivers one batch; returns how many were claimed. A delivery that raises counts as a retry for the whole batch."""
        claimed = await self._claim()
        if not claimed:
            return 0
        messages = [message for _, message in claimed]
        try:
            outcomes = await self._deliver(messages)
        except DomainError as error:
            outcomes = [Retry(error.reason)] * len(messages)
        except Exception as error:  # noqa: BLE001 - whatever it is, the messages must stay
            log.event("delivery_failed", level="error", topic=self._topic, error=type(error).__name__)
            outcomes = [Retry(type(error).__name__)] * len(messages)
        await self._settle(claimed, outcomes)
        return len(claimed)

    async def rerun(self, ids: Sequence[UUID]) -> int:
        """Revives dead letters by event id; returns how many."""

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(_RERUN, {"topic": self._topic, "ids": list(ids)})).rowcount)

        revived = await self._database.write(work)
        self.wake()
        return revived

    async def _claim(self) -> list[tuple[int, Message]]:
        now = self._clock()
        values = {"topic": self._topic, "now": now, "batch": self._batch, "lease": now + self._lease}

        async def work(connection: AsyncConnection) -> list[tuple[int, Message]]:
            found = await connection.execute(_CLAIM, values)
            rows = [
                (
                    int(row.sequence),
                    Message(row.id, row.topic, row.aggregate, bytes(row.payload), row.trace, int(row.attempts)),
                )
                for row in found
            ]
            return sorted(rows, key=lambda row: row[0])

        return await self._database.write(work)

    async def _settle(self, claimed: Sequence[tuple[int, Message]], outcomes: Sequence[Outcome]) -> None:
        now = self._clock()
        done: list[int] = []
        late: list[tuple[int, object]] = []
        dead: list[tuple[int, str]] = []
        for (sequence, message), outcome in zip(claimed, outcomes, strict=True):
            if isinstance(outcome, Done):
                done.append(sequence)
            elif isinstance(outcome, Dead) or message.attempts >= self._attempts:
                dead.append((sequence, outcome.reason[:_REASON]))
                log.event(
                    "dead_letter", level="error", topic=self._topic, event_id=str(message.id), reason=outcome.reason
                )
            else:
                pause = min(0.2 * 2 ** min(message.attempts, 16), self._longest.total_seconds())
                late.append((sequence, now + timedelta(seconds=random.uniform(pause / 2, pause))))  # noqa: S311 - jitter, not a secret

        async def work(connection: AsyncConnection) -> None:
            if done:
                await connection.execute(_DELETE, {"topic": self._topic, "sequences": done})
            if late:
                values = {"topic": self._topic, "sequences": [one[0] for one in late], "dues": [one[1] for one in late]}
                await connection.execute(_DELAY, values)
            if dead:
                values = {
                    "topic": self._topic,
                    "sequences": [one[0] for one in dead],
                    "reasons": [one[1] for one in dead],
                }
                await connection.execute(_BURY, values)

        await self._database.write(work)
