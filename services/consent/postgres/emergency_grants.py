"""The emergency accesses that decisions look at: one statement for a whole batch, without texts and counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.emergency import EmergencyAccess, Reason, grant_of, open_grant
from services.consent.facts import EmergencyGrant

RECENT = timedelta(hours=24)
"""What was opened longer ago has ended, and nobody asks any more why it does not permit."""
# The type of an event is a constant of ours; each join meets at most one row.
_FIND = text("""
    SELECT a.person_id, a.id, a.organization, a.licence, a.reason, a.opened_at, c.at AS confirmed_at, coalesce(c.licence, '') AS confirmed_by,
           w.at AS widened_at, coalesce(w.life_saving, false) OR l.at IS NOT NULL AS life_saving, e.at AS ended_at
    FROM emergency_access AS a
    LEFT JOIN emergency_access_event AS c ON c.person_id = a.person_id AND c.access_id = a.id AND c.type = 'CONFIRMED'
    LEFT JOIN emergency_access_event AS w ON w.person_id = a.person_id AND w.access_id = a.id AND w.type = 'WIDENED'
    LEFT JOIN emergency_access_event AS l ON l.person_id = a.person_id AND l.access_id = a.id AND l.type = 'LIFE_SAVING'
    LEFT JOIN emergency_access_event AS e ON e.person_id = a.person_id AND e.access_id = a.id AND e.type = 'ENDED'
    WHERE a.person_id = ANY(CAST(:persons AS uuid[])) AND a.organization = :organization AND a.opened_at > CAST(:since AS timestamptz)
      AND (a.licence = :licence OR c.licence = :licence)
""")


async def grants_of(
    connection: AsyncConnection,
    answers: Mapping[UUID, UUID],
    licence: str | None,
    organization: str | None,
    at: datetime,
) -> Mapping[UUID, EmergencyGrant]:
    """What this practitioner of this facility may rest a decision on, by who answers. `answers` maps every entry to the one who answers for it.
    Nothing is asked of the database where no practitioner asks."""
    if not licence or not organization or not answers:
        return {}
    values = {"persons": sorted(answers), "organization": organization, "licence": licence, "since": at - RECENT}
    found: dict[UUID, list[EmergencyAccess]] = {}
    for row in (await connection.execute(_FIND, values)).mappings():
        access = EmergencyAccess(
            id=row["id"],
            person=row["person_id"],
            organization=row["organization"],
            licence=row["licence"],
            reason=Reason(row["reason"]),
            opened_at=row["opened_at"],
            confirmed_at=row["confirmed_at"],
            confirmed_by=row["confirmed_by"],
            widened_at=row["widened_at"],
            life_saving=row["life_saving"],
            ended_at=row["ended_at"],
        )
        found.setdefault(answers[access.person], []).append(access)
    chosen = {person: grant_of(open_grant(accesses, licence, organization, at)) for person, accesses in found.items()}
    return {person: grant for person, grant in chosen.items() if grant is not None}
