"""Who a person is: by numbers, cross-checked, and where those do not settle it by demographics."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from services.identity.candidates import Candidate
from services.identity.model import Holder, IdentifierKey, Outcome, PersonState, Query, Resolution
from services.identity.normalise.person import normal
from services.identity.ports import Transaction
from services.identity.resolution import Asked, HolderIndex, contradicted, identifier_evidence, resolve
from services.identity.service.matching import Found, Matcher

K = TypeVar("K")


@dataclass(frozen=True)
class Holders:
    """Who holds the numbers of a batch, and who answers for each of them."""

    index: HolderIndex
    answering: Mapping[UUID, UUID]

    def of(self, asked: Asked) -> list[Holder]:
        """Those of one query."""
        return self.index.holding(asked.keys)

    def matched(self, asked: Asked, person: UUID) -> frozenset[IdentifierKey]:
        """The numbers of one query that any entry of a person holds."""
        mine = (one.matched for one in self.of(asked) if self.answering.get(one.person, one.person) == person)
        return frozenset().union(*mine) & asked.keys

    def candidates(self, asked: Asked) -> list[Candidate]:
        """Those of one query as candidates of a search; protected ones are never, as scores would tell what is stored of them."""
        return [
            Candidate(one.person, self.answering[one.person], normal(one.demographics), frozenset())
            for one in self.of(asked)
            if one.state is not PersonState.PROVISIONAL and not one.protected
        ]

    def protected(self, found: Resolution) -> bool:
        """True when the one found is protected."""
        return found.entry is not None and self.index[found.entry].protected

    def exclusive(self, asked: Asked) -> frozenset[UUID]:
        """The persons who hold one of the numbers that only one person has at a time."""
        return frozenset(
            self.answering.get(one.person, one.person) for one in self.of(asked) if one.exclusive(asked.keys)
        )

    def resolve(self, asked: Asked) -> Resolution:
        """What the numbers of one query say."""
        return resolve(asked, self.of(asked), self.answering)


async def holders_of(transaction: Transaction, asked: Sequence[Asked]) -> Holders:
    """Who holds any of the numbers: one statement, whatever the number of queries."""
    return await holders_with(transaction, frozenset(key for one in asked for key in one.keys))


async def holders_with(transaction: Transaction, keys: frozenset[IdentifierKey]) -> Holders:
    """Who holds any of these keys."""
    found = await transaction.holders(keys) if keys else ()
    return Holders(HolderIndex(found), {one.person: one.current or one.person for one in found})


class Resolver:
    """Resolves batches, with a bounded number of statements."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    async def resolve(
        self, transaction: Transaction, queries: Sequence[Query], asked: Sequence[Asked]
    ) -> Sequence[Resolution]:
        """Answers each query (`asked` are their canonical forms), in order."""
        holders = await holders_of(transaction, asked)
        answers = [holders.resolve(one) for one in asked]
        open = [at for at, one in enumerate(answers) if one.outcome is not Outcome.MATCH]
        if open:
            beside = [holders.candidates(asked[at]) for at in open]
            searched = await self._matcher.search(transaction, [queries[at] for at in open], beside)
            matched = {
                at: (asked[at], {one.matched.person}) for at, one in zip(open, searched, strict=True) if one.matched
            }
            clash = await contradicting(transaction, matched)
            for at, found in zip(open, searched, strict=True):
                answers[at] = _joined(asked[at], answers[at], found, clash=bool(clash.get(at)))
        answers = [
            # What bystanders say, or what was in a stranger's pocket, is never used by itself.
            replace(one, outcome=Outcome.REVIEW, person=None, entry=None)
            if query.emergency and one.outcome is Outcome.MATCH
            else one
            for query, one in zip(queries, answers, strict=True)
        ]
        return await _with_superseded(transaction, answers)


async def contradicting(
    transaction: Transaction, wanted: Mapping[K, tuple[Asked, Collection[UUID]]]
) -> Mapping[K, frozenset[UUID]]:
    """Of the persons beside each query, those who cannot have one of its numbers because they have another: three statements at most."""
    persons = {person for asked, near in wanted.values() if asked.keys for person in near}
    if not persons:
        return {}
    members = await transaction.members(persons)
    entries = await transaction.persons({id for group in members.values() for id in group})
    held = {
        person: [
            number.key for id in group if id in entries for number in entries[id].identifiers if number.valid_to is None
        ]
        for person, group in members.items()
    }
    return {
        at: frozenset(one for one in near if contradicted(asked, held[one]))
        for at, (asked, near) in wanted.items()
        if asked.keys
    }


def _joined(asked: Asked, by_numbers: Resolution, found: Found, *, clash: bool) -> Resolution:
    """What numbers and search say together: a conflict of numbers is never settled by a search."""
    searched = replace(
        by_numbers,
        evidence=by_numbers.evidence or identifier_evidence(asked, None) + found.evidence,
        score=None if found.score is None else round(found.score, 1),
        incomplete=found.incomplete,
        model_version=found.model_version,
    )
    if by_numbers.outcome is Outcome.REVIEW:
        return searched
    matched = found.matched
    if matched is None or clash:
        outcome = Outcome.REVIEW if clash else found.outcome
        return replace(searched, outcome=outcome, ask_next=found.decision.ask_next)
    return replace(searched, outcome=Outcome.MATCH, person=matched.person, entry=matched.entry, ask_next=())


async def _with_superseded(transaction: Transaction, answers: Sequence[Resolution]) -> Sequence[Resolution]:
    """Names the entries that answer with the one found, where that was found by another of its entries."""
    roots = {one.person for one in answers if one.person is not None and one.entry != one.person}
    if not roots:
        return answers
    members = await transaction.members(roots)
    return [
        replace(one, superseded=tuple(id for id in members[one.person] if id != one.person))
        if one.person in roots and one.person is not None
        else one
        for one in answers
    ]
