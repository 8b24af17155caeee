"""Deciding: the hot path, four statements and one commit for a whole batch, whatever its size."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Table, select
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import Clock
from services.chassis.database import hot
from services.chassis.feed import entries_of
from services.chassis.statements import statement_span
from services.consent import record
from services.consent.decision import Asked, Decision
from services.consent.ports import Judge, Made
from services.consent.postgres import rows
from services.consent.postgres.consents import ConsentTables
from services.consent.postgres.gathering import gather
from services.consent.schema import access_entry, consent_use, decision

# Creates missing heads and locks all of them in one statement; the no-op update is what takes the lock. What follows in the transaction is
# planned once for all: planning costs the gathering statement three times its execution (measured: 3.8 against 1.1 ms).
_LOCK_HEADS = (
    b"INSERT INTO ledger_head (person_id, sequence, hash)"
    b" SELECT person, 0, %(none)s::bytea FROM unnest(%(persons)s::uuid[]) AS person,"
    b" set_config('plan_cache_mode', 'force_generic_plan', true) AS mode ORDER BY person"
    b" ON CONFLICT (person_id) DO UPDATE SET person_id = excluded.person_id RETURNING person_id, sequence, hash"
)


def _rows_of(table: Table, part: str) -> tuple[str, str]:
    """Columns of a table, and the rows of one part of a JSON document as those columns."""
    names = [column.name for column in table.columns]
    types = [str(column.type.compile(dialect())) for column in table.columns]  # type: ignore[no-untyped-call]
    # JSON has no bytes: they come as base64.
    fields = [
        f"decode(x.{name}, 'base64')" if type_ == "BYTEA" else f"x.{name}"
        for name, type_ in zip(names, types, strict=True)
    ]
    typed = [f"{name} {'text' if type_ == 'BYTEA' else type_}" for name, type_ in zip(names, types, strict=True)]
    rows_in = f"SELECT {', '.join(fields)} FROM said, jsonb_to_recordset(said.all->'{part}') AS x ({', '.join(typed)})"  # noqa: S608 - names of our own
    return ", ".join(names), rows_in


def _insert(table: Table) -> str:
    names, rows_in = _rows_of(table, table.name)
    return f"INSERT INTO {table.name} ({names}) {rows_in}"  # noqa: S608 - names of our own


_KEEP = f"""
WITH said AS MATERIALIZED (SELECT %(said)s::jsonb AS all),
    decisions AS ({_insert(decision)}),
    lines AS ({_insert(access_entry)}),
    uses AS ({_insert(consent_use)})
UPDATE ledger_head AS head SET sequence = x.sequence, hash = decode(x.hash, 'base64')
FROM said, jsonb_to_recordset(said.all->'ledger_head') AS x (person_id uuid, sequence bigint, hash text)
WHERE head.person_id = x.person_id
""".encode()  # noqa: S608 - names of our own


class DecisionTables(ConsentTables):
    """Decisions, and the ledger lines made with them."""

    async def decide(self, asked: Sequence[Asked], clock: Clock, judge: Judge) -> Sequence[Decision]:
        """Locks the ledgers, decides on what is committed by then, and keeps decisions and lines."""

        async def work(connection: AsyncConnection) -> Sequence[Decision]:
            named = {one.query.person for one in asked} | {
                one.requester.person for one in asked if one.requester.person is not None
            }
            entries = await entries_of(connection, named)
            answering = sorted({entries[one.query.person].current for one in asked})
            driver = await hot(connection)
            with statement_span("INSERT", "ledger_head"):
                locked = await driver.execute(_LOCK_HEADS, {"none": bytes(32), "persons": answering}, prepare=True)
                heads = {person: (int(sequence), bytes(hash)) for person, sequence, hash in await locked.fetchall()}
            # Read after the locks are held: no decision about these persons was taken since, nor is one before this is kept.
            at = clock()
            gathered = await gather(connection, asked, entries, at)
            made = judge(entries, gathered, heads, at)
            with statement_span("INSERT", "decision"):
                await driver.execute(_KEEP, {"said": _said(made)}, prepare=True)
            return [one.decision for one in made]

        return await self._database.write(work)

    async def decision(self, id: UUID) -> Decision | None:
        """A decision by id."""

        async def work(connection: AsyncConnection) -> Decision | None:
            wanted = select(decision.c.id, decision.c.content).where(decision.c.id == id)
            row = (await connection.execute(wanted)).one_or_none()
            return None if row is None else record.decision_in(row.id, row.content)

        return await self._database.read(work)


def _said(made: Sequence[Made]) -> str:
    last = {one.line.person: one.line for one in made}
    parts: dict[str, list[dict[str, Any]]] = {
        str(decision.name): [rows.decision_out(one.decision, one.content) for one in made],
        str(access_entry.name): [rows.access_out(one.line) for one in made],
        str(consent_use.name): [row for one in made for row in rows.uses_out(one.decision)],
        "ledger_head": [
            {"person_id": line.person, "sequence": line.sequence, "hash": line.hash} for line in last.values()
        ],
    }
    return orjson.dumps(parts, default=_base64).decode()


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)
