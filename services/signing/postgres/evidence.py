"""Evidence on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.signing.model import Evidence, EvidenceKind
from services.signing.schema import evidence


async def add_evidence(connection: AsyncConnection, wanted: Sequence[Evidence]) -> None:
    """Keeps evidence within a transaction; what is there stays."""
    # In one order everywhere, so that two writers never wait for each other in a circle.
    rows = sorted({one.sha256: one for one in wanted}.values(), key=lambda one: one.sha256)
    if rows:
        values = [{"sha256": one.sha256, "kind": one.kind.value, "content": one.content} for one in rows]
        await connection.execute(upsert(evidence).on_conflict_do_nothing(), values)


class PostgresEvidenceStore:
    """`EvidenceStore` on PostgreSQL; the application may not change or delete a row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, wanted: Sequence[Evidence]) -> None:
        """Keeps evidence."""
        await self._database.write(lambda connection: add_evidence(connection, wanted))

    async def sizes(self, hashes: Sequence[str]) -> Mapping[str, int]:
        """Bytes of each piece that is at hand."""

        async def work(connection: AsyncConnection) -> Mapping[str, int]:
            wanted = select(evidence.c.sha256, func.length(evidence.c.content).label("size"))
            found = await connection.execute(wanted.where(evidence.c.sha256.in_(hashes)))
            return {row.sha256: int(row.size) for row in found}

        return await self._database.read(work)

    async def get(self, hashes: Sequence[str]) -> Sequence[Evidence]:
        """The pieces that are at hand."""

        async def work(connection: AsyncConnection) -> Sequence[Evidence]:
            found = await connection.execute(select(evidence).where(evidence.c.sha256.in_(hashes)))
            return [Evidence(row.sha256, EvidenceKind(row.kind), row.content) for row in found]

        return await self._database.read(work)
