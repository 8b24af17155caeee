"""Heads of ledgers on their way into the transparency log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from lienthong.client.tlog.merkle import HASH_SIZE
from sqlalchemy import select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.anchors import Anchored, AnchoredHead, Anchoring, Head
from services.consent.model import Access
from services.consent.postgres import rows
from services.consent.postgres.tables import Tables
from services.consent.schema import access_entry, anchor_entry

_KEY = 7_206_145_011
_ALONE = text(f"SELECT pg_try_advisory_xact_lock({_KEY})")
_GROWN = text("""
    SELECT person_id, sequence, hash FROM ledger_head WHERE sequence > anchored_sequence ORDER BY person_id LIMIT :limit
""")
# Locked in the order in which decisions lock them. A head that has grown meanwhile stays on the list.
_MOVE = text("""
    UPDATE ledger_head AS head SET anchored_sequence = said.sequence
    FROM (
        SELECT taken.person_id, new.sequence
        FROM unnest(CAST(:persons AS uuid[]), CAST(:sequences AS bigint[])) AS new (person_id, sequence)
        JOIN (
            SELECT person_id FROM ledger_head WHERE person_id = ANY (CAST(:persons AS uuid[])) ORDER BY person_id FOR NO KEY UPDATE
        ) AS taken USING (person_id)
    ) AS said
    WHERE head.person_id = said.person_id AND head.anchored_sequence < said.sequence
""")
_KEEP_HEADS = text("""
    INSERT INTO ledger_anchor (person_id, sequence, anchor_entry_id, head_hash, salt, leaf_index, path)
    SELECT person_id, sequence, CAST(:id AS uuid), head_hash, salt, leaf_index, path
    FROM unnest(CAST(:persons AS uuid[]), CAST(:sequences AS bigint[]), CAST(:hashes AS bytea[]), CAST(:salts AS bytea[]),
                CAST(:places AS integer[]), CAST(:paths AS bytea[])) AS t (person_id, sequence, head_hash, salt, leaf_index, path)
""")
# The newest that is proven, and where none is yet, the newest.
_NEWEST = text("""
    SELECT newest.* FROM unnest(CAST(:persons AS uuid[])) AS asked (person_id)
    CROSS JOIN LATERAL (
        SELECT a.person_id, a.sequence, a.head_hash, a.salt, a.leaf_index, a.path, e.tree_size, e.entry, e.anchored_at, e.tlog_proof
        FROM ledger_anchor a JOIN anchor_entry e ON e.id = a.anchor_entry_id
        WHERE a.person_id = asked.person_id
        ORDER BY e.tlog_proof IS NULL, a.sequence DESC LIMIT 1
    ) AS newest ORDER BY newest.person_id
""")


class AnchorTables(Tables):
    """Anchors. A head is anchored once at each length that was met; rows are added, and entries get their place and proof."""

    async def grown(self, limit: int) -> Sequence[Head]:
        """Heads that no anchor names yet."""

        async def work(connection: AsyncConnection) -> Sequence[Head]:
            found = await connection.execute(_GROWN, {"limit": limit})
            return [Head(row.person_id, row.sequence, bytes(row.hash)) for row in found]

        return await self._database.read(work)

    async def add_anchoring(self, new: Anchoring) -> bool:
        """Keeps an anchoring; False, and nothing, where another process is keeping one now."""

        async def work(connection: AsyncConnection) -> bool:
            if not (await connection.execute(_ALONE)).scalar_one():
                return False
            heads = [one.head for one in new.heads]
            persons, sequences = [one.person for one in heads], [one.sequence for one in heads]
            await connection.execute(
                insert(anchor_entry).values(
                    id=new.id, tree_size=len(heads), entry=new.entry, anchored_at=new.anchored_at
                )
            )
            await connection.execute(
                _KEEP_HEADS,
                {
                    "id": new.id,
                    "persons": persons,
                    "sequences": sequences,
                    "hashes": [one.hash for one in heads],
                    "salts": [one.salt for one in new.heads],
                    "places": [one.leaf_index for one in new.heads],
                    "paths": [b"".join(one.path) for one in new.heads],
                },
            )
            # The locks come last: decisions wait for them.
            await connection.execute(_MOVE, {"persons": persons, "sequences": sequences})
            return True

        return await self._database.write(work)

    async def unlogged(self, limit: int) -> Sequence[tuple[UUID, bytes]]:
        """Entries without a place in the log."""

        async def work(connection: AsyncConnection) -> Sequence[tuple[UUID, bytes]]:
            one = anchor_entry.c
            wanted = select(one.id, one.entry).where(one.log_index.is_(None), one.tlog_proof.is_(None))
            found = await connection.execute(wanted.order_by(one.id).limit(limit))
            return [(row.id, bytes(row.entry)) for row in found]

        return await self._database.read(work)

    async def place(self, places: Mapping[UUID, int]) -> None:
        """Keeps the places of entries."""
        await self._set("log_index", places)

    async def unproven(self, limit: int) -> Sequence[tuple[UUID, int]]:
        """Entries with a place and without a proof."""

        async def work(connection: AsyncConnection) -> Sequence[tuple[UUID, int]]:
            one = anchor_entry.c
            wanted = select(one.id, one.log_index).where(one.log_index.is_not(None), one.tlog_proof.is_(None))
            found = await connection.execute(wanted.order_by(one.id).limit(limit))
            return [(row.id, row.log_index) for row in found]

        return await self._database.read(work)

    async def prove(self, proofs: Mapping[UUID, str]) -> None:
        """Keeps the proofs of entries."""
        await self._set("tlog_proof", proofs)

    async def _set(self, column: str, values: Mapping[UUID, Any]) -> None:
        async def work(connection: AsyncConnection) -> None:
            for id, value in sorted(values.items()):
                await connection.execute(update(anchor_entry).where(anchor_entry.c.id == id).values({column: value}))

        await self._database.write(work)

    async def lines(self, persons: Sequence[UUID], after: tuple[UUID, int] | None, limit: int) -> Sequence[Access]:
        """Lines of these entries, by entry and number, after a place."""

        async def work(connection: AsyncConnection) -> Sequence[Access]:
            line = access_entry.c
            wanted = select(access_entry).where(line.person_id.in_(persons))
            if after is not None:
                wanted = wanted.where(tuple_(line.person_id, line.sequence) > after)
            found = await connection.execute(wanted.order_by(line.person_id, line.sequence).limit(limit))
            return [rows.access_in(row) for row in found.mappings()]

        return await self._database.read(work)

    async def anchors(self, persons: Sequence[UUID]) -> Sequence[Anchored]:
        """The newest proven anchor of each of these entries, or the newest where none is proven."""

        async def work(connection: AsyncConnection) -> Sequence[Anchored]:
            found = await connection.execute(_NEWEST, {"persons": list(persons)})
            return [_anchored(row) for row in found.mappings()]

        return await self._database.read(work)


def _anchored(row: rows.Row) -> Anchored:
    path = bytes(row["path"])
    hashes = tuple(path[at : at + HASH_SIZE] for at in range(0, len(path), HASH_SIZE))
    head = Head(row["person_id"], row["sequence"], bytes(row["head_hash"]))
    return Anchored(
        AnchoredHead(head, bytes(row["salt"]), row["leaf_index"], hashes),
        row["tree_size"],
        bytes(row["entry"]),
        row["anchored_at"],
        row["tlog_proof"] or "",
    )
