"""Which entry of the index answers for which. An entry is never changed by being linked to another; what was stored under it stays there, and
is found by asking for all entries that answer alike.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import hot
from services.chassis.statements import statement_span

NAME = "persons"
"""Name of the feed."""
FRESH = f"coalesce((SELECT fresh_until > clock_timestamp() FROM feed_cursor WHERE name = '{NAME}'), false)"  # noqa: S608 - a constant
"""SQL: whether the feed was heard lately."""
# An entry is said again whenever something happens to it; kept is only what differs from an entry that nothing ever happened to.
_APPLY = text("""
    INSERT INTO person_redirect AS old (person_id, current_id, held, since)
    SELECT said.person_id, said.current_id, said.held, said.at
    FROM unnest(CAST(:persons AS uuid[]), CAST(:currents AS uuid[]), CAST(:helds AS boolean[]), CAST(:times AS timestamptz[]),
                CAST(:kept AS boolean[])) AS said (person_id, current_id, held, at, kept)
    WHERE said.kept OR EXISTS (SELECT 1 FROM person_redirect AS known WHERE known.person_id = said.person_id)
    ORDER BY said.person_id
    ON CONFLICT (person_id) DO UPDATE SET current_id = excluded.current_id, held = excluded.held, since = excluded.since
    WHERE (old.current_id, old.held) IS DISTINCT FROM (excluded.current_id, excluded.held)
""")
# Those who answer with an entry share what becomes of it.
_FOLLOW = text("""
    UPDATE person_redirect AS member SET current_id = said.current_id, held = said.held, since = said.at
    FROM unnest(CAST(:persons AS uuid[]), CAST(:currents AS uuid[]), CAST(:helds AS boolean[]), CAST(:times AS timestamptz[]))
        AS said (person_id, current_id, held, at)
    WHERE member.current_id = said.person_id AND member.person_id <> said.person_id
      AND (member.current_id, member.held) IS DISTINCT FROM (said.current_id, said.held)
""")
_ENTRIES = f"""
    SELECT asked.id, coalesce(own.current_id, asked.id) AS current_id, member.person_id AS member, {FRESH} AS fresh
    FROM unnest(%(ids)s::uuid[]) AS asked (id)
    LEFT JOIN person_redirect AS own ON own.person_id = asked.id
    LEFT JOIN person_redirect AS member
        ON member.current_id = coalesce(own.current_id, asked.id) AND member.person_id <> member.current_id
    ORDER BY asked.id, member.person_id
""".encode()  # noqa: S608 - constants


@dataclass(frozen=True)
class Redirect:
    """What is true of an entry now: who answers for it, and whether that one's identity is unconfirmed. `kept` when something happened to it
    that is to be remembered, however it stands now.
    """

    person: UUID
    current: UUID
    held: bool
    at: datetime
    kept: bool


@dataclass(frozen=True)
class Entries:
    """The entries that stand for one person: who answers, and all of them, that one first. `unconfirmed` when others may belong to it, or it to
    another, and the feed has been silent for too long to say so: then it stands for itself.
    """

    current: UUID
    all: tuple[UUID, ...]
    unconfirmed: bool = False

    @classmethod
    def alone(cls, id: UUID) -> Entries:
        """An entry that stands for itself."""
        return cls(id, (id,))


async def apply_redirects(connection: AsyncConnection, redirects: Sequence[Redirect]) -> None:
    """Keeps what a batch says, two statements whatever its size. The same again changes nothing."""
    last = {one.person: one for one in redirects}
    kept = {one.person for one in redirects if one.kept}
    said = sorted(last.values(), key=lambda one: one.person)
    values = {
        "persons": [one.person for one in said],
        "currents": [one.current for one in said],
        "helds": [one.held for one in said],
        "times": [one.at for one in said],
    }
    await connection.execute(_APPLY, values | {"kept": [one.person in kept for one in said]})
    await connection.execute(_FOLLOW, values)


async def entries_of(connection: AsyncConnection, ids: Collection[UUID]) -> Mapping[UUID, Entries]:
    """The entries that answer alike with each of these, in one statement."""
    found: dict[UUID, list[UUID]] = {}
    stale: set[UUID] = set()
    driver = await hot(connection)
    with statement_span("SELECT", "person_redirect"):
        rows = await (await driver.execute(_ENTRIES, {"ids": sorted(set(ids))}, prepare=True)).fetchall()
    for id, current, member, fresh in rows:
        together = found.setdefault(id, [current if fresh else id])
        if fresh and member is not None:
            together.append(member)
        if not fresh and (member is not None or current != id):
            stale.add(id)
    return {id: Entries(all[0], tuple(all), id in stale) for id, all in found.items()}
