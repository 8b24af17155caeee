"""The register of practitioners."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.identity.errors import EtagMismatch, OrganizationNotFound, PractitionerExists, PractitionerNotFound
from services.identity.ports import NewId, Store, Transaction
from services.identity.registers import PRACTITIONER_ROLES, Practitioner, RegistryEvent, RegistryEventKind
from services.identity.service.actors import AT_FACILITY, actor
from services.identity.service.organization_list import capability

_LICENCE_LENGTH = 50
_MAX_ORGANIZATIONS = 50
CHANGEABLE = frozenset({"human_name", "organizations", "role", "licence_period", "scope"})
"""Fields of a practitioner that change, by their names in the contract."""


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
        _check(draft, CHANGEABLE | {"licence"})
        organizations = tuple(sorted(set(draft.organizations)))
        new = replace(draft, id=self._new_id(), organizations=organizations, created_at=self._clock())

        async def work(transaction: Transaction) -> Practitioner:
            async def first_time() -> bytes:
                await _require_known(transaction, draft.organizations)
                kept = await transaction.add_practitioner(new)
                if not kept.same_content(new):
                    raise PractitionerExists("the licence is registered with other content")
                if kept.id == new.id:
                    await self._tell(transaction, principal, new, RegistryEventKind.REGISTERED, {})
                return str(kept.id).encode()

            scope = f"{actor(principal)}/CreatePractitioner"
            id = UUID((await transaction.once(scope, request_id, digest, first_time)).decode())
            return await _existing(transaction, id)

        return await self._store.write(work)

    async def update(
        self,
        principal: Principal,
        draft: Practitioner,
        fields: Collection[str],
        etag: str,
        request_id: str,
        digest: bytes,
    ) -> Practitioner:
        """Changes these fields of a practitioner to what the draft has. Raises InvalidArgument, PractitionerNotFound, OrganizationNotFound,
        EtagMismatch.
        """
        unknown = sorted(set(fields) - CHANGEABLE)
        if unknown or not fields:
            wanted = f"some of {', '.join(sorted(CHANGEABLE))}"
            raise InvalidArgument.of(FieldViolation("update_mask", wanted, "FIELD_UNKNOWN"))
        _check(draft, fields)
        values: dict[str, Any] = {name: getattr(draft, name) for name in set(fields) - {"licence_period"}}
        if "organizations" in values:
            values["organizations"] = tuple(sorted(set(draft.organizations)))
        if "licence_period" in fields:
            values |= {"licence_from": draft.licence_from, "licence_until": draft.licence_until}

        async def work(transaction: Transaction) -> Practitioner:
            async def first_time() -> bytes:
                found = await _existing(transaction, draft.id)
                if etag and etag != found.etag:
                    raise EtagMismatch("the practitioner has changed; read it again")
                changed = replace(found, **values)
                if changed == found:
                    return b""
                if changed.organizations != found.organizations:
                    await _require_known(transaction, draft.organizations)
                names = sorted(name for name, value in changed.content().items() if value != found.content()[name])
                changed = replace(changed, version=found.version + 1)
                if not await transaction.put_practitioner(changed):
                    raise EtagMismatch("the practitioner is being changed; read it again")
                detail = {"fields": ",".join(names)}
                await self._tell(transaction, principal, changed, RegistryEventKind.CHANGED, detail)
                return b""

            await transaction.once(f"{actor(principal)}/UpdatePractitioner", request_id, digest, first_time)
            return await _existing(transaction, draft.id)

        return await self._store.write(work)

    async def _tell(
        self,
        transaction: Transaction,
        principal: Principal,
        one: Practitioner,
        kind: RegistryEventKind,
        detail: Mapping[str, str],
    ) -> None:
        event = RegistryEvent(one.name, self._new_id(), kind, self._clock(), actor(principal), detail)
        await transaction.add_registry_events([event])

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


async def _require_known(transaction: Transaction, organizations: Sequence[str]) -> None:
    known = await transaction.known_organizations(organizations)
    unknown = tuple(
        FieldViolation(f"practitioner.organizations[{at}]", "a registered facility", "ORGANIZATION_UNKNOWN")
        for at, code in enumerate(organizations)
        if code not in known
    )
    if unknown:
        raise OrganizationNotFound("a facility is not registered", violations=unknown)


def _check(draft: Practitioner, fields: Collection[str]) -> None:
    wrong: list[FieldViolation] = []
    if "licence" in fields and not 1 <= len(draft.licence) <= _LICENCE_LENGTH:
        wrong.append(FieldViolation("practitioner.licence", f"1 to {_LICENCE_LENGTH} characters", "LENGTH"))
    if "human_name" in fields and not draft.human_name:
        wrong.append(FieldViolation("practitioner.human_name.text", "1 to 255 characters", "LENGTH"))
    if "role" in fields and draft.role not in PRACTITIONER_ROLES:
        wrong.append(FieldViolation("practitioner.role", ", ".join(sorted(PRACTITIONER_ROLES)), "ROLE_UNKNOWN"))
    if "organizations" in fields and not 1 <= len(draft.organizations) <= _MAX_ORGANIZATIONS:
        wanted = f"1 to {_MAX_ORGANIZATIONS} facilities"
        wrong.append(FieldViolation("practitioner.organizations", wanted, "COUNT"))
    if "scope" in fields and draft.scope and not capability(draft.scope):
        wanted = "a code such as INTERNAL_MEDICINE, at most 64 characters"
        wrong.append(FieldViolation("practitioner.scope", wanted, "SCOPE_INVALID"))
    since, until = draft.licence_from, draft.licence_until
    if "licence_period" in fields and since is not None and until is not None and until <= since:
        wrong.append(FieldViolation("practitioner.licence_period", "an end after its start", "PERIOD_INVALID"))
    if wrong:
        raise InvalidArgument.of(*wrong)
