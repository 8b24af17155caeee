"""Reading the feed on PostgreSQL.

Lines carry the id of the transaction that wrote them. A transaction commits when it likes, so a reader may only pass over what lies below the
oldest one that still runs (`pg_snapshot_xmin`); no lock is held, and nothing that commits late is missed. What lies above is told all the
same, once per stream, so that a long transaction elsewhere in the cluster holds nothing up.

The order of transaction ids is not the order in which two transactions changed the same entry: one may get its id, wait for a lock of the
other, and commit last. Hence a line says who answers for its entry when it is read, not when it was written: whichever line comes last, it
tells the state after all that were told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.identity.errors import CursorInvalid
from services.identity.links import ChangeKind, FeedPage, FeedPlace, PersonChange

MOST_EARLY = 5_000
"""Lines that a stream remembers to have told early; with more it waits for the older transactions."""
# One statement, hence one snapshot: the horizon is that of the rows. The page is taken first, whatever the planner thinks of the joins.
_PAGE = text("""
    WITH horizon AS (
        SELECT CAST(CAST(pg_snapshot_xmin(now.snapshot) AS text) AS bigint) AS low,
               CAST(CAST(pg_snapshot_xmax(now.snapshot) AS text) AS bigint) AS high
        FROM (SELECT pg_current_snapshot() AS snapshot) AS now
    ), page AS MATERIALIZED (
        SELECT change.* FROM person_change AS change
        WHERE (change.xid, change.id) > (CAST(:xid AS bigint), CAST(:id AS uuid))
          AND change.id <> ALL (CAST(:early AS uuid[]))
          AND (CAST(:room AS boolean) OR change.xid < (SELECT low FROM horizon))
        ORDER BY change.xid, change.id LIMIT :limit
    )
    SELECT horizon.low, horizon.high, page.id, page.person_id, page.xid, page.kind, page.at, page.source_record, page.former_id,
           coalesce(redirect.current_id, page.person_id) AS current_id,
           coalesce(current.state = 'PROVISIONAL', page.provisional) AS provisional
    FROM horizon LEFT JOIN page ON true
    LEFT JOIN person_redirect AS redirect ON redirect.person_id = page.person_id
    LEFT JOIN person AS current ON current.person_id = coalesce(redirect.current_id, page.person_id)
    ORDER BY page.xid, page.id
""")
_END = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS low")
_OLD = text("""
    SELECT at, id FROM person_change
    WHERE at < :before AND (CAST(:after_id AS uuid) IS NULL OR (at, id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))
    ORDER BY at, id LIMIT :limit
""")
# Of a link, an unlinking, an identification the last one of each entry stays for ever: who begins anew learns the state of today from it.
_PRUNE = text("""
    DELETE FROM person_change AS old USING unnest(CAST(:ids AS uuid[])) AS looked (id)
    WHERE old.id = looked.id AND old.at < :before AND (
        old.kind IN ('CREATED', 'UPDATED')
        OR old.kind <> 'SOURCE_MOVED' AND EXISTS (
            SELECT 1 FROM person_change AS later
            WHERE later.person_id = old.person_id AND (later.xid, later.id) > (old.xid, old.id)
              AND later.kind NOT IN ('CREATED', 'UPDATED', 'SOURCE_MOVED')))
""")


class PostgresFeed:
    """`Feed`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, place: FeedPlace, early: Mapping[UUID, int], limit: int) -> FeedPage:
        """One statement, whatever the number of lines."""
        values = {
            "xid": place.xid,
            "id": place.id,
            "early": list(early),
            "room": len(early) < MOST_EARLY,
            "limit": limit,
        }

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_PAGE, values))

        rows = await self._database.read(work)
        low, high = rows[0].low, rows[0].high
        if place.xid > high:
            raise CursorInvalid("the cursor is of another database")
        lines = [row for row in rows if row.id is not None]
        more = len(lines) == limit
        complete = [row for row in lines if row.xid < low]
        if not more and low >= place.xid:
            # Nothing is left below the horizon, so the place moves there even when no line does.
            place = FeedPlace(low) if low > place.xid else place
        elif complete:
            place = FeedPlace(complete[-1].xid, complete[-1].id)
        kept = {id: xid for id, xid in early.items() if xid >= place.xid}
        kept |= {row.id: row.xid for row in lines if row.xid >= low}
        return FeedPage(tuple(map(_change, lines)), place, kept, more)

    async def end(self) -> FeedPlace:
        """The horizon."""

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(_END)).scalar_one())

        return FeedPlace(await self._database.read(work))

    async def prune(
        self, before: datetime, after: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[datetime, UUID] | None:
        """Looks at one page, in one short transaction."""
        at, id = after or (None, None)

        async def work(connection: AsyncConnection) -> tuple[datetime, UUID] | None:
            values = {"before": before, "after_at": at, "after_id": id, "limit": limit}
            looked = list(await connection.execute(_OLD, values))
            if looked:
                await connection.execute(_PRUNE, {"ids": [row.id for row in looked], "before": before})
            return (looked[-1].at, looked[-1].id) if len(looked) == limit else None

        return await self._database.write(work)


def _change(row: Any) -> PersonChange:
    return PersonChange(
        id=row.id,
        person=row.person_id,
        kind=ChangeKind(row.kind),
        current=row.current_id,
        provisional=row.provisional,
        at=row.at,
        source_record=row.source_record,
        former=row.former_id,
    )
