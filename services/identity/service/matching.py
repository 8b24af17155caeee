"""Searching by demographics: which keys are asked for in what order, what the candidates score, and what follows."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.clock import Clock
from services.identity.candidates import Candidate
from services.identity.errors import MatchesExhausted, ResolutionOverloaded
from services.identity.links import ReviewCandidate
from services.identity.matching.blocks import BlockKey, query_keys, tiers
from services.identity.matching.decision import Decision, Scored, decide
from services.identity.matching.model import load_model
from services.identity.matching.scoring import PRIOR, VETO, Score, Scorer
from services.identity.model import FieldEvidence, Outcome, Query
from services.identity.normalise import NORMALISER_VERSION
from services.identity.normalise.dates import day_in_viet_nam
from services.identity.normalise.person import NormalPerson, normal
from services.identity.ports import Transaction

LEAST_POPULATION = 1_000_000
"""Who comes through the door is one of the nation, not of those whom a young index knows: odds are never taken better than one in this many."""
MOST_IN_FLIGHT = 200
"""Queries that a process works on at once: what two cores answer in some 0.3 s. More would wait longer than their callers do."""
MATCHES_A_MINUTE = 120
"""Queries of MatchPersons per facility and minute: a busy desk has ten, somebody who looks for people has more."""
MOST_KEYS_AT_ONCE = 512
"""Keys in one statement; a batch with more is searched in several."""
_POPULATION_LIFE = timedelta(minutes=5)
_FACILITIES = 20_000
_AT_ONCE = 50
"""Candidates that are scored before other calls get their turn."""


@dataclass(frozen=True)
class Match:
    """A candidate: `person` answers for `entry`, the one that scored best of those it answers for."""

    person: UUID
    entry: UUID


@dataclass(frozen=True)
class Found:
    """What a search found; `beside` are the scores, by person, of those who were known by other means."""

    decision: Decision[Match]
    incomplete: bool
    model_version: str
    beside: Mapping[UUID, Score] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """Match, a look by people, or nobody."""
        return self.decision.outcome

    @property
    def matched(self) -> Match | None:
        """The one that was matched."""
        return self.decision.best[0].candidate if self.outcome is Outcome.MATCH else None

    @property
    def score(self) -> float | None:
        """Score of the best candidate."""
        return self.decision.best[0].score.total if self.decision.best else None

    @property
    def evidence(self) -> tuple[FieldEvidence, ...]:
        """Evidence on the best candidate."""
        return evidence(self.decision.best[0].score) if self.decision.best else ()

    def review_candidates(self, most: int = 5) -> tuple[ReviewCandidate, ...]:
        """The best candidates as a review task keeps them."""
        return tuple(
            ReviewCandidate(one.candidate.person, round(one.score.total, 1), evidence(one.score))
            for one in self.decision.best[:most]
        )


def evidence(score: Score) -> tuple[FieldEvidence, ...]:
    """What each field adds, in tenths of bits; what is no field of the query is left out."""
    return tuple(
        FieldEvidence(one.field, one.agreement, round(one.bits, 1))
        for one in score.fields
        if one.field not in {PRIOR, VETO}
    )


@dataclass
class _Search:
    """One query on its way."""

    query: Query
    person: NormalPerson
    first: tuple[BlockKey, ...]
    second: tuple[BlockKey, ...]
    left_out: bool
    scored: dict[UUID, Scored[Match]] = field(default_factory=dict)
    seen: set[UUID] = field(default_factory=set)
    beside: Mapping[UUID, Score] = field(default_factory=dict)
    cut: bool = False


class Matcher:
    """Searches and decides by one model."""

    def __init__(self, clock: Clock, model: str | None = None) -> None:
        self._clock = clock
        self._model = load_model(model) if model else load_model()
        self._scorer = Scorer(self._model)
        self._counted: tuple[datetime, int] | None = None

    @property
    def version(self) -> str:
        """Model and normaliser."""
        return f"{self._model.version}+{NORMALISER_VERSION}"

    async def search(
        self, transaction: Transaction, queries: Sequence[Query], beside: Sequence[Sequence[Candidate]] = ()
    ) -> Sequence[Found]:
        """Searches for each query, in order: the rare keys of all of them in one statement, then the common ones of those that are not settled in
        another (each as many as 512 keys need). `beside` are candidates known by other means, by query.
        """
        population = await self._population(transaction)
        searches = [self._search(query, population) for query in queries]
        for search, known in zip(searches, beside, strict=False):
            await self._score(known, search, population)
            search.beside = {person: one.score for person, one in search.scored.items()}
        await self._look(transaction, {at: one.first for at, one in enumerate(searches)}, searches, population)
        unsettled = {
            at: one.second
            for at, one in enumerate(searches)
            if one.second and self._decide(one).outcome is not Outcome.MATCH
        }
        await self._look(transaction, unsettled, searches, population)
        return [self._found(one, at in unsettled) for at, one in enumerate(searches)]

    def _search(self, query: Query, population: int) -> _Search:
        person = normal(query.demographics, day_in_viet_nam(self._clock()))
        keys = query_keys(person, self._model, max(population, 1), query.estimated_age, self._clock().year)
        first, second, left_out = tiers(keys)
        return _Search(query, person, tuple(one.key for one in first), tuple(one.key for one in second), left_out)

    async def _look(
        self,
        transaction: Transaction,
        keys: Mapping[int, Sequence[BlockKey]],
        searches: Sequence[_Search],
        population: int,
    ) -> None:
        wanted: dict[BlockKey, list[_Search]] = {}
        for at, asked in keys.items():
            for key in asked:
                wanted.setdefault(key, []).append(searches[at])
        listed = list(wanted)
        for start in range(0, len(listed), MOST_KEYS_AT_ONCE):
            found = await transaction.candidates(listed[start : start + MOST_KEYS_AT_ONCE])
            for key in found.cut:
                for one in wanted[key]:
                    one.cut = True
            of_search: dict[int, tuple[_Search, list[Candidate]]] = {}
            for candidate in found.found:
                for one in {id(one): one for key in candidate.keys for one in wanted[key]}.values():
                    of_search.setdefault(id(one), (one, []))[1].append(candidate)
            for one, candidates in of_search.values():
                await self._score(candidates, one, population)

    async def _score(self, candidates: Sequence[Candidate], search: _Search, population: int) -> None:
        """Scores on the loop, in slices. A thread would wait for the interpreter as long as the loop does, and cost more on the way."""
        odds = max(population, LEAST_POPULATION)
        for candidate in candidates:
            if candidate.entry in search.seen:
                continue
            search.seen.add(candidate.entry)
            score = self._scorer.score(search.person, candidate.normal, odds)
            # Entries for which the same one answers are one candidate: the best of them.
            best = search.scored.get(candidate.person)
            if best is None or score.total > best.score.total:
                search.scored[candidate.person] = Scored(Match(candidate.person, candidate.entry), score)
            if len(search.seen) % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def decide_without(self, query: Query, found: Found, person: UUID) -> Decision[Match]:
        """What would be decided if somebody, such as the one who is asked about, were not there."""
        others = [one for one in found.decision.best if one.candidate.person != person]
        return decide(normal(query.demographics), others, self._model)

    def _decide(self, search: _Search) -> Decision[Match]:
        return decide(search.person, list(search.scored.values()), self._model, emergency=search.query.emergency)

    def _found(self, search: _Search, whole: bool) -> Found:
        decision = self._decide(search)
        # Where the rare keys settled it, what the common ones would have added is of no interest.
        left_out = search.left_out and (whole or decision.outcome is not Outcome.MATCH)
        return Found(decision, left_out or search.cut, self.version, search.beside)

    async def _population(self, transaction: Transaction) -> int:
        now = self._clock()
        if self._counted is None or now - self._counted[0] >= _POPULATION_LIFE:
            self._counted = (now, await transaction.population())
        return self._counted[1]


class InFlight:
    """Bounds how many queries a process works on at once."""

    def __init__(self, most: int = MOST_IN_FLIGHT) -> None:
        self._most = most
        self._now = 0

    @contextmanager
    def of(self, queries: int) -> Iterator[None]:
        """Counts queries while they are worked on. Raises ResolutionOverloaded; a call alone is always let in."""
        if self._now and self._now + queries > self._most:
            raise ResolutionOverloaded
        self._now += queries
        try:
            yield
        finally:
            self._now -= queries


class MatchRate:
    """Bounds how much a facility may look for people: queries per minute, in one process. The facilities that came last are remembered."""

    def __init__(self, clock: Clock, a_minute: int = MATCHES_A_MINUTE) -> None:
        self._clock = clock
        self._a_minute = a_minute
        self._spent: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def spend(self, who: str, queries: int) -> None:
        """Counts queries. Raises MatchesExhausted with the time after which there is room."""
        now = self._clock()
        since, spent = self._spent.get(who, (now, 0))
        if now - since >= timedelta(minutes=1):
            since, spent = now, 0
        if spent + queries > self._a_minute:
            raise MatchesExhausted(since + timedelta(minutes=1) - now)
        self._spent[who] = (since, spent + queries)
        self._spent.move_to_end(who)
        while len(self._spent) > _FACILITIES:
            self._spent.popitem(last=False)
