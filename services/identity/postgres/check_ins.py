"""Check-ins on PostgreSQL, and the outbox of those that could not be told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.identifiers import uuid7
from services.chassis.outbox import Message, enqueue
from services.identity.check_ins import TOPIC, KeptCheckIn
from services.identity.schema import check_in


class CheckInTables:
    """The part of a transaction that deals with check-ins."""

    _connection: AsyncConnection

    async def keep_check_in(self, one: KeptCheckIn, *, told: bool) -> None:
        """Keeps one at its last time; the message names it, and whom and where is looked up when it is delivered."""
        new = upsert(check_in).values(person_id=one.person, id=one.id, organization=one.facility, at=one.at)
        later = new.on_conflict_do_update(
            index_elements=["person_id", "id"], set_={"at": new.excluded.at}, where=check_in.c.at < new.excluded.at
        )
        await self._connection.execute(later)
        if not told:
            await enqueue(self._connection, [Message(uuid7(), TOPIC, one.name, b"")])

    async def check_ins(self, ids: Sequence[UUID]) -> Mapping[UUID, KeptCheckIn]:
        """Those that are there, by id."""
        rows = await self._connection.execute(select(check_in).where(check_in.c.id.in_(ids)))
        return {row.id: KeptCheckIn(row.id, row.person_id, row.organization, row.at) for row in rows}
