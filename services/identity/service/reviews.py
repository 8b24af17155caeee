"""The review desk: tasks are claimed for half an hour and decided, some of them by two stewards who do not know of each other.

Two look where verified data contradict each other, and at 2 % of the others, drawn by a key, to measure how often stewards agree. Who decides
first cannot tell whether somebody will look again, and who looks again does not see what was found. Where they differ a third one decides.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.principal import Principal, PrincipalKind
from services.identity.desk import TaskPlace
from services.identity.disclosure import Evidence
from services.identity.errors import (
    AlreadyLinked,
    EtagMismatch,
    PersonNotFound,
    ReviewTaskNotFound,
    ReviewTaskState,
)
from services.identity.links import (
    Finding,
    LinkMethod,
    PersonLink,
    ReviewDecision,
    ReviewFigures,
    ReviewState,
    ReviewTask,
)
from services.identity.model import BirthDate, Person, PersonState, invalid
from services.identity.ports import Store, Transaction
from services.identity.service.actors import actor
from services.identity.service.entries import write
from services.identity.service.links import LinkService
from services.identity.service.trees import contradict

CLAIM = timedelta(minutes=30)
_LINK_EVENTS = 50
_MOST_EVIDENCE = 10
DOUBLE_SHARE = 0.02
"""Share of the tasks that a second steward looks at only to measure agreement."""


@dataclass(frozen=True)
class Sides:
    """One field of both sides, as it is shown to the steward who holds the claim."""

    name: str
    subject: str = field(repr=False)
    candidate: str = field(repr=False)


@dataclass(frozen=True)
class ClaimedTask:
    """A claimed task with both sides of every candidate."""

    task: ReviewTask
    sides: Mapping[UUID, Sequence[Sides]] = field(repr=False)


@dataclass(frozen=True)
class Verdict:
    """What a steward decides; `person` is the candidate that is the same."""

    decision: ReviewDecision
    reason: str
    person: UUID | None = None
    etag: str = ""


def concerned(task: ReviewTask) -> frozenset[UUID]:
    """The entries that a task is about."""
    return frozenset({task.person, *(one.person for one in task.candidates)})


class ReviewService:
    """Use cases around review tasks."""

    def __init__(self, store: Store, clock: Clock, links: LinkService) -> None:
        self._store = store
        self._clock = clock
        self._links = links

    async def list(
        self, state: ReviewState | None, facility: str | None, after: TaskPlace | None, limit: int
    ) -> Sequence[ReviewTask]:
        """A page of tasks, those with most documents waiting first, without values. Without a state, all that are not decided."""
        return await self._store.read(lambda transaction: transaction.review_tasks(state, facility, after, limit))

    async def interest(self, principal: Principal, entries: Collection[UUID]) -> tuple[Evidence, ...]:
        """Why a steward may look at a person, by any of the entries that stand for them: a task that the steward holds, or a link of theirs."""
        if principal.kind is not PrincipalKind.STEWARD:
            return ()
        by, now = actor(principal), self._clock()

        async def work(transaction: Transaction) -> tuple[Evidence, ...]:
            held = [one for one in await transaction.held_tasks(by, now) if concerned(one) & set(entries)]
            events = await transaction.link_events(entries, None, _LINK_EVENTS)
            links = dict.fromkeys(one.link for one in events if one.link is not None)
            return (
                *(Evidence("REVIEW_TASK", one.name) for one in held),
                *(Evidence("PERSON_LINK", f"personLinks/{link}") for link in links),
            )[:_MOST_EVIDENCE]

        return await self._store.read(work)

    async def claim(self, principal: Principal, id: UUID | None, request_id: str, digest: bytes) -> ClaimedTask | None:
        """Claims a task, or the first one that the steward may decide (None when there is none). Raises ReviewTaskNotFound also for tasks that
        the steward has decided, ReviewTaskState while somebody else's claim holds.
        """
        by = actor(principal)

        async def work(transaction: Transaction) -> ClaimedTask | None:
            async def first_time() -> bytes:
                task = await self._claim(transaction, by, id)
                return str(task.id).encode() if task else b""

            answer = await transaction.once(f"{by}/ClaimReviewTask", request_id, digest, first_time)
            if not answer:
                return None
            task = await transaction.review_task(UUID(answer.decode()))
            if task is None or task.claimed_by != by or not task.claimed(self._clock()):
                raise ReviewTaskState("the claim has run out")
            persons = await transaction.persons([task.person, *(one.person for one in task.candidates)])
            subject = persons.get(task.person)
            found = {one.person: persons[one.person] for one in task.candidates if one.person in persons}
            return ClaimedTask(task, {key: _sides(subject, one) for key, one in found.items()} if subject else {})

        return await write(self._store, work)

    async def _claim(self, transaction: Transaction, by: str, id: UUID | None) -> ReviewTask | None:
        now = self._clock()
        if id is None:
            task = await transaction.next_task(by, now)
            if task is None:
                return None
        else:
            task = await self._held(transaction, id)
            if any(one.actor == by for one in task.findings):
                raise ReviewTaskNotFound("no such task for this steward")
            if not task.open_to(by, now):
                raise ReviewTaskState("the task is claimed by another steward, or decided")
        claimed = replace(
            task,
            state=ReviewState.CLAIMED if task.state is ReviewState.OPEN else task.state,
            double_review=task.double_review or await self._guarded(transaction, task),
            claimed_by=by,
            claim_ends_at=now + CLAIM,
            version=task.version + 1,
        )
        await transaction.put_task(claimed)
        return claimed

    async def _guarded(self, transaction: Transaction, task: ReviewTask) -> bool:
        """True when two stewards have to look, because verified data of a candidate contradict those of the subject."""
        trees = await _trees(transaction, [task.person, *(one.person for one in task.candidates)])
        subject = trees.get(task.person, ())
        return any(contradict(subject, trees.get(one.person, ())) for one in task.candidates)

    async def decide(
        self, principal: Principal, id: UUID, verdict: Verdict, request_id: str, digest: bytes
    ) -> tuple[ReviewTask, UUID | None]:
        """Decides a claimed task, and returns the link that was made. Raises ReviewTaskNotFound, ReviewTaskState when the steward has no claim,
        EtagMismatch, and what linking and refusing raise.
        """
        by = actor(principal)

        async def work(transaction: Transaction) -> tuple[ReviewTask, UUID | None]:
            async def first_time() -> bytes:
                link = await self._decide(transaction, by, id, verdict)
                return json.dumps(str(link) if link else None).encode()

            answer = json.loads(await transaction.once(f"{by}/DecideReviewTask", request_id, digest, first_time))
            task = await transaction.review_task(id)
            if task is None:
                raise ReviewTaskNotFound("no such task")
            return task, UUID(answer) if answer else None

        return await write(self._store, work)

    async def _decide(self, transaction: Transaction, by: str, id: UUID, verdict: Verdict) -> UUID | None:
        asked, now = await transaction.review_task(id), self._clock()
        if asked is not None:
            # Entries before tasks, as everybody does who raises a task while entries are held.
            await transaction.hold({asked.person, *(one.person for one in asked.candidates)})
        task = await self._held(transaction, id)
        if task.state is ReviewState.DECIDED or task.claimed_by != by or not task.claimed(now):
            raise ReviewTaskState("the task is not claimed by this steward")
        if verdict.etag and verdict.etag != task.etag:
            raise EtagMismatch("the task changed since")
        candidates = {one.person for one in task.candidates}
        if verdict.decision is ReviewDecision.SAME and verdict.person not in candidates:
            raise invalid("person", "a candidate of the task", "CANDIDATE_UNKNOWN")
        if verdict.decision is not ReviewDecision.SAME and verdict.person is not None:
            raise invalid("person", "only for SAME", "CANDIDATE_UNEXPECTED")
        finding = Finding(by, verdict.decision, verdict.reason, now, verdict.person)
        task = replace(
            task,
            findings=(*task.findings, finding),
            claimed_by=None,
            claim_ends_at=None,
            version=task.version + 1,
        )
        state = await self._next(transaction, task)
        if state is not ReviewState.DECIDED:
            await transaction.put_task(replace(task, state=state, double_review=True))
            return None
        link = await self._conclude(transaction, task)
        await transaction.put_task(replace(task, state=state, decided_at=now))
        return link.id if link else None

    async def _next(self, transaction: Transaction, task: ReviewTask) -> ReviewState:
        """Where a task goes after its newest finding."""
        match task.findings:
            case (_,):
                again = (
                    task.double_review
                    or await self._guarded(transaction, task)
                    or await transaction.drawn(task.id) < DOUBLE_SHARE
                )
                return ReviewState.SECOND_REVIEW if again else ReviewState.DECIDED
            case (first, second):
                return ReviewState.DECIDED if first.agrees(second) else ReviewState.DISPUTED
            case _:
                return ReviewState.DECIDED

    async def _conclude(self, transaction: Transaction, task: ReviewTask) -> PersonLink | None:
        """Does what was found; the newest finding stands, and earlier ones that agree with it are the second steward."""
        *earlier, last = task.findings
        if last.decision is ReviewDecision.DIFFERENT:
            for one in task.candidates:
                # Of who was erased meanwhile nothing is left to keep apart.
                with suppress(PersonNotFound):
                    await self._links.refuse_pair(transaction, task.person, one.person, last.actor, last.reason)
        if last.decision is not ReviewDecision.SAME or last.person is None:
            return None
        agreed = next((one.actor for one in earlier if one.agrees(last)), "")
        candidate = next(one for one in task.candidates if one.person == last.person)
        loser, survivor = await _direction(transaction, task.person, last.person)
        try:
            return await self._links.link(
                transaction,
                person=loser,
                target=survivor,
                method=LinkMethod.STEWARD,
                evidence=None,
                actor=agreed or last.actor,
                reason=last.reason,
                score=candidate.score,
                model_version=task.model_version,
                second_actor=last.actor if agreed else "",
            )
        except AlreadyLinked:
            # Somebody else has found the same meanwhile.
            return None

    async def _held(self, transaction: Transaction, id: UUID) -> ReviewTask:
        task = await transaction.review_task(id, hold=True)
        if task is None:
            raise ReviewTaskNotFound("no such task")
        return task

    async def figures(self, since: datetime) -> ReviewFigures:
        """How many tasks wait, how long they take, and how often two stewards agree."""
        return await self._store.read(lambda transaction: transaction.review_figures(since))


async def _trees(transaction: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[Person]]:
    """All entries that answer with each of these."""
    currents = await transaction.currents(ids)
    members = await transaction.members(set(currents.values()))
    persons = await transaction.persons({one for group in members.values() for one in group})
    return {id: [persons[one] for one in members[root] if one in persons] for id, root in currents.items()}


async def _direction(transaction: Transaction, one: UUID, other: UUID) -> tuple[UUID, UUID]:
    """Which of two persons answers with which: the provisional one with the identified one, else the younger entry with the older."""
    roots = await transaction.currents([one, other])
    persons = await transaction.persons(set(roots.values()))
    if any(roots[id] not in persons for id in (one, other)):
        raise PersonNotFound("no such person")

    def rank(id: UUID) -> tuple[bool, datetime, UUID]:
        root = persons[roots[id]]
        return root.state is PersonState.PROVISIONAL, root.created_at, root.id

    survivor, loser = sorted((one, other), key=rank)
    return loser, survivor


def _sides(subject: Person, candidate: Person) -> Sequence[Sides]:
    """Every field that either side has."""
    left, right = _texts(subject), _texts(candidate)
    return [Sides(name, left.get(name, ""), right.get(name, "")) for name in sorted(left | right)]


def _texts(person: Person) -> dict[str, str]:
    said = person.demographics
    area = said.residence
    texts = {
        "demographics.human_name": said.name,
        "demographics.birth_date": _birth_text(said.birth),
        "demographics.sex": said.sex.value if said.sex else None,
        "demographics.phone": said.phone,
        "demographics.residence": f"{area.era.value} {area.province_code} {area.ward_code or ''}".strip()
        if area
        else None,
        "demographics.mother_name": said.mother_name,
        "demographics.nationality": said.nationality,
    }
    for held in person.identifiers:
        name, ended = f"identifiers.{held.identifier.type.value}", " (ended)" if held.valid_to else ""
        text = f"{held.identifier.value} {held.identifier.assigner}".strip()
        texts[name] = "; ".join(part for part in (texts.get(name), f"{text} [{held.assurance.value}]{ended}") if part)
    return {name: text for name, text in texts.items() if text}


def _birth_text(birth: BirthDate | None) -> str | None:
    """As much of a date of birth as is known, largest unit first."""
    if birth is None:
        return None
    parts = [f"{birth.year:04d}", *(f"{part:02d}" for part in (birth.month, birth.day) if part)]
    return "-".join(parts) + (" (estimated)" if birth.estimated else "")
