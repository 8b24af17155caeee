"""The register of practitioners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.identity.errors import OrganizationNotFound, PractitionerExists, PractitionerNotFound
from services.identity.model import PRACTITIONER_ROLES, Practitioner
from services.identity.ports import NewId, Store, Transaction
from services.identity.service.actors import AT_FACILITY, actor

_LICENCE_LENGTH = 50
_MAX_ORGANIZATIONS = 50


class PractitionerService:
    """Use cases around practitioners."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def create(self, principal: Principal, draft: Practitioner, request_id: str, digest: bytes) -> Practitioner:
        """Registers a practitioner; one who is registered with equal content is returned. Raises PractitionerExists,
        OrganizationNotFound.
        """
        _check(draft)
        organizations = tuple(sorted(set(draft.organizations)))
        new = replace(draft, id=self._new_id(), organizations=organizations, created_at=self._clock())

        async def work(transaction: Transaction) -> Practitioner:
            async def first_time() -> bytes:
                known = await transaction.known_organizations(organizations)
                unknown = tuple(
                    FieldViolation(f"practitioner.organizations[{at}]", "a registered facility", "ORGANIZATION_UNKNOWN")
                    for at, code in enumerate(draft.organizations)
                    if code not in known
                )
                if unknown:
                    raise OrganizationNotFound("a facility is not registered", violations=unknown)
                kept = await transaction.add_practitioner(new)
                if not kept.same_content(new):
                    raise PractitionerExists("the licence is registered with other content")
                return str(kept.id).encode()

            scope = f"{actor(principal)}/CreatePractitioner"
            id = UUID((await transaction.once(scope, request_id, digest, first_time)).decode())
            return await _existing(transaction, id)

        return await self._store.write(work)

    async def get(self, principal: Principal, id: UUID) -> Practitioner:
        """A practitioner; a facility gets its own only. Raises PractitionerNotFound."""
        found = await self._store.read(lambda transaction: _existing(transaction, id))
        if principal.kind in AT_FACILITY and principal.facility not in found.organizations:
            raise PractitionerNotFound("no such practitioner")
        return found

    async def list(
        self, principal: Principal, organization: str, after: UUID | None, limit: int
    ) -> Sequence[Practitioner]:
        """Practitioners of a facility, oldest first; of another facility than its own a facility learns nothing."""
        if principal.kind in AT_FACILITY and principal.facility != organization:
            raise OrganizationNotFound("no such facility")
        return await self._store.read(lambda transaction: transaction.practitioners(organization, after, limit))


async def _existing(transaction: Transaction, id: UUID) -> Practitioner:
    found = await transaction.practitioner(id)
    if found is None:
        raise PractitionerNotFound("no such practitioner")
    return found


def _check(draft: Practitioner) -> None:
    wrong: list[FieldViolation] = []
    if not 1 <= len(draft.licence) <= _LICENCE_LENGTH:
        wrong.append(FieldViolation("practitioner.licence", f"1 to {_LICENCE_LENGTH} characters", "LENGTH"))
    if not draft.human_name:
        wrong.append(FieldViolation("practitioner.human_name.text", "1 to 255 characters", "LENGTH"))
    if draft.role not in PRACTITIONER_ROLES:
        wrong.append(FieldViolation("practitioner.role", ", ".join(sorted(PRACTITIONER_ROLES)), "ROLE_UNKNOWN"))
    if not 1 <= len(draft.organizations) <= _MAX_ORGANIZATIONS:
        wanted = f"1 to {_MAX_ORGANIZATIONS} facilities"
        wrong.append(FieldViolation("practitioner.organizations", wanted, "COUNT"))
    if wrong:
        raise InvalidArgument.of(*wrong)
