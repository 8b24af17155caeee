"""Who acts, seen from the index: the facility behind a call, and the name written into histories."""

from __future__ import annotations

from services.chassis.principal import Principal, PrincipalKind
from services.identity.errors import OrganizationNotFound, OrganizationSuspended
from services.identity.ports import Transaction
from services.identity.registers import OrganizationState

AT_FACILITY = frozenset({PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER})
"""Kinds that act for a facility."""


def actor(principal: Principal) -> str:
    """The principal in a history: kind and facility, or kind and subject; never a practitioner's name or licence."""
    return f"{principal.kind.value}/{principal.facility or principal.subject}"


async def require_active(transaction: Transaction, principal: Principal) -> None:
    """Raises unless the facility behind the call, where there is one, is registered and not suspended."""
    if principal.kind not in AT_FACILITY:
        return
    state = await transaction.organization_state(principal.facility or "")
    if state is None:
        raise OrganizationNotFound("the calling facility is not registered")
    if state is OrganizationState.SUSPENDED:
        raise OrganizationSuspended("the calling facility is suspended")
