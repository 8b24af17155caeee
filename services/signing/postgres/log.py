"""The transparency log on PostgreSQL: hot statements in plain SQL, one round trip per batch.

The single row of `log_state` is the writer's lock: whoever holds it appends or publishes, so the tree never forks and indexes are dense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from lienthong.client.tlog.merkle import frontier, leaf_hash, root_of
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.signing.errors import LogForked
from services.signing.model import Checkpoint
from services.signing.ports import CheckpointSigner
from services.signing.schema import log_checkpoint
from services.signing.tree import grow

_LOCK = text("SELECT size FROM log_state WHERE id = 1 FOR UPDATE")
_KNOWN = text("SELECT leaf_hash, leaf_index FROM log_entry WHERE leaf_hash = ANY(CAST(:hashes AS bytea[]))")
_ADD_ENTRIES = text(
    "INSERT INTO log_entry (leaf_index, leaf_hash, entry)"
    " SELECT * FROM unnest(CAST(:indexes AS bigint[]), CAST(:hashes AS bytea[]), CAST(:entries AS bytea[]))"
)
_ADD_NODES = text(
    "INSERT INTO log_node (level, index, hash)"
    " SELECT * FROM unnest(CAST(:levels AS smallint[]), CAST(:indexes AS bigint[]), CAST(:hashes AS bytea[]))"
)
_SET_SIZE = text("UPDATE log_state SET size = :size WHERE id = 1")
_NODES = text(
    "SELECT level, index, hash FROM log_node"
    " JOIN unnest(CAST(:levels AS smallint[]), CAST(:indexes AS bigint[])) AS wanted (level, index) USING (level, index)"
)
_ENTRIES = text("SELECT entry FROM log_entry WHERE leaf_index >= :start ORDER BY leaf_index LIMIT :limit")
_ENTRIES_AT = text("SELECT leaf_index, entry FROM log_entry WHERE leaf_index = ANY(CAST(:indexes AS bigint[]))")


class PostgresLogStore:
    """`LogStore` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """Appends the entries that are new; one transaction, durable when it returns."""
        hashes = [leaf_hash(entry) for entry in entries]

        async def work(connection: AsyncConnection) -> Sequence[int]:
            size = int((await connection.execute(_LOCK)).scalar_one())
            known = {bytes(row[0]): int(row[1]) for row in await connection.execute(_KNOWN, {"hashes": hashes})}
            fresh: dict[bytes, bytes] = {}
            for digest, entry in zip(hashes, entries, strict=True):
                if digest not in known:
                    fresh.setdefault(digest, entry)
            if fresh:
                leaves = list(fresh)
                indexes = range(size, size + len(leaves))
                edge = await _nodes(connection, frontier(size))
                nodes = grow(size, edge, leaves)
                await connection.execute(
                    _ADD_ENTRIES, {"indexes": list(indexes), "hashes": leaves, "entries": list(fresh.values())}
                )
                await connection.execute(
                    _ADD_NODES,
                    {
                        "levels": [level for level, _ in nodes],
                        "indexes": [index for _, index in nodes],
                        "hashes": list(nodes.values()),
                    },
                )
                await connection.execute(_SET_SIZE, {"size": size + len(leaves)})
                known.update(zip(leaves, indexes, strict=True))
            return [known[digest] for digest in hashes]

        return await self._database.write(work)

    async def publish(self, sign: CheckpointSigner, at: datetime) -> Checkpoint | None:
        """Signs a checkpoint of the current tree, unless the newest one covers it already."""

        async def work(connection: AsyncConnection) -> Checkpoint | None:
            size = int((await connection.execute(_LOCK)).scalar_one())
            last = await _newest(connection)
            if size == 0 or (last is not None and last.size == size):
                return None
            wanted = frontier(size) + (frontier(last.size) if last else [])
            nodes = await _nodes(connection, wanted)
            # The tree of the last checkpoint, computed from today's rows, must still have the root that was signed then.
            if last is not None and (size < last.size or root_of(last.size, nodes) != last.root):
                raise LogForked("the stored tree does not extend the last signed checkpoint")
            root = root_of(size, nodes)
            checkpoint = Checkpoint(size, root, sign(size, root), at)
            await connection.execute(
                insert(log_checkpoint).values(size=size, root=root, note=checkpoint.note, published_at=at)
            )
            return checkpoint

        return await self._database.write(work)

    async def checkpoint(self) -> Checkpoint | None:
        """The newest published checkpoint."""
        return await self._database.read(_newest)

    async def nodes(self, wanted: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Hashes of complete subtrees; nodes that do not exist are absent."""
        if not wanted:
            return {}

        async def work(connection: AsyncConnection) -> Mapping[tuple[int, int], bytes]:
            return await _nodes(connection, wanted)

        return await self._database.read(work)

    async def entries(self, start: int, limit: int) -> Sequence[bytes]:
        """Entry bytes from an index on."""

        async def work(connection: AsyncConnection) -> Sequence[bytes]:
            return [bytes(row[0]) for row in await connection.execute(_ENTRIES, {"start": start, "limit": limit})]

        return await self._database.read(work)

    async def entries_at(self, indexes: Sequence[int]) -> Mapping[int, bytes]:
        """Entry bytes by index; entries that do not exist are absent."""

        async def work(connection: AsyncConnection) -> Mapping[int, bytes]:
            found = await connection.execute(_ENTRIES_AT, {"indexes": list(indexes)})
            return {int(row[0]): bytes(row[1]) for row in found}

        return await self._database.read(work)


async def _newest(connection: AsyncConnection) -> Checkpoint | None:
    newest = select(log_checkpoint).order_by(log_checkpoint.c.size.desc()).limit(1)
    row = (await connection.execute(newest)).one_or_none()
    return None if row is None else Checkpoint(int(row.size), bytes(row.root), row.note, row.published_at)


async def _nodes(connection: AsyncConnection, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    if not wanted:
        return {}
    found = await connection.execute(
        _NODES, {"levels": [level for level, _ in wanted], "indexes": [index for _, index in wanted]}
    )
    return {(int(row[0]), int(row[1])): bytes(row[2]) for row in found}
