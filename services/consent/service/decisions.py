"""Deciding and explaining."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.feed import Entries
from services.chassis.principal import Principal, PrincipalKind
from services.consent import record
from services.consent.decision import Asked, Decision
from services.consent.errors import DecisionNotFound
from services.consent.facts import Facts
from services.consent.model import NO_HASH, Access, Effect, Query, Requester
from services.consent.policy import rule_on
from services.consent.ports import Made, Store
from services.consent.service.batching import Batching
from services.consent.service.persons import acts_for

LARGEST_BATCH = 100


def requester_of(principal: Principal) -> Requester:
    """Who asks, from the verified token; never from what the calling role says."""
    person = UUID(principal.person.removeprefix("persons/")) if principal.person else None
    return Requester(principal.kind.value, principal.facility, principal.licence, person, principal.role)


class DecisionService:
    """The decision point. A decision and its ledger line are one transaction, durable before the answer leaves. Calls that arrive while others
    are being kept are kept together.
    """

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._batches = Batching(self._decide, LARGEST_BATCH)

    async def decide(self, principal: Principal, queries: Sequence[Query], trace_id: str) -> Sequence[Decision]:
        """Decides 1 to 100 queries for the principal of the forwarded token; refusals are on the ledger too."""
        if not 1 <= len(queries) <= LARGEST_BATCH:
            raise InvalidArgument.of(FieldViolation("queries", f"1 to {LARGEST_BATCH} queries", "COUNT_OUT_OF_RANGE"))
        requester = requester_of(principal)
        return await self._batches.add([Asked(query, requester, trace_id) for query in queries])

    async def _decide(self, asked: Sequence[Asked]) -> Sequence[Decision]:
        def judge(
            entries: Mapping[UUID, Entries],
            gathered: Sequence[Mapping[str, Any]],
            heads: Mapping[UUID, tuple[int, bytes]],
            at: datetime,
        ) -> Sequence[Made]:
            ends = dict(heads)
            spent: dict[UUID, int] = {}
            made = []
            for one, found in zip(asked, gathered, strict=True):
                facts, kept = _facts(one, entries, found, at, spent)
                taken = Decision(self._new_id(), facts, rule_on(facts), self._new_id())
                for consent in {part.consent for part in taken.ruling.permissions if part.consent is not None}:
                    spent[consent] = spent.get(consent, 0) + 1
                person = taken.query.person
                sequence, previous = ends.get(person, (0, NO_HASH))
                line = _line(taken, sequence + 1, previous, one.trace_id)
                ends[person] = (line.sequence, line.hash)
                made.append(Made(taken, record.decision_out(taken, kept), line))
            return made

        return await self._store.decide(asked, self._clock, judge)

    async def explain(self, principal: Principal, id: UUID) -> Decision:
        """A decision as it was given, for the person, their guardians, the facility that asked, and auditors."""
        found = await self._store.decision(id)
        may = found is not None and (
            principal.kind is PrincipalKind.AUDITOR
            or (principal.facility is not None and principal.facility == found.requester.organization)
            or await acts_for(self._store, principal, found.query.person, self._clock())
        )
        if found is None or not may:
            raise DecisionNotFound("no such decision")
        return found


def _facts(
    asked: Asked, entries: Mapping[UUID, Entries], found: Mapping[str, Any], at: datetime, spent: Mapping[UUID, int]
) -> tuple[Facts, Mapping[str, Any] | None]:
    """The facts, and what was gathered where it is all of them. Whoever is named, the decision is about the one who answers, and so is what a
    citizen may do. What earlier queries of the same batch took from a consent is gone.
    """
    query = replace(asked.query, person=entries[asked.query.person].current)
    own = asked.requester.person
    requester = asked.requester if own is None else replace(asked.requester, person=entries[own].current)
    facts = record.facts_of(query, requester, at, found)
    taken = {one.id: spent[one.id] for one in facts.consents if one.id in spent and one.terms.frequency is not None}
    if not taken:
        return facts, found
    uses = dict(facts.uses) | {id: facts.uses.get(id, 0) + more for id, more in taken.items()}
    return replace(facts, uses=uses), None


def _line(decision: Decision, sequence: int, previous: bytes, trace_id: str) -> Access:
    query, requester, ruling = decision.query, decision.requester, decision.ruling
    permitted = {kind for permission in ruling.permissions for kind in permission.kinds}
    classes = {one for permission in ruling.permissions for one in permission.classes}
    shown = permitted if ruling.effect is Effect.PERMIT else query.kinds
    return Access(
        id=decision.access,
        person=query.person,
        sequence=sequence,
        at=decision.decided_at,
        organization=requester.organization or "",
        licence=requester.licence or "",
        principal_kind=requester.kind,
        purpose=query.purpose,
        basis=query.basis,
        kinds=tuple(sorted(shown, key=lambda kind: kind.value)),
        method=query.method,
        decision=decision.id,
        effect=ruling.effect,
        trace_id=trace_id,
        previous_hash=previous,
        acting_person=requester.person,
        resources=tuple(query.resources),
        emergency=decision.emergency,
        classes=tuple(sorted(classes, key=lambda one: one.value)),
    )
