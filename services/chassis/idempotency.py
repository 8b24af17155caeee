"""The same request twice gets the first answer (AIP-155), where an id derived from the request will not do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from alembic.operations import Operations
from sqlalchemy import Column, DateTime, LargeBinary, MetaData, String, Table, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import RequestIdReused

_NAME = "request"


def _columns() -> list[Column[object]]:
    return [
        Column("scope", String(200), primary_key=True),
        Column("request_id", String(64), primary_key=True),
        Column("digest", LargeBinary, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("made_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ]


def request_table(metadata: MetaData) -> Table:
    """The table of first answers."""
    return Table(_NAME, metadata, *_columns())


def create_requests(op: Operations) -> None:
    """Makes the table in a migration."""
    op.create_table(_NAME, *_columns())


async def once(
    connection: AsyncConnection,
    *,
    table: Table,
    scope: str,
    request_id: str,
    digest: bytes,
    work: Callable[[], Awaitable[bytes]],
) -> bytes:
    """Does the work the first time and returns its answer every time, inside the caller's transaction. `scope` is caller and method. Two at once: the
    second waits for the first's commit. Raises RequestIdReused when the digest of the request differs."""
    placed = await connection.execute(
        insert(table)
        .values(scope=scope, request_id=request_id, digest=digest, answer=b"")
        .on_conflict_do_nothing()
        .returning(table.c.request_id)
    )
    mine = (table.c.scope == scope) & (table.c.request_id == request_id)
    if placed.scalar_one_or_none() is None:
        first = (await connection.execute(select(table.c.digest, table.c.answer).where(mine))).one()
        if bytes(first.digest) != digest:
            raise RequestIdReused("this request id was used for another request")
        return bytes(first.answer)
    answer = await work()
    await connection.execute(table.update().where(mine).values(answer=answer))
    return answer
