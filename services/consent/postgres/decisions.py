"""Deciding: the hot path, six statements for a whole batch, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.feed import entries_of
from services.consent.model import Consent, Decision
from services.consent.ports import Decide
from services.consent.postgres import rows
from services.consent.postgres.consents import ConsentTables
from services.consent.schema import access_entry, consent, decision

# Creates missing heads and locks all of them in one statement; the no-op update is what takes the lock.
_LOCK_HEADS = text(
    "INSERT INTO ledger_head (person_id, sequence, hash)"
    " SELECT person, 0, CAST(:none AS bytea) FROM unnest(CAST(:persons AS uuid[])) AS person ORDER BY person"
    " ON CONFLICT (person_id) DO UPDATE SET person_id = excluded.person_id RETURNING person_id, sequence, hash"
)
_MOVE_HEADS = text(
    "UPDATE ledger_head SET sequence = moved.sequence, hash = moved.hash"
    " FROM unnest(CAST(:persons AS uuid[]), CAST(:sequences AS bigint[]), CAST(:hashes AS bytea[])) AS moved (person_id, sequence, hash)"
    " WHERE ledger_head.person_id = moved.person_id"
)


class DecisionTables(ConsentTables):
    """Decisions, and the ledger lines made with them."""

    async def decide(self, persons: Sequence[UUID], also: Sequence[UUID], decide: Decide) -> Sequence[Decision]:
        """Locks the ledgers, decides on what is committed by then, and keeps decisions and lines."""

        async def work(connection: AsyncConnection) -> Sequence[Decision]:
            entries = await entries_of(connection, {*persons, *also})
            answering = sorted({entries[person].current for person in persons})
            locked = await connection.execute(_LOCK_HEADS, {"none": bytes(32), "persons": answering})
            heads = {row.person_id: (int(row.sequence), bytes(row.hash)) for row in locked}
            answers = {member: entries[person].current for person in persons for member in entries[person].all}
            found: dict[UUID, list[Consent]] = {}
            for one in await self._consents(connection, consent.c.person_id.in_(answers), limit=None, assertions=False):
                found.setdefault(answers[one.person], []).append(one)
            made = decide(entries, found, heads)
            await connection.execute(
                insert(decision),
                [
                    {
                        "person_id": taken.query.person,
                        "id": taken.id,
                        "content": rows.decision_out(taken),
                        "decided_at": taken.decided_at,
                    }
                    for taken, _ in made
                ],
            )
            await connection.execute(insert(access_entry), [rows.access_out(line) for _, line in made])
            last = {line.person: line for _, line in made}
            await connection.execute(
                _MOVE_HEADS,
                {
                    "persons": list(last),
                    "sequences": [line.sequence for line in last.values()],
                    "hashes": [line.hash for line in last.values()],
                },
            )
            return [taken for taken, _ in made]

        return await self._database.write(work)

    async def decision(self, id: UUID) -> Decision | None:
        """A decision by id."""

        async def work(connection: AsyncConnection) -> Decision | None:
            row = (await connection.execute(select(decision).where(decision.c.id == id))).mappings().one_or_none()
            return None if row is None else rows.decision_in(row["id"], row["decided_at"], row["content"])

        return await self._database.read(work)
