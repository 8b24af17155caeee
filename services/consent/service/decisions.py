"""Deciding, explaining, and showing the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.feed import Entries
from services.chassis.principal import Principal, PrincipalKind
from services.consent.errors import DecisionNotFound, NotThePerson
from services.consent.model import NO_HASH, Access, Consent, Decision, Effect, Query, Requester
from services.consent.policy import Facts, rule_on
from services.consent.ports import LedgerPlace, Store
from services.consent.service.persons import is_person

LARGEST_BATCH = 100


def requester_of(principal: Principal) -> Requester:
    """Who asks, from the verified token; never from what the calling role says."""
    person = UUID(principal.person.removeprefix("persons/")) if principal.person else None
    return Requester(principal.kind.value, principal.facility, principal.licence, person)


class DecisionService:
    """The decision point. A decision and its ledger line are one transaction, durable before the answer leaves."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def decide(self, principal: Principal, queries: Sequence[Query], trace_id: str) -> Sequence[Decision]:
        """Decides 1 to 100 queries for the principal of the forwarded token; refusals are on the ledger too."""
        if not 1 <= len(queries) <= LARGEST_BATCH:
            raise InvalidArgument.of(FieldViolation("queries", f"1 to {LARGEST_BATCH} queries", "COUNT_OUT_OF_RANGE"))
        requester = requester_of(principal)

        def rule(
            entries: Mapping[UUID, Entries],
            consents: Mapping[UUID, Sequence[Consent]],
            heads: Mapping[UUID, tuple[int, bytes]],
        ) -> Sequence[tuple[Decision, Access]]:
            at = self._clock()
            ends = dict(heads)
            made = []
            # Whoever is named, the decision is about the one who answers, and so is what a citizen may do.
            asker = replace(requester, person=requester.person and entries[requester.person].current)
            for asked in queries:
                query = replace(asked, person=entries[asked.person].current)
                ruling = rule_on(Facts(query, asker, consents.get(query.person, ()), at))
                decision = Decision(self._new_id(), query, requester, ruling, self._new_id(), at)
                sequence, previous = ends.get(query.person, (0, NO_HASH))
                line = _line(decision, sequence + 1, previous, trace_id)
                ends[query.person] = (line.sequence, line.hash)
                made.append((decision, line))
            return made

        persons = sorted({query.person for query in queries})
        return await self._store.decide(persons, [requester.person] if requester.person else [], rule)

    async def explain(self, principal: Principal, id: UUID) -> Decision:
        """A decision as it was given, for the person, the facility that asked, and auditors."""
        found = await self._store.decision(id)
        may = found is not None and (
            principal.kind is PrincipalKind.AUDITOR
            or (principal.facility is not None and principal.facility == found.requester.organization)
            or await is_person(self._store, principal, found.query.person)
        )
        if found is None or not may:
            raise DecisionNotFound("no such decision")
        return found

    async def accesses(
        self, principal: Principal, person: UUID, before: LedgerPlace | None, limit: int
    ) -> Sequence[Access]:
        """A person's ledger under all their entries, newest first, for the person, for auditors, and for the roles that the access table lets in."""
        if principal.kind not in {PrincipalKind.AUDITOR, PrincipalKind.WORKLOAD} and not await is_person(
            self._store, principal, person
        ):
            raise NotThePerson("only the person concerned or an auditor may read the ledger")
        return await self._store.accesses((await self._store.entries(person)).all, before, limit)


def _line(decision: Decision, sequence: int, previous: bytes, trace_id: str) -> Access:
    query, requester, ruling = decision.query, decision.requester, decision.ruling
    permitted = {kind for permission in ruling.permissions for kind in permission.kinds}
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
    )
