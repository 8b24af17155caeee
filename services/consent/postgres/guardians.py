"""Guardianships and their ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.identifiers import uuid_from_request
from services.consent.guardians import MOST_IN_OFFICE, Guardianship, GuardianshipKind
from services.consent.model import Period
from services.consent.notices import GUARDIANSHIP_ENDED, GUARDIANSHIP_REGISTERED, Notice
from services.consent.postgres.notices import NoticeTables
from services.consent.postgres.rows import Row
from services.consent.schema import guardianship, guardianship_end

_IN_OFFICE = text("""
    SELECT g.person_id, g.id, coalesce(same.current_id, g.guardian_id) AS guardian_id, g.kind, g.starts_at, g.ends_at, g.evidence, g.created_at,
           NULL AS ended_at
    FROM guardianship g LEFT JOIN person_redirect same ON same.person_id = g.guardian_id
    WHERE g.person_id = ANY(CAST(:wards AS uuid[]))
      AND (g.starts_at IS NULL OR g.starts_at <= :at) AND (g.ends_at IS NULL OR g.ends_at > :at)
      AND NOT EXISTS (
          SELECT FROM guardianship_end e WHERE e.person_id = g.person_id AND e.guardianship_id = g.id AND e.at <= :at
      )
    ORDER BY g.created_at, g.id LIMIT :limit
""")
_ENDED = guardianship.outerjoin(
    guardianship_end,
    (guardianship_end.c.person_id == guardianship.c.person_id)
    & (guardianship_end.c.guardianship_id == guardianship.c.id),
)


class GuardianTables(NoticeTables):
    """`GuardianStore`."""

    async def add_guardianship(self, new: Guardianship) -> Guardianship:
        """Keeps one and tells both of it, in one transaction."""
        values = {
            "person_id": new.ward,
            "id": new.id,
            "guardian_id": new.guardian,
            "kind": new.kind.value,
            "starts_at": new.period.start,
            "ends_at": new.period.end,
            "evidence": new.evidence,
            "created_at": new.created_at,
        }

        async def work(connection: AsyncConnection) -> Guardianship:
            await connection.execute(upsert(guardianship).values(values).on_conflict_do_nothing())
            kept = await _one(connection, new.id)
            if kept is None:
                raise LookupError("a guardianship that was just kept is not there")
            if kept.created_at == new.created_at:
                await self._notify(connection, [_notice(kept, GUARDIANSHIP_REGISTERED, kept.created_at)])
            return kept

        return await self._database.write(work)

    async def guardianship(self, id: UUID) -> Guardianship | None:
        """One by id."""
        return await self._database.read(lambda connection: _one(connection, id))

    async def end_guardianship(self, id: UUID, at: datetime, reason: str, actor: str) -> Guardianship | None:
        """Keeps that it was ended and tells both of it, in one transaction; the first end counts."""

        async def work(connection: AsyncConnection) -> Guardianship | None:
            found = await _one(connection, id)
            if found is None or found.ended_at is not None:
                return found
            # Before it ends: who loses the office is told too.
            await self._notify(connection, [_notice(found, GUARDIANSHIP_ENDED, at)])
            event = {"person_id": found.ward, "guardianship_id": id, "at": at, "reason": reason, "actor": actor}
            await connection.execute(upsert(guardianship_end).values(event).on_conflict_do_nothing())
            return await _one(connection, id)

        return await self._database.write(work)

    async def guardianships(self, persons: Sequence[UUID], before: UUID | None, limit: int) -> Sequence[Guardianship]:
        """Those over or held by any of these entries, newest first."""
        return await self._page(
            guardianship.c.person_id.in_(persons) | guardianship.c.guardian_id.in_(persons), before, limit
        )

    async def guardianships_between(
        self, some: Sequence[UUID], others: Sequence[UUID], before: UUID | None, limit: int
    ) -> Sequence[Guardianship]:
        """Those of one of some entries over one of others, or the other way round, newest first."""
        over = guardianship.c.person_id.in_(others) & guardianship.c.guardian_id.in_(some)
        held = guardianship.c.person_id.in_(some) & guardianship.c.guardian_id.in_(others)
        return await self._page(over | held, before, limit)

    async def _page(self, where: ColumnElement[bool], before: UUID | None, limit: int) -> Sequence[Guardianship]:
        wanted = _select().where(where)
        if before is not None:
            wanted = wanted.where(guardianship.c.id < before)
        wanted = wanted.order_by(guardianship.c.id.desc()).limit(limit)

        async def work(connection: AsyncConnection) -> Sequence[Guardianship]:
            return [_in(row) for row in (await connection.execute(wanted)).mappings()]

        return await self._database.read(work)

    async def in_office(self, ward: Sequence[UUID], at: datetime) -> Sequence[Guardianship]:
        """Those in force over these entries."""

        async def work(connection: AsyncConnection) -> Sequence[Guardianship]:
            values = {"wards": list(ward), "at": at, "limit": MOST_IN_OFFICE}
            return [_in(row) for row in (await connection.execute(_IN_OFFICE, values)).mappings()]

        return await self._database.read(work)


def _select() -> Select[Any]:
    return select(*guardianship.c, guardianship_end.c.at.label("ended_at")).select_from(_ENDED)


async def _one(connection: AsyncConnection, id: UUID) -> Guardianship | None:
    row = (await connection.execute(_select().where(guardianship.c.id == id))).mappings().one_or_none()
    return None if row is None else _in(row)


def _notice(of: Guardianship, type: str, at: datetime) -> Notice:
    return Notice(uuid_from_request(type, of.id), of.ward, type, f"guardianships/{of.id}", "", at)


def _in(row: Row) -> Guardianship:
    return Guardianship(
        id=row["id"],
        ward=row["person_id"],
        guardian=row["guardian_id"],
        kind=GuardianshipKind(row["kind"]),
        period=Period(row["starts_at"], row["ends_at"]),
        evidence=row["evidence"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
