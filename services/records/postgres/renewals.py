"""Archive time-stamps and until when documents are protected, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.records.postgres.vault import Vault
from services.records.proof import Ending, Renewal

_FOREVER = datetime(9999, 12, 30, tzinfo=UTC)
_RENEWALS = text(
    "SELECT number, renewed_at, protected_until, listing, record FROM seal_renewal"
    " WHERE facility_id = :facility AND document_id = :id ORDER BY number"
)
_RENEW = text(
    "WITH new AS (INSERT INTO seal_renewal (facility_id, document_id, number, renewed_at, protected_until, listing,"
    " record) SELECT * FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:numbers AS smallint[]),"
    " CAST(:times AS timestamptz[]), CAST(:ends AS timestamptz[]), CAST(:listings AS bytea[]), CAST(:records AS bytea[]))"
    " ON CONFLICT DO NOTHING RETURNING facility_id, document_id, protected_until)"
    " UPDATE progress p SET protected_until = new.protected_until FROM new"
    " WHERE p.facility_id = new.facility_id AND p.submission_id = new.document_id"
)
_ENDING = text(
    "SELECT facility_id, submission_id, protected_until FROM progress"
    " WHERE tlog_proof IS NOT NULL AND protected_until < :before AND (CAST(:after_id AS uuid) IS NULL"
    " OR (protected_until, submission_id) > (CAST(:after_until AS timestamptz), CAST(:after_id AS uuid)))"
    " ORDER BY protected_until, submission_id LIMIT :limit"
)
_END = text(
    "UPDATE progress p SET protected_until = :at FROM (SELECT q.facility_id, q.submission_id FROM progress q"
    " LEFT JOIN LATERAL (SELECT renewed_at FROM seal_renewal r WHERE r.facility_id = q.facility_id"
    " AND r.document_id = q.submission_id ORDER BY number DESC LIMIT 1) last ON true"
    " WHERE q.tlog_proof IS NOT NULL AND q.protected_until > :at AND q.protected_until < :forever"
    " AND (last.renewed_at IS NULL OR last.renewed_at < :renewed_before)"
    " ORDER BY q.protected_until LIMIT :limit) found"
    " WHERE p.facility_id = found.facility_id AND p.submission_id = found.submission_id"
)
_RELEASE = text(
    "UPDATE progress p SET protected_until = :forever"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[])) AS gone (facility_id, id)"
    " WHERE p.facility_id = gone.facility_id AND p.submission_id = gone.id"
)


class RenewalTables:
    """The part of the store that keeps archive time-stamps."""

    _database: Database
    _vault: Vault

    async def renewals(self, facility: str, id: UUID) -> Sequence[Renewal]:
        """Archive time-stamps of a document."""

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_RENEWALS, {"facility": facility, "id": id}))

        return [
            Renewal(
                facility,
                id,
                row.number,
                row.renewed_at,
                row.protected_until,
                self._vault.decompress(row.listing),
                self._vault.decompress(row.record),
            )
            for row in await self._database.read(work)
        ]

    async def renew(self, renewals: Sequence[Renewal]) -> None:
        """Keeps archive time-stamps."""
        values = {
            "facilities": [one.facility for one in renewals],
            "ids": [one.document for one in renewals],
            "numbers": [one.number for one in renewals],
            "times": [one.renewed_at for one in renewals],
            "ends": [one.protected_until for one in renewals],
            "listings": [self._vault.compress(one.listing) for one in renewals],
            "records": [self._vault.compress(one.record) for one in renewals],
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_RENEW, values)

        await self._database.write(work)

    async def ending(self, before: datetime, after: Ending | None, limit: int) -> Sequence[Ending]:
        """Documents whose protection ends."""
        values = {
            "before": before,
            "after_until": None if after is None else after.protected_until,
            "after_id": None if after is None else after.document,
            "limit": limit,
        }

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_ENDING, values))

        return [
            Ending(row.facility_id, row.submission_id, row.protected_until) for row in await self._database.read(work)
        ]

    async def end_protection(self, renewed_before: datetime, at: datetime, limit: int) -> int:
        """Lets protection end now."""
        values = {"renewed_before": renewed_before, "at": at, "limit": limit, "forever": _FOREVER}

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(_END, values)).rowcount)

        return await self._database.write(work)

    async def release(self, places: Sequence[tuple[str, UUID]]) -> None:
        """Protects no further."""
        if not places:
            return
        values = {
            "facilities": [facility for facility, _ in places],
            "ids": [id for _, id in places],
            "forever": _FOREVER,
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_RELEASE, values)

        await self._database.write(work)
