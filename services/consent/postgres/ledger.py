"""Reading the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.model import Access
from services.consent.ports import LedgerPlace
from services.consent.postgres import rows
from services.consent.postgres.tables import Tables
from services.consent.schema import access_entry


class LedgerTables(Tables):
    """Lines of the ledger; rows are only ever added, by decisions."""

    async def accesses(self, persons: Sequence[UUID], before: LedgerPlace | None, limit: int) -> Sequence[Access]:
        """Ledger lines of these entries, newest first; each entry's lines are in the order of their numbers."""

        async def work(connection: AsyncConnection) -> Sequence[Access]:
            line = access_entry.c
            wanted = select(access_entry).where(line.person_id.in_(persons))
            if before is not None:
                wanted = wanted.where(tuple_(line.at, line.sequence, line.id) < before)
            wanted = wanted.order_by(line.at.desc(), line.sequence.desc(), line.id.desc())
            found = await connection.execute(wanted.limit(limit))
            return [rows.access_in(row) for row in found.mappings()]

        return await self._database.read(work)
