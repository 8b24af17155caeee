"""Whether a caller is the person concerned, by whatever entry of the index either is named."""

from __future__ import annotations

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
