"""Writes, reads and what becomes of them when the database misbehaves."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.local.postgres import PostgresServer
from services.chassis.database import Database, hot
from services.chassis.errors import DatabaseUnavailable
from services.chassis.settings import DatabaseSettings
from services.chassis.statements import statement_span
from tests.integration.chassis.conftest import as_user
from tests.integration.chassis.schema import counter, note

REPEATABLE = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
INCREMENT = update(counter).where(counter.c.id == 1).values(value=counter.c.value + 1)


async def value(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(counter.c.value).where(counter.c.id == 1))).scalar_one())


async def increment(connection: AsyncConnection) -> None:
    await connection.execute(INCREMENT)


async def notes(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(func.count()).select_from(note))).scalar_one())


async def backend(connection: AsyncConnection) -> int:
    return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def write_note(connection: AsyncConnection) -> None:
    await connection.execute(insert(note).values(text="once"))


def terminate(postgres: PostgresServer, settings: DatabaseSettings) -> int:
    """Ends every session of the app user on its database."""
    name = settings.url.rpartition("/")[2]
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        ended = connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        return len(ended.fetchall())


async def test_a_closure_that_fails_leaves_nothing(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        await write_note(connection)
        raise RuntimeError("decided otherwise")

    with pytest.raises(RuntimeError, match="decided otherwise"):
        await database.write(work)
    assert await database.read(notes) == 0
    await database.write(write_note)
    assert await database.read(notes) == 1


@pytest.mark.parametrize("raw", [False, True], ids=["engine", "driver"])
async def test_a_conflicting_write_is_run_again(database: Database, raw: bool) -> None:
    runs = 0

    async def work(connection: AsyncConnection) -> int:
        nonlocal runs
        runs += 1
        await connection.execute(REPEATABLE)
        seen = await value(connection)
        if runs < 3:
            await database.write(increment)
        if raw:
            driver = await hot(connection)
            await driver.execute("UPDATE counter SET value = %s WHERE id = 1", (seen + 10,))
        else:
            await connection.execute(update(counter).where(counter.c.id == 1).values(value=seen + 10))
        return seen

    assert await database.write(work) == 2
    assert (runs, await database.read(value)) == (3, 12)


async def test_deadlocked_writes_both_succeed(database: Database) -> None:
    met = asyncio.Barrier(2)

    def both(first: int, second: int) -> Callable[[AsyncConnection], Awaitable[None]]:
        runs = 0

        async def work(connection: AsyncConnection) -> None:
            nonlocal runs
            runs += 1
            await connection.execute(update(counter).where(counter.c.id == first).values(value=counter.c.value + 1))
            if runs == 1:
                await met.wait()
            await connection.execute(update(counter).where(counter.c.id == second).values(value=counter.c.value + 1))

        return work

    await asyncio.gather(database.write(both(1, 2)), database.write(both(2, 1)))
    assert await database.read(value) == 2


async def test_an_endless_conflict_ends(database: Database) -> None:
    runs = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal runs
        runs += 1
        await connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))

    with pytest.raises(DBAPIError):
        await database.write(work)
    assert runs == 5


@pytest.mark.parametrize("raw", [False, True], ids=["engine", "driver"])
async def test_sessions_that_were_ended_while_idle_are_not_noticed(
    database: Database, postgres: PostgresServer, settings: DatabaseSettings, raw: bool
) -> None:
    async def work(connection: AsyncConnection) -> None:
        if raw:
            await (await hot(connection)).execute("INSERT INTO note (text) VALUES ('once')")
        else:
            await write_note(connection)

    async def count(connection: AsyncConnection) -> int:
        if not raw:
            return await notes(connection)
        cursor = await (await hot(connection)).execute("SELECT count(*) FROM note")
        return int((await cursor.fetchall())[0][0])

    async def several() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(database.write(work))

    await several()
    assert terminate(postgres, settings) >= 2
    # Alone, so that the pool still has dead ones when the first was found.
    await database.write(work)
    await several()
    terminate(postgres, settings)
    assert await database.read(count) == 9


async def test_a_session_lost_before_the_commit_is_run_again_once(
    database: Database, postgres: PostgresServer, settings: DatabaseSettings
) -> None:
    losses = [True]

    async def work(connection: AsyncConnection) -> None:
        await write_note(connection)
        if losses:
            losses.pop()
            await asyncio.to_thread(terminate, postgres, settings)
        await write_note(connection)

    await database.write(work)
    assert await database.read(notes) == 2
    losses += [True, True]
    with pytest.raises(DatabaseUnavailable):
        await database.write(work)
    assert (losses, await database.read(notes)) == ([], 2)


async def test_a_session_lost_in_the_commit_is_not_run_again(database: Database, settings: DatabaseSettings) -> None:
    with as_user(settings.owner_url) as owner:
        owner.execute(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$"
        )
        owner.execute("GRANT EXECUTE ON FUNCTION cut TO PUBLIC")
        owner.execute(
            "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION cut()"
        )
    runs = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal runs
        runs += 1
        await write_note(connection)

    with pytest.raises(DatabaseUnavailable):
        await database.write(work)
    assert runs == 1


async def test_a_server_that_is_down_is_unavailable_and_works_when_it_is_back(
    database: Database, postgres: PostgresServer
) -> None:
    await database.write(write_note)
    postgres.crash()
    try:
        for attempt in (database.write(write_note), database.read(notes), database.ping()):
            start = time.monotonic()
            with pytest.raises(DatabaseUnavailable) as refused:
                await attempt
            assert time.monotonic() - start < 1
            # Nothing of the driver's: neither its text nor the statement.
            assert (str(refused.value), refused.value.__cause__) == ("the database does not answer", None)
    finally:
        await asyncio.to_thread(postgres.restart)
    await database.ping()
    await database.write(write_note)
    assert await database.read(notes) == 2


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_session_that_is_frozen_is_given_up(settings: DatabaseSettings) -> None:
    async with Database(replace(settings, pool_size=1, statement_timeout_ms=100)) as database:
        async with frozen(await database.read(backend)):
            start = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                await database.write(write_note)
            # The closure's 0.3 s, and what psycopg grants a query to end after its cancellation.
            assert time.monotonic() - start < 12
            await database.write(write_note)
        assert await database.read(notes) == 1


async def test_a_statement_that_takes_too_long_is_unavailable(settings: DatabaseSettings) -> None:
    async with Database(replace(settings, statement_timeout_ms=50)) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.read(lambda connection: connection.execute(text("SELECT pg_sleep(5)")))


async def test_waiting_for_a_connection_is_bounded(settings: DatabaseSettings) -> None:
    async with Database(replace(settings, pool_size=1, pool_timeout_seconds=0.1)) as database:
        held, release = asyncio.Event(), asyncio.Event()

        async def hold(_: AsyncConnection) -> None:
            held.set()
            await release.wait()

        holder = asyncio.create_task(database.write(hold))
        await held.wait()
        with pytest.raises(DatabaseUnavailable):
            await database.read(notes)
        release.set()
        await holder
        await database.ping()


async def test_a_cancelled_caller_gives_its_connection_back(settings: DatabaseSettings) -> None:
    async with Database(replace(settings, pool_size=1, pool_timeout_seconds=2)) as database:
        started = asyncio.Event()

        async def work(connection: AsyncConnection) -> None:
            await write_note(connection)
            started.set()
            await connection.execute(text("SELECT pg_sleep(60)"))

        task = asyncio.create_task(database.write(work))
        await started.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await database.read(notes) == 0


async def test_a_bug_stays_a_bug(database: Database) -> None:
    with pytest.raises(IntegrityError) as refused:
        await database.write(lambda connection: connection.execute(INCREMENT.values(value=-7041)))
    assert "7041" not in str(refused.value).partition("DETAIL")[0]

    async def own_timeout(_: AsyncConnection) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await database.write(own_timeout)


async def test_sessions_carry_their_name_and_limits(database: Database) -> None:
    async def work(connection: AsyncConnection) -> list[str]:
        names = ("application_name", "statement_timeout", "idle_in_transaction_session_timeout", "TimeZone")
        return [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]

    name, *limits = await database.read(work)
    assert name.startswith("lienthong-chassis_")
    assert limits == ["10s", "30s", "UTC"]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What this process would export. Patched, because a process can set its tracer provider only once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


async def test_every_statement_has_a_span_with_verb_and_table_and_nothing_else(
    database: Database, spans: InMemorySpanExporter
) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(insert(note).values(text="Nguyễn Thị Hoà"))
        await increment(connection)
        await value(connection)
        with statement_span("COPY", "note"):
            await (await hot(connection)).execute("SELECT 1", prepare=True)
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT * FROM note WHERE text::int = 5"))

    with trace.get_tracer("test").start_as_current_span("call") as call:
        with pytest.raises(DBAPIError):
            await database.write(lambda connection: _then_fail(connection, work))
    found = [span for span in spans.get_finished_spans() if span.name != "call"]
    assert [span.name for span in found] == [
        "INSERT note",
        "UPDATE counter",
        "SELECT counter",
        "COPY note",
        "SELECT note",
        "SELECT note",
    ]
    assert {span.parent.span_id for span in found if span.parent} == {call.get_span_context().span_id}
    assert dict(found[0].attributes or {}) == {
        "db.system.name": "postgresql",
        "db.operation.name": "INSERT",
        "db.collection.name": "note",
    }
    assert [_failure(span) for span in found[-2:]] == [
        (StatusCode.ERROR, None, "22P02"),
        (StatusCode.ERROR, None, "25P02"),
    ]
    assert not any(span.events for span in found)


async def _then_fail(connection: AsyncConnection, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
    await work(connection)
    await notes(connection)


def _failure(span: ReadableSpan) -> tuple[StatusCode, str | None, object]:
    return span.status.status_code, span.status.description, (span.attributes or {}).get("error.type")


async def test_a_call_that_is_not_sampled_has_no_spans(database: Database, spans: InMemorySpanExporter) -> None:
    await database.read(notes)
    assert spans.get_finished_spans() == ()
