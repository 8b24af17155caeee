"""Searching again for those who are in the index already: after the model or the areas changed, and for who came without a search.

Nobody is linked here: two entries that the present model would match at the door are a task for a steward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis.clock import Clock
from services.identity.links import NewReviewTask, ReviewCandidate, ReviewReason
from services.identity.model import Outcome, Person, Query
from services.identity.normalise.names import name as normal_name
from services.identity.ports import NewId, Store, Transaction
from services.identity.resolution import ask
from services.identity.service.matching import Matcher, evidence
from services.identity.service.resolving import contradicting

BATCH = 50


@dataclass(frozen=True)
class Proposed:
    """What a batch did: entries looked at, tasks raised; `done` when no entry was left."""

    entries: int
    tasks: int
    done: bool = False


class ProposalService:
    """Goes through the entries in the order in which they came, once for every version of model and normaliser, and goes on with the new ones."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId, matcher: Matcher) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._matcher = matcher

    async def propose(self, limit: int = BATCH) -> Proposed:
        """Searches for the next `limit` entries and notes how far it came, in one transaction: a run that dies goes on where it was."""

        async def work(transaction: Transaction) -> Proposed:
            last = await transaction.place(self._matcher.version)
            ids = await transaction.entries_after(last, limit)
            if not ids:
                return Proposed(0, 0, done=True)
            tasks = await self._tasks(transaction, ids)
            if tasks:
                await transaction.add_review_tasks({self._new_id(): task for task in tasks}, self._clock())
            await transaction.put_place(self._matcher.version, ids[-1], self._clock())
            return Proposed(len(ids), len(tasks))

        return await self._store.write(work)

    async def _tasks(self, transaction: Transaction, ids: Sequence[UUID]) -> Sequence[NewReviewTask]:
        currents = await transaction.currents(ids)
        persons = await transaction.persons(ids)
        asked = [persons[id] for id in ids if id in persons and _searched(persons[id], currents[id])]
        queries = [Query((), one.demographics) for one in asked]
        found = await self._matcher.search(transaction, queries)
        matches: dict[UUID, ReviewCandidate] = {}
        for person, query, result in zip(asked, queries, found, strict=True):
            decision = self._matcher.decide_without(query, result, person.id)
            if decision.outcome is Outcome.MATCH:
                best = decision.best[0]
                # The younger asks about the older one, so that a pair is one task.
                if best.candidate.person < person.id:
                    total = round(best.score.total, 1)
                    matches[person.id] = ReviewCandidate(best.candidate.person, total, evidence(best.score))
        others = await _apart(transaction, {id: persons[id] for id in matches}, matches)
        return [
            NewReviewTask(
                id,
                ReviewReason.RE_RESOLUTION,
                (candidate,),
                persons[id].facility or "",
                self._matcher.version,
                documents=0,
            )
            for id, candidate in matches.items()
            if id not in others
        ]


def _searched(person: Person, current: UUID) -> bool:
    """Roots with a name of their own, whose data may be compared."""
    name = normal_name(person.demographics.name)
    return current == person.id and not person.protected and not name.empty and not name.newborn


async def _apart(
    transaction: Transaction, persons: Mapping[UUID, Person], matches: Mapping[UUID, ReviewCandidate]
) -> frozenset[UUID]:
    """Those whose match has another number of the same kind, or was found to be somebody else by a steward."""
    if not matches:
        return frozenset()
    numbers = {
        id: ask([held.identifier for held in one.identifiers if held.valid_to is None], one.demographics)
        for id, one in persons.items()
    }
    contradicted = await contradicting(transaction, {id: (numbers[id], {one.person}) for id, one in matches.items()})
    refused = await transaction.refusals(list(matches), [one.person for one in matches.values()])
    pairs = {frozenset(pair) for pair in refused}
    return frozenset(id for id, one in matches.items() if contradicted.get(id) or frozenset({id, one.person}) in pairs)
