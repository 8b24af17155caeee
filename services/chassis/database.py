"""The role's database: one async engine on psycopg, writes as closures that are run again on serialization faults, and a span per statement."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

import psycopg
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.chassis.errors import DatabaseUnavailable
from services.chassis.settings import DatabaseSettings

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
_ATTEMPTS = 5
_RETRYABLE = frozenset({"40001", "40P01"})
# Connection faults, resources exhausted, operator intervention: the database is not there for us now (PostgreSQL appendix A).
_DOWN = ("08", "53", "57")
_STATEMENT = re.compile(
    r"^\s*(?:WITH\b.*?\)\s*)?(SELECT|INSERT|UPDATE|DELETE|COPY)\b(?:.*?\b(?:FROM|INTO|UPDATE)\s+|\s+)([a-z_][a-z0-9_]*)?",
    re.IGNORECASE | re.DOTALL,
)


class Database:
    """An async context manager around the engine. The pool is bounded; waiting for a connection is too."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._engine: AsyncEngine = create_async_engine(
            settings.url,
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.pool_timeout_seconds,
            connect_args={
                "connect_timeout": 3,
                "options": f"-c statement_timeout={settings.statement_timeout_ms} -c timezone=UTC",
                "prepare_threshold": 3,
            },
        )
        _trace_statements(self._engine)

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._engine.dispose()

    async def write(self, work: Work[T]) -> T:
        """Runs the closure in one transaction and commits. Runs it again on serialization failure and deadlock, so it must have no other effect
        than its statements. Raises DatabaseUnavailable when the database is not there, the commit's outcome then being unknown."""
        for attempt in range(_ATTEMPTS):
            try:
                async with self._engine.begin() as connection:
                    return await work(connection)
            except DBAPIError as error:
                if _state(error) in _RETRYABLE and attempt + 1 < _ATTEMPTS:
                    await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
                    continue
                raise _translated(error) from error
            except (PoolTimeout, psycopg.OperationalError, OSError) as error:
                raise DatabaseUnavailable from error
        raise AssertionError("unreachable")

    async def read(self, work: Work[T]) -> T:
        """Runs the closure without a transaction, each statement on its own. One new try when the pooled connection turns out to be dead."""
        for attempt in range(2):
            try:
                async with self._engine.connect() as plain:
                    connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
                    return await work(connection)
            except DBAPIError as error:
                if attempt == 0 and error.connection_invalidated:
                    continue
                raise _translated(error) from error
            except (PoolTimeout, psycopg.OperationalError, OSError) as error:
                raise DatabaseUnavailable from error
        raise AssertionError("unreachable")

    async def ping(self) -> None:
        """Raises DatabaseUnavailable when the database does not answer."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("SELECT 1"))

        await self.read(work)


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _translated(error: DBAPIError) -> Exception:
    """DatabaseUnavailable for what a retry may mend; anything else is a bug and stays what it is."""
    state = _state(error)
    down = (
        error.connection_invalidated
        or state.startswith(_DOWN)
        or (not state and isinstance(error, OperationalError | InterfaceError))
    )
    return DatabaseUnavailable() if down else error


def _trace_statements(engine: AsyncEngine) -> None:
    """A CLIENT span per statement, named by verb and table; never its text or parameters."""
    names: dict[str, tuple[str, str]] = {}

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def before(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:  # noqa: FBT001, PLR0913 - the event's signature
        if not trace.get_current_span().is_recording():
            return
        if statement not in names:
            if len(names) > 1000:
                names.clear()
            names[statement] = _named(statement)
        verb, table = names[statement]
        attributes = {"db.system.name": "postgresql", "db.operation.name": verb, "db.collection.name": table}
        connection.info["span"] = trace.get_tracer("lienthong").start_span(
            f"{verb} {table}".strip(),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        )

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def after(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:  # noqa: FBT001, PLR0913 - the event's signature
        span = connection.info.pop("span", None)
        if span is not None:
            span.end()

    @event.listens_for(engine.sync_engine, "handle_error")
    def failed(context: Any) -> None:
        span = context.connection.info.pop("span", None) if context.connection is not None else None
        if span is not None:
            span.end()


def _named(statement: str) -> tuple[str, str]:
    found = _STATEMENT.match(statement)
    return (found.group(1).upper(), (found.group(2) or "").lower()) if found else ("OTHER", "")
