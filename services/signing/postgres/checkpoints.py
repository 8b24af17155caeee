"""Published checkpoints with their cosignatures and time-stamps on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.signing.model import Checkpoint, CheckpointTimestamp, WitnessCosignature
from services.signing.schema import log_cosignature, log_timestamp, log_witnessed

_COLUMNS = (
    "SELECT c.size, c.root, c.note, c.published_at, w.size IS NOT NULL AS witnessed,"
    " ARRAY(SELECT s.line FROM log_cosignature s WHERE s.size = c.size ORDER BY s.witness) AS lines"
)
_PUBLISHED = " FROM log_checkpoint c LEFT JOIN log_witnessed w USING (size)"
_NEWEST = text(f"{_COLUMNS}{_PUBLISHED} ORDER BY c.size DESC LIMIT 1")
_OF_SIZE = text(f"{_COLUMNS}{_PUBLISHED} WHERE c.size = :size")
_NEWEST_WITNESSED = text(
    f"{_COLUMNS} FROM log_witnessed w JOIN log_checkpoint c USING (size) ORDER BY w.size DESC LIMIT 1"
)
_UNWITNESSED = text(
    "SELECT published_at FROM log_checkpoint"
    " WHERE size > COALESCE((SELECT max(size) FROM log_witnessed), -1) ORDER BY size LIMIT 1"
)
_LAST_COSIGNED = text("SELECT witness, max(size) AS size FROM log_cosignature GROUP BY witness")
_STAMPED = f"{_COLUMNS}, t.token, t.stated_at{_PUBLISHED} JOIN log_timestamp t USING (size)"
_STAMP_OVER = text(f"{_STAMPED} WHERE c.size >= :least ORDER BY c.size LIMIT 1")
_STAMP_NEWEST = text(f"{_STAMPED} ORDER BY c.size DESC LIMIT 1")


class PostgresCheckpointStore:
    """`CheckpointStore` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> Checkpoint | None:
        """The newest checkpoint."""
        return _checkpoint(await self._row(_NEWEST))

    async def newest_witnessed(self) -> Checkpoint | None:
        """The newest checkpoint with the quorum."""
        return _checkpoint(await self._row(_NEWEST_WITNESSED))

    async def of_size(self, size: int) -> Checkpoint | None:
        """The checkpoint of a size."""
        return _checkpoint(await self._row(_OF_SIZE, size=size))

    async def unwitnessed_since(self) -> datetime | None:
        """Since when the quorum is missing."""
        row = await self._row(_UNWITNESSED)
        if row is None:
            return None
        at: datetime = row.published_at
        return at

    async def last_cosigned(self) -> Mapping[str, int]:
        """How far each witness is."""

        async def work(connection: AsyncConnection) -> Mapping[str, int]:
            return {row.witness: int(row.size) for row in await connection.execute(_LAST_COSIGNED)}

        return await self._database.read(work)

    async def cosign(
        self, size: int, cosignatures: Sequence[WitnessCosignature], witnessed_at: datetime | None
    ) -> None:
        """Keeps cosignatures."""
        rows = [
            {"size": size, "witness": one.witness, "line": one.line, "seen_at": one.seen_at} for one in cosignatures
        ]

        async def work(connection: AsyncConnection) -> None:
            if rows:
                await connection.execute(insert(log_cosignature).values(rows).on_conflict_do_nothing())
            if witnessed_at is not None:
                mark = insert(log_witnessed).values(size=size, witnessed_at=witnessed_at)
                await connection.execute(mark.on_conflict_do_nothing())

        await self._database.write(work)

    async def stamp(self, stamped: CheckpointTimestamp) -> None:
        """Keeps a time-stamp."""
        row = insert(log_timestamp).values(
            size=stamped.checkpoint.size, token=stamped.token, stated_at=stamped.stated_at
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(row.on_conflict_do_nothing())

        await self._database.write(work)

    async def timestamp(self, least_size: int) -> CheckpointTimestamp | None:
        """A time-stamped checkpoint."""
        row = await (self._row(_STAMP_OVER, least=least_size) if least_size else self._row(_STAMP_NEWEST))
        checkpoint = _checkpoint(row)
        if row is None or checkpoint is None:
            return None
        return CheckpointTimestamp(checkpoint, bytes(row.token), row.stated_at)

    async def _row(self, statement: Any, **values: object) -> Any:
        async def work(connection: AsyncConnection) -> Any:
            return (await connection.execute(statement, values)).one_or_none()

        return await self._database.read(work)


def _checkpoint(row: Any) -> Checkpoint | None:
    if row is None:
        return None
    return Checkpoint(
        int(row.size), bytes(row.root), row.note, row.published_at, tuple(row.lines), witnessed=bool(row.witnessed)
    )
