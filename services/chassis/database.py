"""The role's database: one async engine on psycopg, writes as closures that are run again when that is safe, and a
span per statement.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.chassis.errors import DatabaseUnavailable
from services.chassis.settings import DatabaseSettings
from services.chassis.statements import trace_statements

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
_ATTEMPTS = 5
_CONNECT_SECONDS = 3
# A closure may take this many statement timeouts. It ends a call to a server that is frozen, whose own timeout is too.
_STATEMENTS = 3
_CONFLICT = frozenset({"40001", "40P01"})
# The session is over: the server restarts, was told to end it, or has become a standby (PostgreSQL appendix A).
_ENDED = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25006"})
# Connection faults, resources exhausted, intervention and timeouts, lock not to be had, faults of the machine.
_DOWN = ("08", "53", "57", "55P03", "58", "25006", "25P03")


class Database:
    """An async context manager around the engine. The pool is bounded, and so is waiting for a connection, a statement
    and a closure; whatever runs out is DatabaseUnavailable.

    Connections are not pinged before use, which would cost every operation a round trip (measured: 150 to 220 us, 20 to
    45 %). One that died in the pool is found when it is used, and the closure is run again on a fresh one.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        timeout = settings.statement_timeout_ms
        self._seconds = _STATEMENTS * timeout / 1000
        options = {
            "statement_timeout": timeout,
            # A transaction whose closure hangs must not hold its locks for ever.
            "idle_in_transaction_session_timeout": _STATEMENTS * timeout,
            "timezone": "UTC",
            # Statements here are short; compiling one costs more than running it.
            "jit": "off",
        }
        self._engine: AsyncEngine = create_async_engine(
            settings.url,
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.pool_timeout_seconds,
            skip_autocommit_rollback=True,
            # Errors carry the statement's parameters into whatever prints them.
            hide_parameters=True,
            connect_args={
                "application_name": f"lienthong-{make_url(settings.url).database}",
                "connect_timeout": _CONNECT_SECONDS,
                "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
                "prepare_threshold": 3,
            },
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        trace_statements(self._engine)

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._engine.dispose()

    async def write(self, work: Work[T]) -> T:
        """Runs the closure in one transaction and commits. Runs it again on serialization failure and deadlock, and once
        when the connection is lost before the commit; it MUST have no other effect than its statements.

        Raises DatabaseUnavailable when the database is not there. If that happens during the commit its outcome is
        unknown, which is why every write carries a request id.
        """
        lost = False
        for attempt in range(_ATTEMPTS):
            committing = False
            try:
                async with self._bounded(), self._engine.connect() as connection:
                    transaction = await connection.begin()
                    result = await work(connection)
                    committing = True
                    await transaction.commit()
                    return result
            except (DBAPIError, psycopg.Error) as error:
                if _state(error) in _CONFLICT and attempt + 1 < _ATTEMPTS:
                    await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
                elif not committing and not lost and await self._renewed(error):
                    lost = True
                else:
                    raise _translated(error) from None
            except PoolTimeout:
                raise DatabaseUnavailable from None
        raise AssertionError("unreachable")

    async def read(self, work: Work[T]) -> T:
        """Runs the closure without a transaction, each statement on its own; once more when the connection is lost.
        Raises DatabaseUnavailable when the database is not there.
        """
        for attempt in range(2):
            try:
                async with self._bounded(), self._autocommit.connect() as connection:
                    return await work(connection)
            except (DBAPIError, psycopg.Error) as error:
                if attempt == 0 and await self._renewed(error):
                    continue
                raise _translated(error) from None
            except PoolTimeout:
                raise DatabaseUnavailable from None
        raise AssertionError("unreachable")

    async def ping(self) -> None:
        """Raises DatabaseUnavailable when the database does not answer."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("SELECT 1"))

        await self.read(work)

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds) as limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise DatabaseUnavailable from None
            raise

    async def _renewed(self, error: DBAPIError | psycopg.Error) -> bool:
        """Whether an established connection was lost; if so, the pool has been rid of all that are as old."""
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        ended = _state(error) in _ENDED
        # On the driver's own connection (`hot`), which the pool doesn't watch, a lost connection has no SQLSTATE.
        dead = isinstance(error, psycopg.OperationalError) and not error.sqlstate
        if ended or dead:
            await self._engine.dispose()
        return ended or dead


async def hot(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """The driver's own connection, in the same transaction: for statements on the hottest paths, which cost the client
    half as much there (measured: a point read 317 against 511 us under load; prepare them with `prepare=True`).

    Statements on it have no span of their own; give them one with `statements.statement_span`.
    """
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise TypeError("the engine is not on psycopg")
    return driver


def _state(error: DBAPIError | psycopg.Error) -> str:
    origin = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(origin, "sqlstate", None) or "")


def _translated(error: DBAPIError | psycopg.Error) -> Exception:
    """DatabaseUnavailable for what a retry may mend, without the driver's text; else a bug, which stays what it is."""
    state = _state(error)
    origin = error.orig if isinstance(error, DBAPIError) else error
    unstated = not state and isinstance(origin, psycopg.OperationalError | psycopg.InterfaceError)
    invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    return DatabaseUnavailable() if invalidated or unstated or state.startswith(_DOWN) else error
