"""Whom documents are about where their numbers do not say: a search by demographics, and what the numbers say against what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.identity.links import ReviewCandidate
from services.identity.matching.decision import third_fact
from services.identity.model import Query
from services.identity.ports import Transaction
from services.identity.resolution import Asked, identifier_evidence
from services.identity.service.matching import Found, Match, Matcher, evidence
from services.identity.service.resolving import Holders, contradicting

MOST_CANDIDATES = 5
"""Candidates that a steward is shown."""


@dataclass(frozen=True)
class Unknown:
    """Somebody whom the numbers of a document do not settle. While people have to say who it is (`waiting`), nothing is matched by itself."""

    asked: Asked
    waiting: bool


@dataclass(frozen=True)
class Recognised:
    """What the search says: who was matched, or whom a steward has to look at; neither of them when nobody is near. `candidates` has the one
    matched with score and evidence.
    """

    matched: Match | None
    candidates: tuple[ReviewCandidate, ...]
    model_version: str


NOBODY = Recognised(None, (), "")
"""Nobody was searched for."""


class Recogniser:
    """Searches for those whom documents are about."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    async def recognise(
        self, transaction: Transaction, unknown: Sequence[Unknown], holders: Holders
    ) -> Sequence[Recognised]:
        """Answers for each, in order, with a number of statements that does not grow with them."""
        if not unknown:
            return ()
        beside = [holders.candidates(one.asked) for one in unknown]
        queries = [Query((), one.asked.demographics, emergency=one.waiting) for one in unknown]
        found = await self._matcher.search(transaction, queries, beside)
        near = {
            at: (one.asked, {best.candidate.person for best in result.decision.best[:MOST_CANDIDATES]})
            for at, (one, result) in enumerate(zip(unknown, found, strict=True))
        }
        others = await contradicting(transaction, near)
        return [
            self._recognised(one.asked, result, others.get(at, frozenset()), holders)
            for at, (one, result) in enumerate(zip(unknown, found, strict=True))
        ]

    def _recognised(self, asked: Asked, found: Found, others: frozenset[UUID], holders: Holders) -> Recognised:
        """A candidate who has another number of the same kind is a namesake, unless a third fact speaks against that."""
        matched = found.matched
        if matched is not None and matched.person not in others:
            return Recognised(matched, found.review_candidates(1), found.model_version)
        alike = {one.candidate.person for one in found.decision.best if third_fact(one.score)}
        shown = {
            one.person: one
            for one in found.review_candidates(MOST_CANDIDATES)
            if one.person not in others or one.person in alike
        }
        # Who holds one of the numbers is to be looked at, however little else agrees; a protected one without what is stored of her.
        for holder in holders.of(asked):
            person = holders.answering[holder.person]
            if person not in shown and holder.exclusive(asked.keys):
                score = found.beside.get(person)
                shown[person] = ReviewCandidate(
                    person,
                    round(score.total, 1) if score else 0.0,
                    identifier_evidence(asked, holder) + (evidence(score) if score else ()),
                )
        return Recognised(None, tuple(shown.values()), found.model_version)
