"""Notices and their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.feed import entries_of
from services.consent.notices import Delivery, Notice, NoticeBacklog, Result
from services.consent.postgres.rows import Row
from services.consent.postgres.tables import Tables
from services.consent.schema import notice, notice_delivery

_LONGEST_REASON = 64
# SQL: guardianships that hold at :at.
_HOLDS = (
    "(g.starts_at IS NULL OR g.starts_at <= :at) AND (g.ends_at IS NULL OR g.ends_at > :at) AND NOT EXISTS ("
    "SELECT 1 FROM guardianship_end e WHERE e.person_id = g.person_id AND e.guardianship_id = g.id AND e.at <= :at)"
)
_GUARDIANS = text(
    f"SELECT g.person_id, g.guardian_id FROM guardianship g WHERE g.person_id = ANY(CAST(:persons AS uuid[])) AND {_HOLDS}"  # noqa: S608 - constants
)
_WARDS = text(
    f"SELECT DISTINCT g.person_id FROM guardianship g WHERE g.guardian_id = ANY(CAST(:guardians AS uuid[])) AND {_HOLDS}"  # noqa: S608 - constants
)
# A notice is made once; so are its deliveries, which are made only with it.
_ADD = text("""
    WITH made AS (
        INSERT INTO notice (person_id, id, type, resource, organization, created_at)
        SELECT * FROM unnest(CAST(:persons AS uuid[]), CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:resources AS text[]),
                             CAST(:organizations AS text[]), CAST(:times AS timestamptz[]))
        ON CONFLICT DO NOTHING RETURNING person_id, id, created_at
    )
    INSERT INTO notice_delivery (person_id, notice_id, recipient_id, due_at)
    SELECT made.person_id, made.id, recipient.recipient_id, made.created_at
    FROM made JOIN unnest(CAST(:recipients_of AS uuid[]), CAST(:recipients AS uuid[])) AS recipient (person_id, recipient_id)
        ON recipient.person_id = made.person_id
""")
_CLAIM = text("""
    WITH due AS MATERIALIZED (
        SELECT person_id, notice_id, recipient_id FROM notice_delivery
        WHERE delivered_at IS NULL AND due_at <= CASE WHEN attempts = 0 THEN CAST(:at AS timestamptz) - CAST(:delay AS interval)
                                                      ELSE CAST(:at AS timestamptz) END
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    UPDATE notice_delivery AS mine SET attempts = mine.attempts + 1, due_at = CAST(:at AS timestamptz) + CAST(:lease AS interval)
    FROM due JOIN notice ON notice.person_id = due.person_id AND notice.id = due.notice_id
    WHERE mine.person_id = due.person_id AND mine.notice_id = due.notice_id AND mine.recipient_id = due.recipient_id
    RETURNING notice.person_id, notice.id, notice.type, notice.resource, notice.organization, notice.created_at,
              mine.recipient_id, mine.attempts
""")
# Whoever delivered it first said when; an attempt that another claim has overtaken moves nothing.
_SETTLE = text("""
    UPDATE notice_delivery AS mine
    SET delivered_at = CASE WHEN result.reason = '' THEN CAST(:at AS timestamptz) END,
        last_reason = result.reason, due_at = result.due_at
    FROM unnest(CAST(:persons AS uuid[]), CAST(:notices AS uuid[]), CAST(:recipients AS uuid[]), CAST(:attempts AS int[]),
                CAST(:reasons AS text[]), CAST(:times AS timestamptz[])) AS result (person_id, notice_id, recipient_id, attempts, reason, due_at)
    WHERE mine.person_id = result.person_id AND mine.notice_id = result.notice_id AND mine.recipient_id = result.recipient_id
      AND mine.delivered_at IS NULL AND (result.reason = '' OR mine.attempts = result.attempts)
""")
_BACKLOG = text("""
    SELECT count(*) AS waiting, coalesce(extract(epoch FROM CAST(:at AS timestamptz) - min(notice.created_at)), 0) AS oldest
    FROM notice_delivery d JOIN notice ON notice.person_id = d.person_id AND notice.id = d.notice_id
    WHERE d.delivered_at IS NULL
""")


class NoticeTables(Tables):
    """Notices are only ever added; of a delivery, what became of it is kept."""

    async def _notify(self, connection: AsyncConnection, made: Sequence[Notice]) -> None:
        """Keeps notices to persons and their guardians, in the caller's transaction, four statements whatever their number. One that is there
        already stays as it is, so that a retry tells nobody twice."""
        if not made:
            return
        persons = {one.person for one in made}
        entries = await entries_of(connection, persons)
        wards = {member: person for person in persons for member in entries[person].all}
        at = max(one.created_at for one in made)
        found = await connection.execute(_GUARDIANS, {"persons": list(wards), "at": at})
        recipients = {(person, person) for person in persons} | {
            (wards[row.person_id], row.guardian_id) for row in found
        }
        await connection.execute(
            _ADD,
            {
                "persons": [one.person for one in made],
                "ids": [one.id for one in made],
                "types": [one.type for one in made],
                "resources": [one.resource for one in made],
                "organizations": [one.organization for one in made],
                "times": [one.created_at for one in made],
                "recipients_of": [person for person, _ in sorted(recipients)],
                "recipients": [recipient for _, recipient in sorted(recipients)],
            },
        )

    async def wards(self, guardian: UUID, at: datetime) -> frozenset[UUID]:
        """All entries of those whose guardian this person is."""

        async def work(connection: AsyncConnection) -> frozenset[UUID]:
            own = (await entries_of(connection, [guardian]))[guardian].all
            found = [row.person_id for row in await connection.execute(_WARDS, {"guardians": list(own), "at": at})]
            entries = await entries_of(connection, found) if found else {}
            return frozenset(member for one in entries.values() for member in one.all)

        return await self._database.read(work)

    async def notices(
        self, persons: Sequence[UUID], before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Notice]:
        """Notices to these entries, newest first."""
        delivered = (
            select(func.min(notice_delivery.c.delivered_at))
            .where(notice_delivery.c.person_id == notice.c.person_id, notice_delivery.c.notice_id == notice.c.id)
            .scalar_subquery()
        )
        wanted = select(*notice.c, delivered.label("delivered_at")).where(notice.c.person_id.in_(persons))
        if before is not None:
            wanted = wanted.where(tuple_(notice.c.created_at, notice.c.id) < before)
        wanted = wanted.order_by(notice.c.created_at.desc(), notice.c.id.desc()).limit(limit)

        async def work(connection: AsyncConnection) -> Sequence[Notice]:
            found = (await connection.execute(wanted)).mappings()
            return [replace(_notice_in(row), delivered_at=row["delivered_at"]) for row in found]

        return await self._database.read(work)

    async def claim_deliveries(
        self, at: datetime, delay: timedelta, lease: timedelta, limit: int
    ) -> Sequence[Delivery]:
        """Leases deliveries that are due; a worker that dies leaves them to the next after the lease."""
        values = {"at": at, "delay": delay, "lease": lease, "limit": limit}

        async def work(connection: AsyncConnection) -> Sequence[Delivery]:
            claimed = list((await connection.execute(_CLAIM, values)).mappings())
            if not claimed:
                return []
            entries = await entries_of(connection, {row["recipient_id"] for row in claimed})
            return [
                Delivery(
                    _notice_in(row), row["recipient_id"], entries[row["recipient_id"]].current, int(row["attempts"])
                )
                for row in claimed
            ]

        return await self._database.write(work)

    async def settle_deliveries(self, results: Sequence[Result], at: datetime) -> None:
        """Keeps what became of them, in one statement."""
        values = {
            "at": at,
            "persons": [one.delivery.notice.person for one in results],
            "notices": [one.delivery.notice.id for one in results],
            "recipients": [one.delivery.recipient for one in results],
            "attempts": [one.delivery.attempts for one in results],
            "reasons": [one.reason[:_LONGEST_REASON] for one in results],
            "times": [at + one.pause for one in results],
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_SETTLE, values)

        await self._database.write(work)

    async def notice_backlog(self, at: datetime) -> NoticeBacklog:
        """What waits: one look at the partial index of what is not delivered."""

        async def work(connection: AsyncConnection) -> NoticeBacklog:
            row = (await connection.execute(_BACKLOG, {"at": at})).one()
            return NoticeBacklog(int(row.waiting), timedelta(seconds=float(row.oldest)))

        return await self._database.read(work)


def _notice_in(row: Row) -> Notice:
    return Notice(row["id"], row["person_id"], row["type"], row["resource"], row["organization"], row["created_at"])
