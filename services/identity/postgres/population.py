"""Loads of a population and the place of proposals on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, String, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.population import PopulationLoad, RowFault
from services.identity.postgres.arrays import unnested
from services.identity.postgres.vault import Vault
from services.identity.schema import person, population_load, population_load_error, re_resolution

_COUNTS = ("parts", "entries", "created", "known", "rejected", "conflicts")
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('lienthong.identity.re_resolution'))")


class PopulationTables:
    """The part of a transaction that deals with loads and proposals."""

    _connection: AsyncConnection
    _vault: Vault

    async def add_load(self, load: PopulationLoad) -> PopulationLoad:
        """Adds a load, or returns the one that has the source."""
        values = {name: getattr(load, name) for name in ("source", *_COUNTS, "created_at", "updated_at")}
        made = upsert(population_load).values(**values, last_part=b"").on_conflict_do_nothing()
        await self._connection.execute(made)
        return await self.load(load.source) or load

    async def load(self, source: str, *, hold: bool = False) -> PopulationLoad | None:
        """A load."""
        wanted = select(population_load).where(population_load.c.source == source)
        row = (await self._connection.execute(wanted.with_for_update() if hold else wanted)).one_or_none()
        return None if row is None else _load_in(row)

    async def is_last_part(self, source: str, digest: bytes) -> bool:
        """True when this is the digest of the part that was loaded last."""
        wanted = select(population_load.c.last_part).where(population_load.c.source == source)
        last = (await self._connection.execute(wanted)).scalar_one()
        return bytes(last) in await self._vault.ask(lambda: self._vault.blind_digests(digest))

    async def put_load(self, load: PopulationLoad, digest: bytes, faults: Collection[RowFault]) -> None:
        """Writes progress, the digest of the part loaded last, and the faults of its rows."""
        blinds = await self._vault.ask(lambda: self._vault.blind_digests(digest))
        values: dict[str, Any] = {name: getattr(load, name) for name in _COUNTS}
        await self._connection.execute(
            update(population_load)
            .where(population_load.c.source == load.source)
            .values(**values, last_part=blinds[0], updated_at=load.updated_at)
        )
        if faults:
            given = unnested(
                row=(BigInteger, [one.row for one in faults]),
                field=(String, [one.field for one in faults]),
                reason=(String, [one.reason for one in faults]),
            ).c
            rows = select(literal(load.source, String), given.row, given.field, given.reason)
            made = upsert(population_load_error).from_select(["source", "row", "field", "reason"], rows)
            await self._connection.execute(made.on_conflict_do_nothing())

    async def load_faults(self, source: str, after: RowFault | None, limit: int) -> Sequence[RowFault]:
        """Faults of a load by row, after one of them."""
        of = population_load_error.c
        wanted = select(of.row, of.field, of.reason).where(of.source == source)
        if after is not None:
            place = tuple_(literal(after.row), literal(after.field), literal(after.reason))
            wanted = wanted.where(tuple_(of.row, of.field, of.reason) > place)
        rows = await self._connection.execute(wanted.order_by(of.row, of.field, of.reason).limit(limit))
        return [RowFault(row.row, row.field, row.reason) for row in rows]

    async def place(self, version: str) -> UUID | None:
        """Up to which entry was searched again with this version; nobody else goes on from there until the transaction ends."""
        await self._connection.execute(_ONE_AT_A_TIME)
        wanted = select(re_resolution.c.last_person_id).where(re_resolution.c.version == version)
        last: UUID | None = (await self._connection.execute(wanted)).scalar_one_or_none()
        return last

    async def put_place(self, version: str, last: UUID, at: datetime) -> None:
        """Notes up to which entry was searched again."""
        made = upsert(re_resolution).values(version=version, last_person_id=last, updated_at=at)
        changed = {"last_person_id": made.excluded.last_person_id, "updated_at": made.excluded.updated_at}
        await self._connection.execute(made.on_conflict_do_update(index_elements=["version"], set_=changed))

    async def entries_after(self, after: UUID | None, limit: int) -> Sequence[UUID]:
        """Entries by id."""
        wanted = select(person.c.person_id).where(person.c.person_id > (after or UUID(int=0)))
        rows = await self._connection.execute(wanted.order_by(person.c.person_id).limit(limit))
        return list(rows.scalars())


def _load_in(row: Any) -> PopulationLoad:
    return PopulationLoad(
        source=row.source,
        created_at=row.created_at,
        updated_at=row.updated_at,
        **{name: getattr(row, name) for name in _COUNTS},
    )
