"""Links, their history and the review desk in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import Protocol
from uuid import UUID

from services.identity.desk import Place, TaskPlace
from services.identity.links import (
    FiledRecord,
    LinkEvent,
    LinkState,
    NewReviewTask,
    PersonLink,
    ReviewFigures,
    ReviewState,
    ReviewTask,
)
from services.identity.model import FilingOutcome, Person, PersonEvent

OPEN = frozenset({ReviewState.OPEN, ReviewState.CLAIMED})


@dataclass
class DeskState:
    links: dict[UUID, PersonLink] = field(default_factory=dict)
    history: list[LinkEvent] = field(default_factory=list)
    redirects: dict[UUID, UUID] = field(default_factory=dict)
    refused: dict[tuple[UUID, UUID], UUID] = field(default_factory=dict)
    records: dict[UUID, FiledRecord] = field(default_factory=dict)
    tasks: dict[UUID, ReviewTask] = field(default_factory=dict)


class _Whole(Protocol):
    """What of the whole state the desk reads."""

    persons: dict[UUID, Person]
    events: list[PersonEvent]
    links: dict[UUID, PersonLink]
    history: list[LinkEvent]
    redirects: dict[UUID, UUID]
    refused: dict[tuple[UUID, UUID], UUID]
    records: dict[UUID, FiledRecord]
    tasks: dict[UUID, ReviewTask]


def _rank(task: ReviewTask) -> tuple[int, datetime, UUID]:
    return -task.documents_waiting, task.created_at, task.id


class MemoryDesk:
    def __init__(self, state: _Whole) -> None:
        self._desk = state

    async def persons(self, ids: Collection[UUID]) -> Mapping[UUID, Person]:
        return {id: self._desk.persons[id] for id in ids if id in self._desk.persons}

    async def stewarded(self, ids: Collection[UUID], until: datetime | None = None) -> frozenset[UUID]:
        return frozenset(
            one.person
            for one in self._desk.events
            if one.person in ids
            and one.actor.startswith("STEWARD/")
            and one.kind in {"PERSON_REGISTERED", "DEMOGRAPHICS_CHANGED"}
            and (until is None or one.at <= until)
        )

    async def hold(self, ids: Collection[UUID]) -> None:
        """One writer at a time writes anyway."""

    async def link(self, id: UUID) -> PersonLink | None:
        return self._desk.links.get(id)

    async def proposal(self, person: UUID, target: UUID) -> PersonLink | None:
        found = [
            one
            for one in self._desk.links.values()
            if (one.person, one.target, one.state) == (person, target, LinkState.PROPOSED)
        ]
        return min(found, key=lambda one: (one.created_at, one.id), default=None)

    async def edges(self, entries: Collection[UUID]) -> Mapping[UUID, UUID]:
        links = self._desk.links.values()
        return {one.person: one.target for one in links if one.person in entries and one.state is LinkState.ACTIVE}

    async def refusals(self, left: Collection[UUID], right: Collection[UUID]) -> Mapping[tuple[UUID, UUID], UUID]:
        return {
            (one, other): event
            for (one, other), event in self._desk.refused.items()
            if (one in left and other in right) or (one in right and other in left)
        }

    async def write_event(
        self,
        event: LinkEvent,
        *,
        link: PersonLink | None = None,
        redirects: Mapping[UUID, UUID] | None = None,
        withdrawn: Collection[tuple[UUID, UUID]] = (),
        refused: tuple[UUID, UUID] | None = None,
    ) -> None:
        self._desk.history.append(event)
        if link is not None:
            self._desk.links[link.id] = link
        for id, current in (redirects or {}).items():
            self._desk.redirects[id] = current
            if id == current:
                del self._desk.redirects[id]
        for one in withdrawn:
            self._desk.refused.pop(one, None)
        if refused is not None:
            self._desk.refused.setdefault(refused, event.id)

    async def link_event(self, id: UUID) -> LinkEvent | None:
        return next((one for one in self._desk.history if one.id == id), None)

    async def link_events(
        self, entries: Collection[UUID], after: Place | None, limit: int, until: datetime | None = None
    ) -> Sequence[LinkEvent]:
        found = [
            one
            for one in self._desk.history
            if (one.person in entries or one.target in entries)
            and (after is None or (one.at, one.id) > after)
            and (until is None or one.at <= until)
        ]
        return sorted(found, key=lambda one: (one.at, one.id))[:limit]

    async def events_of_link(self, link: UUID) -> Sequence[LinkEvent]:
        return sorted((one for one in self._desk.history if one.link == link), key=lambda one: (one.at, one.id))

    async def last_event_at(self, entries: Collection[UUID]) -> datetime | None:
        return max((one.at for one in self._desk.history if {one.person, one.target} & set(entries)), default=None)

    async def filed(self, id: UUID) -> FiledRecord | None:
        return self._desk.records.get(id)

    async def filed_under(self, id: UUID, after: Place | None, limit: int) -> Sequence[FiledRecord]:
        mine = (one for one in self._desk.records.values() if one.person == id)
        found = [one for one in mine if after is None or (one.at, one.id) > after]
        return sorted(found, key=lambda one: (one.at, one.id))[:limit]

    async def filed_between(
        self, ids: Collection[UUID], since: datetime, until: datetime, limit: int
    ) -> Sequence[FiledRecord]:
        found = [
            one
            for one in self._desk.records.values()
            if one.person in ids and one.outcome is FilingOutcome.MATCHED and since <= one.at <= until
        ]
        return sorted(found, key=lambda one: (one.at, one.id), reverse=True)[:limit]

    async def move_filed(self, id: UUID, target: UUID) -> None:
        self._desk.records[id] = replace(self._desk.records[id], person=target)

    async def add_review_tasks(self, tasks: Mapping[UUID, NewReviewTask], at: datetime) -> Mapping[UUID, UUID]:
        return {id: self._raise(id, task, at) for id, task in tasks.items()}

    def _raise(self, id: UUID, new: NewReviewTask, at: datetime) -> UUID:
        for known in self._desk.tasks.values():
            if (known.person, known.reason) == (new.person, new.reason) and known.state in OPEN:
                best = {one.person: one for one in (*known.candidates, *new.candidates)}
                self._desk.tasks[known.id] = replace(
                    known,
                    candidates=tuple(sorted(best.values(), key=lambda one: (-one.score, one.person))[:5]),
                    documents_waiting=known.documents_waiting + new.documents,
                    version=known.version + 1,
                )
                return known.id
        ranked = sorted(new.candidates, key=lambda one: (-one.score, one.person))[:5]
        self._desk.tasks[id] = ReviewTask(
            id,
            new.person,
            new.reason,
            ReviewState.OPEN,
            tuple(ranked),
            at,
            new.facility,
            new.model_version,
            new.documents,
        )
        return id

    async def review_task(self, id: UUID, *, hold: bool = False) -> ReviewTask | None:
        return self._desk.tasks.get(id)

    async def review_tasks(
        self, state: ReviewState | None, facility: str | None, after: TaskPlace | None, limit: int
    ) -> Sequence[ReviewTask]:
        start = None if after is None else (-after[0], after[1], after[2])
        found = [
            one
            for one in self._desk.tasks.values()
            if (one.state is not ReviewState.DECIDED if state is None else one.state is state)
            and facility in {None, one.facility}
            and (start is None or _rank(one) > start)
        ]
        return sorted(found, key=_rank)[:limit]

    async def next_task(self, actor: str, now: datetime) -> ReviewTask | None:
        return min((one for one in self._desk.tasks.values() if one.open_to(actor, now)), key=_rank, default=None)

    async def held_tasks(self, actor: str, now: datetime) -> Sequence[ReviewTask]:
        found = [one for one in self._desk.tasks.values() if one.claimed_by == actor and one.claimed(now)]
        return sorted(found, key=_rank)[:100]

    async def put_task(self, task: ReviewTask) -> None:
        self._desk.tasks[task.id] = task

    async def review_figures(self, since: datetime) -> ReviewFigures:
        tasks = self._desk.tasks.values()
        done = [(one, one.decided_at) for one in tasks if one.decided_at is not None and one.decided_at >= since]
        double = [one for one, _ in done if len(one.findings) > 1]
        return ReviewFigures(
            open=sum(one.state is not ReviewState.DECIDED for one in tasks),
            decided=len(done),
            median_hours=median([(at - one.created_at).total_seconds() / 3600 for one, at in done] or [0.0]),
            double=len(double),
            agreed=sum(one.findings[0].agrees(one.findings[1]) for one in double),
        )

    async def drawn(self, id: UUID) -> float:
        return hashlib.sha256(id.bytes).digest()[0] / 256
