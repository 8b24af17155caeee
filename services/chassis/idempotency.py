"""The same request twice gets the first answer (AIP-155), where an id derived from the request will not do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from alembic.operations import Operations
from sqlalchemy import Column, DateTime, LargeBinary, MetaData, String, Table, TableClause, column, func, select, table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import RequestIdReused

_NAME = "request"
_REQUEST = table(_NAME, *(column(name) for name in ("scope", "request_id", "digest", "answer", "made_at")))


def _columns() -> list[Column[object]]:
    return [
        Column("scope", String(200), primary_key=True),
        Column("request_id", String(64), primary_key=True),
        Column("digest", LargeBinary, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("made_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ]


def request_table(metadata: MetaData) -> Table:
    """The table of first answers. An answer that holds a person's data MUST be sealed, or be only the name of what was
    made.
    """
    return Table(_NAME, metadata, *_columns())


def create_requests(op: Operations) -> None:
    """Makes the table in a migration; `once` needs SELECT, INSERT and UPDATE on it, `forget` also DELETE."""
    op.create_table(_NAME, *_columns())


async def once(
    connection: AsyncConnection,
    *,
    scope: str,
    request_id: str,
    digest: bytes,
    work: Callable[[], Awaitable[bytes]],
    table: TableClause = _REQUEST,
    also: Collection[bytes] = (),
) -> bytes:
    """Does the work the first time and returns its answer every time, inside the caller's transaction. `scope` is caller
    and method. Two at once: the second waits for the first's commit, and does the work itself if the first fails.
    Raises RequestIdReused when the digest of the request differs; `also` are digests of it by other means.
    """
    placed = await connection.execute(
        insert(table)
        .values(scope=scope, request_id=request_id, digest=digest, answer=b"")
        .on_conflict_do_nothing()
        .returning(table.c.request_id)
    )
    mine = (table.c.scope == scope) & (table.c.request_id == request_id)
    if placed.scalar_one_or_none() is None:
        first = (await connection.execute(select(table.c.digest, table.c.answer).where(mine))).one()
        if bytes(first.digest) not in (digest, *also):
            raise RequestIdReused("this request id was used for another request")
        return bytes(first.answer)
    answer = await work()
    await connection.execute(table.update().where(mine).values(answer=answer))
    return answer


async def forget(connection: AsyncConnection, before: datetime, *, table: TableClause = _REQUEST) -> int:
    """Drops answers given before a time; returns how many. A retry later than that is a new request, so keep them for
    longer than any client retries. Reads the whole table: a job for quiet hours.
    """
    return int((await connection.execute(table.delete().where(table.c.made_at < before))).rowcount)
