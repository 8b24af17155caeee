"""Reading the registries as a feed on PostgreSQL.

A row carries the id of the transaction that wrote it last, so a facility or licence is told once, as it stands, whatever happened to it since it
was told before. What was said of late commits and of the horizon in `changes` holds here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.identity.errors import CursorInvalid
from services.identity.feeds import Page
from services.identity.postgres.changes import MOST_EARLY
from services.identity.registers import (
    CareLevel,
    OrganizationState,
    RegistryKey,
    RegistryKind,
    RegistryLine,
    RegistryPlace,
)

RegistryPage = Page[RegistryLine, RegistryPlace, RegistryKey]
# Both branches run along their index and stop at the limit. Facilities come first within a transaction.
_PAGE = text("""
    WITH horizon AS (
        SELECT CAST(CAST(pg_snapshot_xmin(now.snapshot) AS text) AS bigint) AS low,
               CAST(CAST(pg_snapshot_xmax(now.snapshot) AS text) AS bigint) AS high
        FROM (SELECT pg_current_snapshot() AS snapshot) AS now
    ), early AS (
        SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:keys AS text[]), CAST(:xids AS bigint[])) AS told (kind, key, xid)
    ), organizations AS (
        SELECT row.xid, 0 AS place, 'ORGANIZATION' AS kind, row.code AS key, row.changed_at, row.state, row.care_level,
               '' AS role, '' AS scope, CAST(NULL AS timestamptz) AS licence_from, CAST(NULL AS timestamptz) AS licence_until,
               CAST('{}' AS varchar[]) AS organizations
        FROM organization AS row
        WHERE (row.xid, row.code) > (CAST(:code_xid AS bigint), CAST(:code AS text))
          AND NOT EXISTS (SELECT 1 FROM early WHERE early.kind = 'ORGANIZATION' AND early.key = row.code AND early.xid = row.xid)
          AND (CAST(:room AS boolean) OR row.xid < (SELECT low FROM horizon))
        ORDER BY row.xid, row.code LIMIT :limit
    ), licences AS (
        SELECT row.xid, 1 AS place, 'LICENCE' AS kind, row.licence AS key, row.changed_at, '' AS state, '' AS care_level,
               row.role, row.scope, row.licence_from, row.licence_until, row.organizations
        FROM practitioner AS row
        WHERE (row.xid, row.licence) > (CAST(:licence_xid AS bigint), CAST(:licence AS text))
          AND NOT EXISTS (SELECT 1 FROM early WHERE early.kind = 'LICENCE' AND early.key = row.licence AND early.xid = row.xid)
          AND (CAST(:room AS boolean) OR row.xid < (SELECT low FROM horizon))
        ORDER BY row.xid, row.licence LIMIT :limit
    ), page AS (
        SELECT * FROM (SELECT * FROM organizations UNION ALL SELECT * FROM licences) AS line
        ORDER BY line.xid, line.place, line.key LIMIT :limit
    )
    SELECT horizon.low, horizon.high, page.* FROM horizon LEFT JOIN page ON true
    ORDER BY page.xid, page.place, page.key
""")
_END = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS low")


class PostgresRegistryPages:
    """`Pages` of the registries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, place: RegistryPlace, early: Mapping[RegistryKey, int], limit: int) -> RegistryPage:
        """One statement, whatever the number of lines."""
        among_licences = place.kind is RegistryKind.LICENCE
        values = {
            # Who is among the licences of a transaction has had its facilities.
            "code_xid": place.xid + among_licences,
            "code": "" if among_licences else place.key,
            "licence_xid": place.xid,
            "licence": place.key if among_licences else "",
            "kinds": [kind.value for kind, _ in early],
            "keys": [key for _, key in early],
            "xids": list(early.values()),
            "room": len(early) < MOST_EARLY,
            "limit": limit,
        }

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_PAGE, values))

        rows = await self._database.read(work)
        low, high = rows[0].low, rows[0].high
        if place.xid > high:
            raise CursorInvalid("the cursor is of another database")
        lines = [row for row in rows if row.key is not None]
        more = len(lines) == limit
        complete = [row for row in lines if row.xid < low]
        if not more and low >= place.xid:
            # Nothing is left below the horizon, so the place moves there even when no line does.
            place = RegistryPlace(low) if low > place.xid else place
        elif complete:
            last = complete[-1]
            place = RegistryPlace(last.xid, RegistryKind(last.kind), last.key)
        kept = {key: xid for key, xid in early.items() if xid >= place.xid}
        kept |= {(RegistryKind(row.kind), row.key): row.xid for row in lines if row.xid >= low}
        return RegistryPage(tuple(map(_line, lines)), place, kept, more)

    async def end(self) -> RegistryPlace:
        """The horizon."""

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(_END)).scalar_one())

        return RegistryPlace(await self._database.read(work))


def _line(row: Any) -> RegistryLine:
    if row.kind == RegistryKind.ORGANIZATION.value:
        return RegistryLine(
            RegistryKind.ORGANIZATION, row.key, row.changed_at, OrganizationState(row.state), CareLevel(row.care_level)
        )
    return RegistryLine(
        RegistryKind.LICENCE,
        row.key,
        row.changed_at,
        role=row.role,
        scope=row.scope,
        licence_from=row.licence_from,
        licence_until=row.licence_until,
        organizations=tuple(row.organizations),
    )
