"""Who answers for whom, review tasks to raise, and the feed, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.links import ChangeKind, NewReviewTask, PersonChange, ReviewCandidate, ReviewState
from services.identity.model import PersonEvent
from services.identity.postgres.arrays import slices, unnested
from services.identity.schema import person, person_change, person_redirect, review_task

MOST_CANDIDATES = 5
"""Candidates a review task keeps, best first."""


class LinkTables:
    """The part of a transaction that deals with links."""

    _connection: AsyncConnection

    async def currents(self, ids: Collection[UUID]) -> Mapping[UUID, UUID]:
        """The entry that answers for each; itself where there is no link."""
        found = person_redirect.c
        wanted = select(found.person_id, found.current_id).where(found.person_id == func.any(sorted(ids)))
        redirects = {row.person_id: row.current_id for row in await self._connection.execute(wanted)} if ids else {}
        return {id: redirects.get(id, id) for id in ids}

    async def members(self, roots: Collection[UUID]) -> Mapping[UUID, Sequence[UUID]]:
        """The entries that each root answers for, itself first, the others by id."""
        found = person_redirect.c
        wanted = (
            select(found.person_id, found.current_id)
            .where(found.current_id == func.any(sorted(roots)))
            .order_by(found.person_id)
        )
        members: dict[UUID, list[UUID]] = {root: [root] for root in roots}
        if roots:
            for row in await self._connection.execute(wanted):
                members[row.current_id].append(row.person_id)
        return members

    async def add_changes(self, changes: Sequence[PersonChange]) -> None:
        """Puts lines into the feed; followers see them once this transaction is committed."""
        if not changes:
            return
        await self._connection.execute(
            insert(person_change),
            [
                {
                    "person_id": one.person,
                    "id": one.id,
                    "kind": one.kind.value,
                    "current_id": one.current,
                    "provisional": one.provisional,
                    "at": one.at,
                    "source_record": one.source_record,
                    "former_id": one.former,
                }
                for one in changes
            ],
        )

    async def tell(self, kind: ChangeKind, events: Sequence[PersonEvent]) -> None:
        """Puts one line per event into the feed, with who answers for the entry now; the line has the event's id."""
        for some in slices(events):
            await self._tell(kind, some)

    async def _tell(self, kind: ChangeKind, events: Sequence[PersonEvent]) -> None:
        asked = unnested(
            person_id=(PG_UUID, [one.person for one in events]),
            id=(PG_UUID, [one.id for one in events]),
            at=(DateTime(timezone=True), [one.at for one in events]),
        )
        current = func.coalesce(person_redirect.c.current_id, asked.c.person_id)
        rows = select(
            asked.c.person_id,
            asked.c.id,
            literal(kind.value),
            current,
            person.c.state == "PROVISIONAL",
            asked.c.at,
            literal(""),
        ).select_from(
            asked.outerjoin(person_redirect, person_redirect.c.person_id == asked.c.person_id).join(
                person, person.c.person_id == current
            )
        )
        names = ["person_id", "id", "kind", "current_id", "provisional", "at", "source_record"]
        await self._connection.execute(insert(person_change).from_select(names, rows))

    async def add_review_tasks(self, tasks: Mapping[UUID, NewReviewTask], at: datetime) -> Mapping[UUID, UUID]:
        """Raises tasks by their new ids. Where one is open for the same entry and reason it is joined: it gets the candidates too, and counts the
        documents. Returns the id that each became.
        """
        became: dict[UUID, UUID] = {}
        # In one order, so that two batches cannot lock each other out; tasks of one entry and reason one after the other.
        waiting = sorted(tasks.items(), key=lambda item: (item[1].person, item[1].reason.value))
        while waiting:
            now: list[tuple[UUID, NewReviewTask]] = []
            later: list[tuple[UUID, NewReviewTask]] = []
            for at_hand, following in zip([None, *waiting], waiting, strict=False):
                again = at_hand is not None and _place(at_hand[1]) == _place(following[1])
                (later if again else now).append(following)
            became |= await self._raise(now, at)
            waiting = later
        return became

    async def _raise(self, tasks: Sequence[tuple[UUID, NewReviewTask]], at: datetime) -> Mapping[UUID, UUID]:
        made = upsert(review_task).values([_row(id, task, at) for id, task in tasks])
        # The predicate is spelt out: with parameters in it a prepared statement no longer finds its index.
        made = made.on_conflict_do_update(
            index_elements=["person_id", "reason"],
            index_where=text("state IN ('OPEN', 'CLAIMED')"),
            set_={
                "documents_waiting": review_task.c.documents_waiting + made.excluded.documents_waiting,
                "version": review_task.c.version + 1,
            },
        )
        kept = made.returning(review_task.c.id, review_task.c.person_id, review_task.c.reason, review_task.c.candidates)
        rows = {(row.person_id, row.reason): row for row in await self._connection.execute(kept)}
        became = {}
        for id, task in tasks:
            row = rows[_place(task)]
            became[id] = row.id
            if row.id != id:
                await self._join(task, row.id, row.candidates)
        return became

    async def _join(self, task: NewReviewTask, id: UUID, known: Sequence[Mapping[str, Any]]) -> None:
        merged = {one["person"]: dict(one) for one in known}
        merged |= {one["person"]: one for one in map(candidate_json, task.candidates)}
        best = sorted(merged.values(), key=lambda one: (-one["score"], one["person"]))[:MOST_CANDIDATES]
        if best != list(known):
            place = (review_task.c.person_id == task.person) & (review_task.c.id == id)
            await self._connection.execute(update(review_task).where(place).values(candidates=best))


def _place(task: NewReviewTask) -> tuple[UUID, str]:
    """Of one entry and reason one task is open at a time."""
    return task.person, task.reason.value


def candidate_json(candidate: ReviewCandidate) -> dict[str, Any]:
    """A candidate as the table keeps it."""
    return {
        "person": str(candidate.person),
        "score": candidate.score,
        "evidence": [[one.field, one.agreement.value, one.bits] for one in candidate.evidence],
    }


def _row(id: UUID, task: NewReviewTask, at: datetime) -> dict[str, Any]:
    best = sorted(task.candidates, key=lambda one: (-one.score, one.person))[:MOST_CANDIDATES]
    return {
        "person_id": task.person,
        "id": id,
        "reason": task.reason.value,
        "state": ReviewState.OPEN.value,
        "facility_id": task.facility,
        "candidates": [candidate_json(one) for one in best],
        "model_version": task.model_version,
        "documents_waiting": task.documents,
        "double_review": False,
        "created_at": at,
        "decisions": [],
        "version": 1,
    }
