"""The review desk on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Numeric, and_, case, cast, func, or_, select, tuple_, update

from services.identity.desk import TaskPlace
from services.identity.links import (
    Finding,
    ReviewCandidate,
    ReviewDecision,
    ReviewFigures,
    ReviewReason,
    ReviewState,
    ReviewTask,
)
from services.identity.model import Agreement, FieldEvidence
from services.identity.postgres.link_history import LinkHistoryTables
from services.identity.postgres.links import candidate_json
from services.identity.schema import review_task

_DRAW = "REVIEW_DRAW"


class ReviewTables(LinkHistoryTables):
    """The part of a transaction that deals with review tasks."""

    async def review_task(self, id: UUID, *, hold: bool = False) -> ReviewTask | None:
        """A task."""
        wanted = select(review_task).where(review_task.c.id == id)
        row = (await self._connection.execute(wanted.with_for_update() if hold else wanted)).one_or_none()
        return None if row is None else _task_in(row)

    async def review_tasks(
        self, state: ReviewState | None, facility: str | None, after: TaskPlace | None, limit: int
    ) -> Sequence[ReviewTask]:
        """A page of tasks."""
        found = review_task.c
        wanted = select(review_task)
        decided = found.state == ReviewState.DECIDED.value
        wanted = wanted.where(~decided if state is None else found.state == state.value)
        if facility is not None:
            wanted = wanted.where(found.facility_id == facility)
        if after is not None:
            waiting, at, id = after
            wanted = wanted.where(
                or_(
                    found.documents_waiting < waiting,
                    and_(found.documents_waiting == waiting, tuple_(found.created_at, found.id) > tuple_(at, id)),
                )
            )
        rows = await self._connection.execute(wanted.order_by(*_ORDER).limit(limit))
        return [_task_in(row) for row in rows]

    async def next_task(self, actor: str, now: datetime) -> ReviewTask | None:
        """The first task that is open to a steward."""
        found = review_task.c
        mine = [{"actor": actor}]
        wanted = select(review_task).where(
            found.state != ReviewState.DECIDED.value,
            or_(found.claim_ends_at.is_(None), found.claim_ends_at <= now, found.claimed_by == actor),
            ~found.decisions.contains(mine),
        )
        wanted = wanted.order_by(*_ORDER).limit(1).with_for_update(skip_locked=True)
        row = (await self._connection.execute(wanted)).one_or_none()
        return None if row is None else _task_in(row)

    async def held_tasks(self, actor: str, now: datetime) -> Sequence[ReviewTask]:
        """Tasks on which a claim holds; those that are not decided have an index."""
        found = review_task.c
        held = (found.state == ReviewState.CLAIMED.value, found.claimed_by == actor, found.claim_ends_at > now)
        rows = await self._connection.execute(select(review_task).where(*held).order_by(*_ORDER).limit(_MOST_HELD))
        return [_task_in(row) for row in rows]

    async def put_task(self, task: ReviewTask) -> None:
        """Writes a task."""
        found = review_task.c
        await self._connection.execute(
            update(review_task)
            .where(found.person_id == task.person, found.id == task.id)
            .values(
                state=task.state.value,
                candidates=[candidate_json(one) for one in task.candidates],
                double_review=task.double_review,
                claimed_by=task.claimed_by,
                claim_ends_at=task.claim_ends_at,
                decisions=[_finding_json(one) for one in task.findings],
                decided_at=task.decided_at,
                version=task.version,
            )
        )

    async def review_figures(self, since: datetime) -> ReviewFigures:
        """Figures of the desk, in one statement."""
        found = review_task.c
        decided = and_(found.state == ReviewState.DECIDED.value, found.decided_at >= since)
        first, second = found.decisions[0], found.decisions[1]
        double = and_(decided, func.jsonb_array_length(found.decisions) >= 2)
        alike = and_(
            double,
            first["decision"].astext == second["decision"].astext,
            first["person"].astext.is_not_distinct_from(second["person"].astext),
        )
        hours = cast(func.extract("epoch", found.decided_at - found.created_at), Numeric) / 3600
        median = func.percentile_cont(0.5).within_group(case((decided, hours)))
        row = (
            await self._connection.execute(
                select(
                    func.count().filter(found.state != ReviewState.DECIDED.value),
                    func.count().filter(decided),
                    median,
                    func.count().filter(double),
                    func.count().filter(alike),
                )
            )
        ).one()
        return ReviewFigures(row[0], row[1], float(row[2] or 0), row[3], row[4])

    async def drawn(self, id: UUID) -> float:
        """A keyed number of the task."""
        versions = self._vault.blind_versions
        return await self._vault.ask(lambda: self._vault.draw(_DRAW, str(id), max(versions)))


_MOST_HELD = 100
_ORDER = (review_task.c.documents_waiting.desc(), review_task.c.created_at, review_task.c.id)


def _task_in(row: Any) -> ReviewTask:
    return ReviewTask(
        id=row.id,
        person=row.person_id,
        reason=ReviewReason(row.reason),
        state=ReviewState(row.state),
        candidates=tuple(_candidate_in(one) for one in row.candidates),
        created_at=row.created_at,
        facility=row.facility_id,
        model_version=row.model_version,
        documents_waiting=row.documents_waiting,
        double_review=row.double_review,
        claimed_by=row.claimed_by,
        claim_ends_at=row.claim_ends_at,
        findings=tuple(_finding_in(one) for one in row.decisions),
        decided_at=row.decided_at,
        version=row.version,
    )


def _candidate_in(content: Mapping[str, Any]) -> ReviewCandidate:
    evidence = tuple(FieldEvidence(field, Agreement(agreement), bits) for field, agreement, bits in content["evidence"])
    return ReviewCandidate(UUID(content["person"]), content["score"], evidence)


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "actor": finding.actor,
        "decision": finding.decision.value,
        "reason": finding.reason,
        "at": finding.at.isoformat(),
        "person": str(finding.person) if finding.person else None,
    }


def _finding_in(content: Mapping[str, Any]) -> Finding:
    return Finding(
        content["actor"],
        ReviewDecision(content["decision"]),
        content["reason"],
        datetime.fromisoformat(content["at"]),
        UUID(content["person"]) if content["person"] else None,
    )
