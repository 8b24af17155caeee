"""Whether a caller is the person concerned, or acts for them, by whatever entry of the index either is named."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.chassis.principal import Principal, PrincipalKind
from services.consent.ports import Persons


async def is_person(store: Persons, principal: Principal, person: UUID) -> bool:
    """Whether the principal is the citizen for whom this entry stands. Their own entry costs nothing."""
    if principal.kind is not PrincipalKind.CITIZEN or not principal.person:
        return False
    if principal.person == f"persons/{person}":
        return True
    own = UUID(principal.person.removeprefix("persons/"))
    return own in (await store.entries(person)).all


async def acts_for(store: Persons, principal: Principal, person: UUID, at: datetime) -> bool:
    """Whether the principal is that citizen, or is their guardian at the time."""
    if await is_person(store, principal, person):
        return True
    return await is_guardian(store, principal, person, at)


async def is_guardian(store: Persons, principal: Principal, person: UUID, at: datetime) -> bool:
    """Whether the principal is a guardian of that citizen at the time."""
    if principal.kind is not PrincipalKind.CITIZEN or not principal.person:
        return False
    return person in await store.wards(UUID(principal.person.removeprefix("persons/")), at)
