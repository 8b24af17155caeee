"""Taking messages out of the outbox: claimed by lease, delivered in order per aggregate, at least once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.errors import DatabaseUnavailable, DomainError
from services.chassis.outbox.message import LONGEST_REASON, Dead, DeadLetter, Deliver, Done, Message, Outcome, Retry

_FIRST_PAUSE = 0.1
_RELEASE_SECONDS = 2.0
# A delivery is cut off while its lease still holds, so that nobody else delivers the same at that moment.
_SHARE_OF_LEASE = 0.8

# The database's clock decides, because relays on several machines must agree; a test's clock may run ahead of it.
_NOW = "greatest(CAST(:now AS timestamptz), clock_timestamp())"
# Materialized: as a plain subquery the planner may run it again for every row, and each run locks another batch.
_CLAIM = text(f"""
    WITH due AS MATERIALIZED (
        SELECT aggregate FROM outbox_aggregate WHERE topic = :topic AND due_at <= {_NOW}
        ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    UPDATE outbox_aggregate SET claim = :claim, attempts = attempts + 1, due_at = {_NOW} + CAST(:lease AS interval)
    FROM due WHERE outbox_aggregate.topic = :topic AND outbox_aggregate.aggregate = due.aggregate
    RETURNING outbox_aggregate.aggregate, attempts
""")  # noqa: S608 - fixed text
# A statement of its own: it must see what was committed until the locks were had.
_HEADS = text("""
    SELECT head.sequence, head.id, head.topic, head.aggregate, head.payload, head.trace
    FROM unnest(CAST(:aggregates AS text[])) AS claimed (aggregate)
    CROSS JOIN LATERAL (
        SELECT * FROM outbox WHERE outbox.topic = :topic AND outbox.aggregate = claimed.aggregate
        ORDER BY sequence LIMIT 1) AS head
    ORDER BY head.sequence
""")
# Whose lease ran out and was claimed by another relay is no longer ours to settle. Here and below a join with a list,
# because for `= ANY` the planner may read every aggregate of the topic (measured, a hundred of 20,000: 17 ms against 2).
_LOCK = text("""
    SELECT outbox_aggregate.aggregate
    FROM unnest(CAST(:aggregates AS text[])) AS claimed (aggregate) JOIN outbox_aggregate USING (aggregate)
    WHERE topic = :topic AND claim = :claim ORDER BY outbox_aggregate.aggregate FOR UPDATE OF outbox_aggregate
""")
_BURY = text("""
    WITH dead AS (
        SELECT * FROM unnest(CAST(:aggregates AS text[]), CAST(:sequences AS bigint[]), CAST(:attempts AS int[]),
                             CAST(:reasons AS text[])) AS dead (aggregate, sequence, attempts, reason))
    INSERT INTO outbox_dead_letter (topic, aggregate, sequence, id, payload, trace, queued_at, attempts, reason)
    SELECT topic, aggregate, sequence, id, payload, trace, queued_at, attempts, reason
    FROM outbox JOIN dead USING (aggregate, sequence) WHERE outbox.topic = :topic
""")
# Removes messages, and either their aggregate or what keeps its next message waiting. Looks for a next message one
# aggregate at a time: as EXISTS it would become a scan of the whole outbox.
_REMOVE = text(f"""
    WITH gone AS (
        SELECT aggregate, sequence, (
            SELECT outbox.sequence FROM outbox
            WHERE outbox.topic = :topic AND outbox.aggregate = gone.aggregate AND outbox.sequence <> gone.sequence
            ORDER BY outbox.sequence LIMIT 1) AS next
        FROM unnest(CAST(:aggregates AS text[]), CAST(:sequences AS bigint[])) AS gone (aggregate, sequence)
    ), removed AS (
        DELETE FROM outbox USING gone
        WHERE outbox.topic = :topic AND outbox.aggregate = gone.aggregate AND outbox.sequence = gone.sequence
    ), finished AS (
        DELETE FROM outbox_aggregate USING gone
        WHERE outbox_aggregate.topic = :topic AND outbox_aggregate.aggregate = gone.aggregate AND gone.next IS NULL
    )
    UPDATE outbox_aggregate SET claim = NULL, attempts = 0, last_reason = NULL, due_at = {_NOW} FROM gone
    WHERE outbox_aggregate.topic = :topic AND outbox_aggregate.aggregate = gone.aggregate AND gone.next IS NOT NULL
""")  # noqa: S608 - fixed text
_FORGET = text("""
    DELETE FROM outbox_aggregate WHERE topic = :topic AND aggregate = ANY(CAST(:aggregates AS text[]))
""")
_DELAY = text(f"""
    UPDATE outbox_aggregate SET claim = NULL, last_reason = late.reason, due_at = {_NOW} + make_interval(secs => late.pause)
    FROM unnest(CAST(:aggregates AS text[]), CAST(:pauses AS float8[]), CAST(:reasons AS text[]))
        AS late (aggregate, pause, reason)
    WHERE outbox_aggregate.topic = :topic AND outbox_aggregate.aggregate = late.aggregate
""")  # noqa: S608 - fixed text
_RELEASE = text(f"""
    UPDATE outbox_aggregate SET claim = NULL, attempts = attempts - 1, due_at = {_NOW}
    WHERE topic = :topic AND claim = :claim
""")  # noqa: S608 - fixed text
# A letter that is run again goes back to its old place. Whoever delivers a later one of its aggregate keeps its lease.
_RERUN = text(f"""
    WITH revived AS (
        DELETE FROM outbox_dead_letter WHERE topic = :topic AND id = ANY(CAST(:ids AS uuid[]))
        RETURNING topic, aggregate, sequence, id, payload, trace, queued_at
    ), aggregates AS (
        INSERT INTO outbox_aggregate (topic, aggregate) SELECT DISTINCT topic, aggregate FROM revived ORDER BY aggregate
        ON CONFLICT (topic, aggregate) DO UPDATE SET attempts = 0,
            due_at = CASE WHEN outbox_aggregate.claim IS NULL THEN {_NOW} ELSE outbox_aggregate.due_at END
    )
    INSERT INTO outbox (topic, aggregate, sequence, id, payload, trace, queued_at)
    SELECT topic, aggregate, sequence, id, payload, trace, queued_at FROM revived
""")  # noqa: S608 - fixed text
_DEAD_LETTERS = text("""
    SELECT id, topic, aggregate, payload, trace, attempts, reason, died_at FROM outbox_dead_letter
    WHERE topic = :topic ORDER BY died_at, sequence LIMIT :limit
""")
_BACKLOG = text("""
    SELECT (SELECT count(*) FROM outbox WHERE topic = :topic) AS waiting,
           (SELECT count(*) FROM outbox_dead_letter WHERE topic = :topic) AS dead,
           extract(epoch FROM clock_timestamp() - (SELECT min(queued_at) FROM outbox WHERE topic = :topic)) AS oldest
""")


@dataclass(frozen=True)
class Backlog:
    """How many messages wait, how many are dead, and how long the oldest that waits has done so."""

    waiting: int
    dead: int
    oldest: timedelta


@dataclass(frozen=True)
class _Claimed:
    sequence: int
    message: Message


class Relay:
    """Delivers one topic, in batches of at most one message per aggregate. Several relays of a topic may run, in one
    process or many: the lease keeps them apart. Whoever stops in the middle leaves nothing undone: what it had claimed
    is delivered again when the lease is over, and receivers deduplicate on the event id.
    """

    def __init__(
        self,
        database: Database,
        topic: str,
        deliver: Deliver,
        *,
        clock: Clock | None = None,
        batch: int = 100,
        lease: timedelta = timedelta(seconds=30),
        attempts: int = 1000,
        longest_pause: timedelta = timedelta(minutes=1),
        poll: timedelta = timedelta(seconds=1),
    ) -> None:
        """`clock` is for tests and counts only where it is ahead of the database's. A message is dead after `attempts`
        deliveries; the pauses between them grow from 0.1 s to `longest_pause`, with jitter.
        """
        self._database = database
        self._topic = topic
        self._deliver = deliver
        self._clock = clock
        self._batch = batch
        self._lease = lease
        self._attempts = attempts
        self._longest = longest_pause.total_seconds()
        self._poll = poll.total_seconds()
        self._nudge = asyncio.Event()

    def wake(self) -> None:
        """Looks at once; call it after a commit that put something in."""
        self._nudge.set()

    async def run(self) -> None:
        """Delivers for ever. Raises DatabaseUnavailable when the database is away; run it again later."""
        while True:
            self._nudge.clear()
            if await self.once() == 0:
                # Not `wait_for`: it can swallow a cancellation that comes together with the nudge (until 3.12).
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll):
                        await self._nudge.wait()

    async def once(self) -> int:
        """Claims, delivers and settles one batch; returns how many messages it had. A delivery that raises, or does not
        end within its lease, counts as a retry for the whole batch.
        """
        claim = uuid4()
        claimed = await self._claim(claim)
        if not claimed:
            return 0
        try:
            outcomes = await self._outcomes([one.message for one in claimed])
        except asyncio.CancelledError:
            await self._release(claim)
            raise
        await _finished(self._settle(claim, claimed, outcomes))
        return len(claimed)

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """What was given up, oldest first."""

        async def work(connection: AsyncConnection) -> list[DeadLetter]:
            found = await connection.execute(_DEAD_LETTERS, {"topic": self._topic, "limit": limit})
            return [DeadLetter(_message(row, int(row.attempts)), row.reason, row.died_at) for row in found]

        return await self._database.read(work)

    async def rerun(self, ids: Sequence[UUID]) -> int:
        """Revives dead letters by event id, in their old place; returns how many."""

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(_RERUN, {**self._values(), "ids": list(ids)})).rowcount)

        revived = await self._database.write(work)
        self.wake()
        return revived

    async def backlog(self) -> Backlog:
        """What waits. Reads every waiting message's row: for a gauge, not for a hot path."""

        async def work(connection: AsyncConnection) -> Backlog:
            row = (await connection.execute(_BACKLOG, {"topic": self._topic})).one()
            return Backlog(int(row.waiting), int(row.dead), timedelta(seconds=float(row.oldest or 0)))

        return await self._database.read(work)

    def _values(self) -> dict[str, object]:
        return {"topic": self._topic, "now": self._clock() if self._clock else None}

    async def _claim(self, claim: UUID) -> list[_Claimed]:
        values = {**self._values(), "claim": claim, "lease": self._lease, "batch": self._batch}

        async def work(connection: AsyncConnection) -> list[_Claimed]:
            attempts = {row.aggregate: int(row.attempts) for row in await connection.execute(_CLAIM, values)}
            if not attempts:
                return []
            heads = await connection.execute(_HEADS, {"topic": self._topic, "aggregates": list(attempts)})
            claimed = [_Claimed(int(row.sequence), _message(row, attempts[row.aggregate])) for row in heads]
            empty = attempts.keys() - {one.message.aggregate for one in claimed}
            if empty:
                # Somebody removed messages by hand: their aggregate has nothing to wait for.
                await connection.execute(_FORGET, {"topic": self._topic, "aggregates": list(empty)})
            return claimed

        return await self._database.write(work)

    async def _outcomes(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(self._lease.total_seconds() * _SHARE_OF_LEASE):
                outcomes = await self._deliver(messages)
            if len(outcomes) != len(messages):
                raise ValueError("one outcome for each message")
        except DomainError as error:
            reason = error.reason
        except Exception as error:  # noqa: BLE001 - whatever it is, the messages must stay
            reason = type(error).__name__
        else:
            return outcomes
        log.event("delivery_failed", level="error", topic=self._topic, reason=reason, messages=len(messages))
        return [Retry(reason)] * len(messages)

    async def _settle(self, claim: UUID, claimed: Sequence[_Claimed], outcomes: Sequence[Outcome]) -> None:
        done: list[_Claimed] = []
        dead: list[tuple[_Claimed, str]] = []
        late: list[tuple[_Claimed, str, float]] = []
        for one, outcome in zip(claimed, outcomes, strict=True):
            if isinstance(outcome, Done):
                done.append(one)
            elif isinstance(outcome, Dead) or one.message.attempts >= self._attempts:
                dead.append((one, outcome.reason[:LONGEST_REASON]))
            else:
                late.append((one, outcome.reason[:LONGEST_REASON], self._pause(one.message.attempts)))

        async def work(connection: AsyncConnection) -> list[tuple[_Claimed, str]]:
            values = self._values()
            places = {"claim": claim, "aggregates": [one.message.aggregate for one in claimed]}
            ours = {row.aggregate for row in await connection.execute(_LOCK, {**values, **places})}
            buried = [(one, reason) for one, reason in dead if one.message.aggregate in ours]
            gone = [one for one in (*done, *(one for one, _ in buried)) if one.message.aggregate in ours]
            delayed = [part for part in late if part[0].message.aggregate in ours]
            if buried:
                more = {
                    "attempts": [one.message.attempts for one, _ in buried],
                    "reasons": [reason for _, reason in buried],
                }
                await connection.execute(_BURY, {**values, **_places([one for one, _ in buried]), **more})
            if gone:
                await connection.execute(_REMOVE, {**values, **_places(gone)})
            if delayed:
                more = {"pauses": [pause for *_, pause in delayed], "reasons": [reason for _, reason, _ in delayed]}
                await connection.execute(_DELAY, {**values, **_places([one for one, *_ in delayed]), **more})
            return buried

        for one, reason in await self._database.write(work):
            log.event("dead_letter", level="error", topic=self._topic, event_id=str(one.message.id), reason=reason)

    async def _release(self, claim: UUID) -> None:
        """Lets others have what was claimed, when this process stops before it could deliver; else the lease does."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_RELEASE, {**self._values(), "claim": claim})

        with suppress(TimeoutError, DatabaseUnavailable):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._database.write(work)

    def _pause(self, attempts: int) -> float:
        longest = min(_FIRST_PAUSE * 2 ** min(attempts, 16), self._longest)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


async def _finished(work: Coroutine[None, None, None]) -> None:
    """Waits for it also when this task is cancelled meanwhile: what was delivered is to be known as delivered."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(TimeoutError, DatabaseUnavailable):
            await asyncio.wait_for(task, _RELEASE_SECONDS)
        raise


def _places(claimed: Sequence[_Claimed]) -> dict[str, object]:
    return {
        "aggregates": [one.message.aggregate for one in claimed],
        "sequences": [one.sequence for one in claimed],
    }


def _message(row: Row[tuple[object, ...]], attempts: int) -> Message:
    return Message(row.id, row.topic, row.aggregate, bytes(row.payload), row.trace, attempts)
