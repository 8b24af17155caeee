"""The register of facilities."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.identity.areas import known
from services.identity.errors import (
    EtagMismatch,
    OrganizationExists,
    OrganizationNotFound,
    OrganizationParentInvalid,
)
from services.identity.model import Area, Era
from services.identity.normalise.identifiers import facility_code
from services.identity.ports import NewId, Store, Transaction
from services.identity.registers import (
    CareLevel,
    Organization,
    OrganizationFilter,
    OrganizationState,
    RegistryEvent,
    RegistryEventKind,
)
from services.identity.service.actors import actor
from services.identity.service.hierarchy import UNKNOWN, fault, height
from services.identity.service.organization_list import CONTACT_LENGTH, MAX_CAPABILITIES, NAME_LENGTH, capability

CHANGEABLE = frozenset({"display_name", "care_level", "province", "parent", "capabilities", "contact"})
"""Fields of a facility that change, by their names in the contract."""


class OrganizationService:
    """Use cases around facilities."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def create(self, principal: Principal, draft: Organization, request_id: str, digest: bytes) -> Organization:
        """Registers a facility; one that is registered with equal content is returned as it stands. Raises OrganizationExists,
        OrganizationNotFound for an unknown parent.
        """
        _check(draft, CHANGEABLE | {"code"})
        new = replace(
            draft,
            state=OrganizationState.ACTIVE,
            created_at=self._clock(),
            version=1,
            capabilities=tuple(sorted(set(draft.capabilities))),
        )

        async def first_time(transaction: Transaction) -> Organization:
            if new.parent:
                await _require_parent(transaction, new)
            kept = await transaction.add_organization(new)
            if not kept.same_content(new):
                raise OrganizationExists("the code is registered with other content", metadata={"code": new.code})
            if kept == new:
                await self._tell(transaction, principal, new, RegistryEventKind.REGISTERED)
            return kept

        return await self._once(principal, "CreateOrganization", request_id, digest, first_time)

    async def get(self, code: str) -> Organization:
        """A facility. Raises OrganizationNotFound."""
        return await self._store.read(lambda transaction: _existing(transaction, code))

    async def list(self, wanted: OrganizationFilter, after: str, limit: int) -> Sequence[Organization]:
        """At most `limit` facilities with a code after `after`, by code."""
        return await self._store.read(lambda transaction: transaction.organizations(wanted, after, limit))

    async def update(
        self,
        principal: Principal,
        draft: Organization,
        fields: Collection[str],
        etag: str,
        request_id: str,
        digest: bytes,
    ) -> Organization:
        """Changes these fields of a facility to what the draft has. Raises InvalidArgument, EtagMismatch, OrganizationParentInvalid for a parent
        that is unknown or would close a circle.
        """
        unknown = sorted(set(fields) - CHANGEABLE)
        if unknown or not fields:
            wanted = f"some of {', '.join(sorted(CHANGEABLE))}"
            raise InvalidArgument.of(FieldViolation("update_mask", wanted, "FIELD_UNKNOWN"))
        _check(draft, fields)
        values = {name: getattr(draft, name) for name in fields}
        if "capabilities" in values:
            values["capabilities"] = tuple(sorted(set(draft.capabilities)))

        async def first_time(transaction: Transaction) -> Organization:
            found = await self._at(transaction, draft.code, etag)
            changed = replace(found, **values)
            if changed == found:
                return found
            if changed.parent != found.parent:
                await _require_parent(transaction, changed)
            names = [name for name, value in changed.content().items() if value != found.content()[name]]
            return await self._put(
                transaction, principal, changed, RegistryEventKind.CHANGED, {"fields": ",".join(sorted(names))}
            )

        return await self._once(principal, "UpdateOrganization", request_id, digest, first_time)

    async def suspend(
        self, principal: Principal, code: str, etag: str, reason: str, request_id: str, digest: bytes
    ) -> Organization:
        """Suspends a facility; suspending twice is the same. Raises EtagMismatch when `etag` is given and not the current one."""
        if reason and not capability(reason):
            raise InvalidArgument.of(FieldViolation("reason", "UPPER_SNAKE, at most 64 characters", "REASON_INVALID"))

        async def first_time(transaction: Transaction) -> Organization:
            found = await self._at(transaction, code, etag)
            if found.state is OrganizationState.SUSPENDED:
                return found
            changed = replace(found, state=OrganizationState.SUSPENDED, suspension_reason=reason)
            return await self._put(
                transaction, principal, changed, RegistryEventKind.SUSPENDED, {"reason": reason} if reason else {}
            )

        return await self._once(principal, "SuspendOrganization", request_id, digest, first_time)

    async def reinstate(
        self, principal: Principal, code: str, etag: str, request_id: str, digest: bytes
    ) -> Organization:
        """Ends a suspension; one that is over stays so. Raises EtagMismatch."""

        async def first_time(transaction: Transaction) -> Organization:
            found = await self._at(transaction, code, etag)
            if found.state is OrganizationState.ACTIVE:
                return found
            changed = replace(found, state=OrganizationState.ACTIVE, suspension_reason="")
            return await self._put(transaction, principal, changed, RegistryEventKind.REINSTATED, {})

        return await self._once(principal, "ReinstateOrganization", request_id, digest, first_time)

    async def _at(self, transaction: Transaction, code: str, etag: str) -> Organization:
        found = await _existing(transaction, code)
        if etag and etag != found.etag:
            raise EtagMismatch("the facility has changed; read it again")
        return found

    async def _put(
        self,
        transaction: Transaction,
        principal: Principal,
        changed: Organization,
        kind: RegistryEventKind,
        detail: Mapping[str, str],
    ) -> Organization:
        changed = replace(changed, version=changed.version + 1)
        if not await transaction.put_organization(changed):
            raise EtagMismatch("the facility is being changed; read it again")
        await self._tell(transaction, principal, changed, kind, detail)
        return changed

    async def _tell(
        self,
        transaction: Transaction,
        principal: Principal,
        one: Organization,
        kind: RegistryEventKind,
        detail: Mapping[str, str] | None = None,
    ) -> None:
        event = RegistryEvent(one.name, self._new_id(), kind, self._clock(), actor(principal), detail or {})
        await transaction.add_registry_events([event])

    async def _once(
        self,
        principal: Principal,
        method: str,
        request_id: str,
        digest: bytes,
        first_time: Callable[[Transaction], Awaitable[Organization]],
    ) -> Organization:
        async def work(transaction: Transaction) -> Organization:
            async def answered() -> bytes:
                return _answer(await first_time(transaction))

            return _from(await transaction.once(f"{actor(principal)}/{method}", request_id, digest, answered))

        return await self._store.write(work)


async def _existing(transaction: Transaction, code: str) -> Organization:
    found = await transaction.organization(code)
    if found is None:
        raise OrganizationNotFound("no such facility")
    return found


async def _require_parent(transaction: Transaction, one: Organization) -> None:
    parents = dict(await transaction.hierarchy())
    reason = fault(one.code, one.parent, parents, height(one.code, parents))
    if reason == UNKNOWN:
        wrong = FieldViolation("organization.parent", "a registered facility", reason)
        raise OrganizationNotFound("the parent is not registered", violations=(wrong,))
    if reason:
        wrong = FieldViolation("organization.parent", "a facility that does not belong to this one", reason)
        raise OrganizationParentInvalid("the facility cannot belong to this one", violations=(wrong,))


def _answer(one: Organization) -> bytes:
    """What a retry must repeat; there is no person in it."""
    content = {
        "code": one.code,
        "display_name": one.display_name,
        "care_level": one.care_level.value,
        "province": [one.province.province_code, one.province.era.value],
        "parent": one.parent,
        "state": one.state.value,
        "created_at": one.created_at.isoformat(),
        "version": one.version,
        "capabilities": one.capabilities,
        "contact": one.contact,
        "suspension_reason": one.suspension_reason,
    }
    return json.dumps(content, ensure_ascii=False).encode()


def _from(answer: bytes) -> Organization:
    kept = json.loads(answer)
    province_code, era = kept["province"]
    return Organization(
        **kept
        | {
            "care_level": CareLevel(kept["care_level"]),
            "province": Area(province_code, Era(era)),
            "state": OrganizationState(kept["state"]),
            "created_at": datetime.fromisoformat(kept["created_at"]),
            "capabilities": tuple(kept["capabilities"]),
        }
    )


def _check(draft: Organization, fields: Collection[str]) -> None:
    wrong: list[FieldViolation] = []
    if "code" in fields and not facility_code(draft.code):
        wanted = "5 characters, the first 2 a province of the 63-list"
        wrong.append(FieldViolation("organization.code", wanted, "FACILITY_CODE_INVALID"))
    if "display_name" in fields and not 1 <= len(draft.display_name) <= NAME_LENGTH:
        wrong.append(FieldViolation("organization.display_name", f"1 to {NAME_LENGTH} characters", "LENGTH"))
    if "province" in fields and not known(draft.province):
        wrong.append(FieldViolation("organization.province.province_code", "a code of its era", "PROVINCE_UNKNOWN"))
    if "parent" in fields and draft.parent == draft.code:
        wrong.append(FieldViolation("organization.parent", "another facility", "PARENT_IS_SELF"))
    if "contact" in fields and len(draft.contact) > CONTACT_LENGTH:
        wrong.append(FieldViolation("organization.contact", f"at most {CONTACT_LENGTH} characters", "LENGTH"))
    if "capabilities" in fields:
        if len(draft.capabilities) > MAX_CAPABILITIES:
            wrong.append(FieldViolation("organization.capabilities", f"at most {MAX_CAPABILITIES}", "COUNT"))
        wrong += [
            FieldViolation(f"organization.capabilities[{at}]", "a code such as OBSTETRICS", "CAPABILITY_INVALID")
            for at, one in enumerate(draft.capabilities)
            if not capability(one)
        ]
    if wrong:
        raise InvalidArgument.of(*wrong)
