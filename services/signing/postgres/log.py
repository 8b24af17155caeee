"""The transparency log on PostgreSQL. Appends that wait at the same time share one transaction, and rows go in by COPY.

The single row of `log_state` is the writer's lock: whoever holds it appends or publishes, so the tree never forks and indexes are dense.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lienthong.client.tlog.merkle import Node, frontier, leaf_hash, root_of
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database, hot
from services.chassis.statements import statement_span
from services.signing.errors import LogForked
from services.signing.model import Checkpoint
from services.signing.ports import CheckpointSigner
from services.signing.schema import log_checkpoint
from services.signing.tree import LEAST_STORED, folded, grow, leaves_under

SHARED_ENTRIES = 8_000
"""Most entries of one transaction, unless one request has more."""
WAITING_ENTRIES = 20_000
"""Most entries that wait in memory; whoever brings more waits at the door, until its deadline."""

_LOCK = text("SELECT size FROM log_state WHERE id = 1 FOR UPDATE")
_KNOWN = "SELECT leaf_hash, leaf_index FROM log_entry WHERE leaf_hash = ANY(%b)"
_COPY_ENTRIES = "COPY log_entry (leaf_index, leaf_hash, entry) FROM STDIN (FORMAT BINARY)"
_COPY_NODES = "COPY log_node (level, index, hash) FROM STDIN (FORMAT BINARY)"
_SET_SIZE = text("UPDATE log_state SET size = :size WHERE id = 1")
_NODES = text(
    "SELECT level, index, hash FROM log_node"
    " JOIN unnest(CAST(:levels AS smallint[]), CAST(:indexes AS bigint[])) AS wanted (level, index) USING (level, index)"
)
_LEAVES = text("SELECT leaf_index, leaf_hash FROM log_entry WHERE leaf_index = ANY(CAST(:indexes AS bigint[]))")
_ENTRIES = text("SELECT entry FROM log_entry WHERE leaf_index >= :start ORDER BY leaf_index LIMIT :limit")
_ENTRIES_AT = text("SELECT leaf_index, entry FROM log_entry WHERE leaf_index = ANY(CAST(:indexes AS bigint[]))")


@dataclass(frozen=True)
class _Waiting:
    """A request that waits for its turn."""

    hashes: Sequence[bytes]
    entries: Sequence[bytes]
    done: asyncio.Future[Sequence[int]]


class PostgresLogStore:
    """`LogStore` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._room = asyncio.Condition()
        self._writer: asyncio.Task[None] | None = None
        # Frontier of the tree as this process left it; used only while the size under the lock is still the same.
        self._edge: tuple[int, Mapping[Node, bytes]] = (0, {})

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """Appends the entries that are new; durable when it returns. Whoever gives up waiting may find them appended all the same."""
        waiting = _Waiting([leaf_hash(entry) for entry in entries], entries, asyncio.get_running_loop().create_future())
        async with self._room:
            await self._room.wait_for(lambda: self._queued == 0 or self._queued + len(entries) <= WAITING_ENTRIES)
            self._queued += len(entries)
            self._queue.append(waiting)
        if self._writer is None or self._writer.done():
            # A context of its own: the transaction belongs to no caller's span.
            self._writer = asyncio.create_task(self._write(), name="append", context=contextvars.Context())
        return await waiting.done

    async def _write(self) -> None:
        """Commits what waits, as much as one transaction may hold at a time, until nothing waits."""
        while self._queue:
            group = [self._queue.popleft()]
            count = len(group[0].entries)
            while self._queue and count + len(self._queue[0].entries) <= SHARED_ENTRIES:
                group.append(self._queue.popleft())
                count += len(group[-1].entries)
            waiting = [one for one in group if not one.done.done()]
            try:
                placed = await self._append(waiting) if waiting else {}
            except Exception as error:  # noqa: BLE001 - it is each caller's to see
                for one in waiting:
                    if not one.done.done():
                        one.done.set_exception(error)
            else:
                for one in waiting:
                    if not one.done.done():
                        one.done.set_result([placed[digest] for digest in one.hashes])
            async with self._room:
                self._queued -= count
                self._room.notify_all()

    async def _append(self, group: Sequence[_Waiting]) -> Mapping[bytes, int]:
        """One transaction: the index of every entry of the group, by leaf hash."""
        offered: dict[bytes, bytes] = {}
        for one in group:
            offered.update(zip(one.hashes, one.entries, strict=True))

        async def work(connection: AsyncConnection) -> tuple[dict[bytes, int], tuple[int, Mapping[Node, bytes]]]:
            size = int((await connection.execute(_LOCK)).scalar_one())
            driver = await hot(connection)
            with statement_span("SELECT", "log_entry"):
                found = await driver.execute(_KNOWN, [list(offered)], binary=True, prepare=True)
                placed = {bytes(row[0]): int(row[1]) for row in await found.fetchall()}
            leaves = [digest for digest in offered if digest not in placed]
            edge = self._edge
            if edge[0] != size:
                edge = (size, await _nodes(connection, frontier(size)))
            if not leaves:
                return placed, edge
            nodes = grow(size, edge[1], leaves)
            end = size + len(leaves)
            async with driver.cursor() as cursor:
                with statement_span("COPY", "log_entry"):
                    async with cursor.copy(_COPY_ENTRIES) as copy:
                        copy.set_types(["int8", "bytea", "bytea"])
                        for index, digest in enumerate(leaves, start=size):
                            await copy.write_row((index, digest, offered[digest]))
                with statement_span("COPY", "log_node"):
                    async with cursor.copy(_COPY_NODES) as copy:
                        copy.set_types(["int2", "int8", "bytea"])
                        for (level, index), digest in nodes.items():
                            if level >= LEAST_STORED:
                                await copy.write_row((level, index, digest))
            await connection.execute(_SET_SIZE, {"size": end})
            placed.update(zip(leaves, range(size, end), strict=True))
            return placed, (end, {node: nodes.get(node) or edge[1][node] for node in frontier(end)})

        placed, self._edge = await self._database.write(work)
        return placed

    async def publish(self, sign: CheckpointSigner, at: datetime) -> Checkpoint | None:
        """Signs a checkpoint of the current tree, unless the newest one covers it already."""

        async def work(connection: AsyncConnection) -> Checkpoint | None:
            size = int((await connection.execute(_LOCK)).scalar_one())
            last = await _newest(connection)
            if size == 0 or (last is not None and last.size == size):
                return None
            wanted = frontier(size) + (frontier(last.size) if last else [])
            nodes = await _nodes(connection, wanted)
            if len(nodes) < len(set(wanted)):
                raise LogForked("rows of the tree are missing")
            # The tree of the last checkpoint, computed from today's rows, must still have the root that was signed then.
            if last is not None and (size < last.size or root_of(last.size, nodes) != last.root):
                raise LogForked("the stored tree does not extend the last signed checkpoint")
            root = root_of(size, nodes)
            checkpoint = Checkpoint(size, root, sign(size, root), at)
            if last is not None and checkpoint.note.split("\n", 1)[0] != last.note.split("\n", 1)[0]:
                raise LogForked("the tree was signed under another origin before")
            await connection.execute(
                insert(log_checkpoint).values(size=size, root=root, note=checkpoint.note, published_at=at)
            )
            return checkpoint

        return await self._database.write(work)

    async def nodes(self, wanted: Sequence[Node]) -> Mapping[Node, bytes]:
        """Hashes of complete subtrees; nodes that do not exist are absent."""
        if not wanted:
            return {}

        async def work(connection: AsyncConnection) -> Mapping[Node, bytes]:
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


async def _nodes(connection: AsyncConnection, wanted: Sequence[Node]) -> dict[Node, bytes]:
    stored = [node for node in wanted if node[0] >= LEAST_STORED]
    nodes: dict[Node, bytes] = {}
    if stored:
        found = await connection.execute(
            _NODES, {"levels": [level for level, _ in stored], "indexes": [index for _, index in stored]}
        )
        nodes = {(int(row[0]), int(row[1])): bytes(row[2]) for row in found}
    if indexes := leaves_under(wanted):
        leaves = await connection.execute(_LEAVES, {"indexes": indexes})
        nodes |= folded(wanted, {int(row[0]): bytes(row[1]) for row in leaves})
    return nodes
