"""Scans of signed papers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.keyring import open_sealed, seal, sealed_from_bytes
from services.consent.postgres.tables import Tables
from services.consent.schema import consent_scan


class PaperTables(Tables):
    """`PaperStore`."""

    async def keep_scan(self, person: UUID, sha256: str, scan: bytes, at: datetime) -> None:
        """Keeps a scan under the person's key."""

        async def work(connection: AsyncConnection) -> None:
            key = (await self._keys.find_or_make(connection, [person]))[person]
            sealed = seal(key, scan, _place(person, sha256)).to_bytes()
            row = {"person_id": person, "sha256": sha256, "scan_sealed": sealed, "recorded_at": at}
            await connection.execute(insert(consent_scan).values(row).on_conflict_do_nothing())

        await self._database.write(work)

    async def scan(self, person: UUID, sha256: str) -> bytes | None:
        """A scan that was kept. Raises DataErased."""
        one = consent_scan.c
        wanted = select(one.scan_sealed).where(one.person_id == person, one.sha256 == sha256)

        async def work(connection: AsyncConnection) -> bytes | None:
            sealed = (await connection.execute(wanted)).scalar_one_or_none()
            if sealed is None:
                return None
            key = (await self._keys.find(connection, [person]))[person]
            return open_sealed(key, sealed_from_bytes(bytes(sealed)), _place(person, sha256))

        return await self._database.read(work)


def _place(person: UUID, sha256: str) -> bytes:
    return f"consent|consent_scan.scan|{person}|{sha256}".encode()
