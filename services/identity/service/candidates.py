"""Looking for somebody: graded candidates, with evidence and nothing of what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis.principal import Principal
from services.identity.model import FieldEvidence, Outcome, Query
from services.identity.ports import Store, Transaction
from services.identity.resolution import Asked, ask
from services.identity.service.actors import actor, require_active
from services.identity.service.matching import Found, InFlight, Matcher, MatchRate, evidence
from services.identity.service.resolving import Holders, holders_of


@dataclass(frozen=True)
class Graded:
    """A candidate that is shown: MATCH when it would be used at once."""

    person: UUID
    grade: Outcome
    score: float
    evidence: tuple[FieldEvidence, ...]


@dataclass(frozen=True)
class Answer:
    """The candidates for one query, best first."""

    candidates: tuple[Graded, ...]
    ask_next: tuple[str, ...]
    warnings: tuple[str, ...]
    incomplete: bool
    model_version: str


class MatchingService:
    """The one way to look for somebody; every query counts."""

    def __init__(self, store: Store, matcher: Matcher, in_flight: InFlight, rate: MatchRate) -> None:
        self._store = store
        self._matcher = matcher
        self._in_flight = in_flight
        self._rate = rate

    async def match(self, principal: Principal, queries: Sequence[Query], most: int) -> Sequence[Answer]:
        """At most `most` candidates for each query, in order; nothing of what is stored. Who holds a number of the query is one of them: a
        protected person is so only where number, name and birth date are hers, and without a score.
        """
        self._rate.spend(actor(principal), len(queries))
        asked = [ask(query.identifiers, query.demographics) for query in queries]

        async def work(transaction: Transaction) -> Sequence[tuple[Found, Graded | None]]:
            await require_active(transaction, principal)
            holders = await holders_of(transaction, asked)
            beside = [holders.candidates(one) for one in asked]
            found = await self._matcher.search(transaction, queries, beside)
            hidden = [_protected(holders, query, one) for query, one in zip(queries, asked, strict=True)]
            return list(zip(found, hidden, strict=True))

        with self._in_flight.of(len(queries)):
            found = await self._store.read(work)
        return [_answer(one, hidden, said.warnings, most) for (one, hidden), said in zip(found, asked, strict=True)]


def _protected(holders: Holders, query: Query, asked: Asked) -> Graded | None:
    found = holders.resolve(asked)
    if found.person is None or not holders.protected(found):
        return None
    return Graded(found.person, Outcome.REVIEW if query.emergency else Outcome.MATCH, 0.0, found.evidence)


def _answer(found: Found, hidden: Graded | None, warnings: tuple[str, ...], most: int) -> Answer:
    graded = [
        Graded(
            one.candidate.person,
            found.outcome if at == 0 else Outcome.REVIEW,
            round(one.score.total, 1),
            evidence(one.score),
        )
        for at, one in enumerate(found.decision.best)
    ]
    shown = tuple([hidden, *graded] if hidden else graded)[:most]
    return Answer(shown, found.decision.ask_next, warnings, found.incomplete, found.model_version)
