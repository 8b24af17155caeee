"""The gate before every answer that tells of a person: ask the decision point, and give out what it permits."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.chassis.principal import Principal, PrincipalKind
from services.identity.disclosure import Decisions, Evidence, Ground, Ruling, Wanted
from services.identity.errors import ReadNotPermitted
from services.identity.golden import GoldenPerson
from services.identity.service.actors import AT_FACILITY

_SERVICE = "lienthong.identity.v1."


class Gate:
    """Asks for the principal whose call it is. Nothing passes while the decision point is away."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    async def person(self, principal: Principal, method: str, person: UUID, evidence: Sequence[Evidence] = ()) -> str:
        """The decision that permits to show a person. Raises ReadNotPermitted."""
        return (await self.persons(principal, method, [(person, evidence)]))[0]

    async def persons(
        self, principal: Principal, method: str, persons: Sequence[tuple[UUID, Sequence[Evidence]]]
    ) -> Sequence[str]:
        """The decisions that permit to show persons together, in order. Raises ReadNotPermitted where one of them is a refusal."""
        rulings = await self.rulings(principal, method, persons)
        for ruling in rulings:
            if not ruling.permitted:
                raise ReadNotPermitted(
                    "the decision was a refusal",
                    metadata={"decision": ruling.decision, "would_change": ",".join(ruling.would_change)},
                )
        return [ruling.decision for ruling in rulings]

    async def rulings(
        self, principal: Principal, method: str, persons: Sequence[tuple[UUID, Sequence[Evidence]]]
    ) -> Sequence[Ruling]:
        """What was decided for each, in order."""
        ground = ground_of(principal)
        return await self._decisions.decide(
            _SERVICE + method, [Wanted(person, ground, tuple(evidence)) for person, evidence in persons]
        )


def ground_of(principal: Principal) -> Ground:
    """The ground on which each kind of principal reads here: one's own data, treatment, or keeping the register."""
    if principal.kind is PrincipalKind.CITIZEN:
        return Ground.OWN_DATA
    return Ground.TREATMENT if principal.kind in AT_FACILITY else Ground.REGISTER


def own_registration(principal: Principal, person: UUID) -> tuple[Evidence, ...]:
    """That the calling facility registered an entry which it may see whole; nothing for anybody else."""
    return (Evidence("OWN_REGISTRATION", f"persons/{person}"),) if principal.kind in AT_FACILITY else ()


def asked_about(principal: Principal, found: GoldenPerson) -> UUID:
    """The entry that a decision is about: who answers, and for the person their own entry, so that it does not depend on whether the decision
    point has heard of a link already.
    """
    return UUID(principal.person.removeprefix("persons/")) if principal.person else found.person.id
