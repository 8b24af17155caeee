"""What is counted of emergency accesses: aggregates of the database, one statement each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.emergency import CONFIRM_WITHIN, REVIEW_WITHIN
from services.consent.emergency_store import Counts, ReviewBacklog
from services.consent.postgres.tables import Tables

# One row per access of the span, with what became of it.
_ONES = """
    one AS (
        SELECT a.organization, a.licence, c.at IS NULL AND a.opened_at <= CAST(:confirm_due AS timestamptz) AS unconfirmed,
               w.at IS NOT NULL AS widened, r.at IS NOT NULL AS reviewed, coalesce(r.outcome, '') = 'UNJUSTIFIED' AS unjustified,
               r.at IS NULL AND a.opened_at <= CAST(:review_due AS timestamptz) AS overdue
        FROM emergency_access AS a
        LEFT JOIN emergency_access_event AS c ON c.person_id = a.person_id AND c.access_id = a.id AND c.type = 'CONFIRMED'
        LEFT JOIN emergency_access_event AS w ON w.person_id = a.person_id AND w.access_id = a.id AND w.type = 'WIDENED'
        LEFT JOIN emergency_access_event AS r ON r.person_id = a.person_id AND r.access_id = a.id AND r.type = 'REVIEWED'
        WHERE a.opened_at > CAST(:since AS timestamptz) AND a.opened_at <= CAST(:at AS timestamptz)
"""
_SUMS = (
    "count(*) AS opened, count(*) FILTER (WHERE unconfirmed) AS unconfirmed, count(*) FILTER (WHERE widened) AS widened,"
    " count(*) FILTER (WHERE reviewed) AS reviewed, count(*) FILTER (WHERE unjustified) AS unjustified,"
    " count(*) FILTER (WHERE overdue) AS overdue"
)
_MEDIAN = "percentile_cont(0.5) WITHIN GROUP (ORDER BY opened)"
_PAGE = """
    SELECT * FROM compared
    WHERE CAST(:opened AS bigint) IS NULL OR opened < :opened
       OR (opened = :opened AND (organization, licence) > (CAST(:last_organization AS text), CAST(:last_licence AS text)))
    ORDER BY opened DESC, organization, licence LIMIT :limit
"""
_FACILITIES = text(
    f"WITH {_ONES}), counted AS (SELECT organization, '' AS licence, {_SUMS} FROM one GROUP BY organization),"  # noqa: S608 - constants
    f" compared AS (SELECT counted.*, opened / (SELECT {_MEDIAN} FROM counted) AS over_median FROM counted) {_PAGE}"
)
# The facility as a whole stands beside its practitioners; it is compared with all facilities, they with each other.
_PRACTITIONERS = text(
    f"WITH {_ONES}), facility AS (SELECT organization, count(*) AS opened FROM one GROUP BY organization),"  # noqa: S608 - constants
    f" whole AS (SELECT organization, '' AS licence, {_SUMS} FROM one WHERE organization = :organization GROUP BY organization),"
    f" counted AS (SELECT organization, licence, {_SUMS} FROM one WHERE organization = :organization GROUP BY organization, licence),"
    f" compared AS (SELECT counted.*, opened / (SELECT {_MEDIAN} FROM counted) AS over_median FROM counted"
    f" UNION ALL SELECT whole.*, opened / (SELECT {_MEDIAN} FROM facility) FROM whole) {_PAGE}"
)
_BACKLOG = text("""
    SELECT count(*) FILTER (WHERE opened_at > CAST(:due AS timestamptz)) AS waiting,
           count(*) FILTER (WHERE opened_at <= CAST(:due AS timestamptz)) AS overdue
    FROM emergency_review_due
""")
# The list follows from accesses and reviews; whatever is missing from it comes back.
_RESTORE = text("""
    INSERT INTO emergency_review_due (person_id, access_id, organization, opened_at)
    SELECT a.person_id, a.id, a.organization, a.opened_at FROM emergency_access AS a
    WHERE NOT EXISTS (SELECT 1 FROM emergency_access_event AS r
                      WHERE r.person_id = a.person_id AND r.access_id = a.id AND r.type = 'REVIEWED')
      AND NOT EXISTS (SELECT 1 FROM emergency_review_due AS q WHERE q.person_id = a.person_id AND q.access_id = a.id)
    ON CONFLICT DO NOTHING
""")


class EmergencyCounts(Tables):
    """Counting."""

    async def emergency_statistics(
        self, since: datetime, at: datetime, organization: str | None, after: tuple[int, str, str] | None, limit: int
    ) -> Sequence[Counts]:
        """Counts by facility, or of one facility and its practitioners, most accesses first."""
        opened, last_organization, last_licence = after or (None, None, None)
        values = {
            "since": since,
            "at": at,
            "confirm_due": at - CONFIRM_WITHIN,
            "review_due": at - REVIEW_WITHIN,
            "opened": opened,
            "last_organization": last_organization,
            "last_licence": last_licence,
            "limit": limit,
        }

        async def work(connection: AsyncConnection) -> Sequence[Counts]:
            if organization is None:
                found = await connection.execute(_FACILITIES, values)
            else:
                found = await connection.execute(_PRACTITIONERS, values | {"organization": organization})
            return [
                Counts(
                    organization=row.organization,
                    licence=row.licence,
                    opened=int(row.opened),
                    unconfirmed=int(row.unconfirmed),
                    widened=int(row.widened),
                    reviewed=int(row.reviewed),
                    unjustified=int(row.unjustified),
                    overdue=int(row.overdue),
                    over_median=float(row.over_median),
                )
                for row in found
            ]

        return await self._database.read(work)

    async def review_backlog(self, at: datetime) -> ReviewBacklog:
        """What waits to be reviewed."""

        async def work(connection: AsyncConnection) -> ReviewBacklog:
            row = (await connection.execute(_BACKLOG, {"due": at - REVIEW_WITHIN})).one()
            return ReviewBacklog(int(row.waiting), int(row.overdue))

        return await self._database.read(work)

    async def restore_reviews(self) -> int:
        """Puts back what nobody has reviewed and is not on the list; reads all accesses, so seldom."""

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(_RESTORE)).rowcount)

        return await self._database.write(work)
