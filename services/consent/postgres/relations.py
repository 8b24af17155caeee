"""Facts of treatment. Deciding reads them with everything else it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.postgres.tables import Tables
from services.consent.relations import TreatmentRelation

# Ordered, so that two batches with the same rows do not wait for each other in a circle.
_RECORD = text("""
    INSERT INTO treatment_relation AS known (person_id, resource, type, organization, starts_at, ends_at, recorded_at)
    SELECT * FROM unnest(CAST(:persons AS uuid[]), CAST(:resources AS varchar[]), CAST(:types AS varchar[]), CAST(:organizations AS varchar[]),
                         CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]), CAST(:recorded AS timestamptz[]))
        AS said (person_id, resource, type, organization, starts_at, ends_at, recorded_at)
    ORDER BY said.person_id, said.resource
    ON CONFLICT (person_id, resource) DO UPDATE
        SET organization = excluded.organization, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
            recorded_at = excluded.recorded_at
        WHERE known.recorded_at < excluded.recorded_at
""")


class RelationTables(Tables):
    """`RelationStore`."""

    async def record_relations(self, relations: Sequence[TreatmentRelation]) -> None:
        """One statement, whatever their number."""
        last: dict[tuple[UUID, str], TreatmentRelation] = {}
        for one in relations:
            place = one.person, one.resource
            if place not in last or last[place].recorded_at <= one.recorded_at:
                last[place] = one
        kept = list(last.values())

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                _RECORD,
                {
                    "persons": [one.person for one in kept],
                    "resources": [one.resource for one in kept],
                    "types": [one.type for one in kept],
                    "organizations": [one.organization for one in kept],
                    "starts": [one.period.start for one in kept],
                    "ends": [one.period.end for one in kept],
                    "recorded": [one.recorded_at for one in kept],
                },
            )

        await self._database.write(work)
