"""The register of facilities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.identity.areas import known
from services.identity.errors import EtagMismatch, OrganizationExists, OrganizationNotFound
from services.identity.model import CareLevel, Organization, OrganizationState
from services.identity.normalise.identifiers import facility_code
from services.identity.ports import Store, Transaction
from services.identity.service.actors import actor

_NAME_LENGTH = 255


class OrganizationService:
    """Use cases around facilities."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, principal: Principal, draft: Organization, request_id: str, digest: bytes) -> Organization:
        """Registers a facility; one that is registered with equal content is returned as it stands. Raises
        OrganizationExists.
        """
        _check(draft)
        new = replace(draft, state=OrganizationState.ACTIVE, created_at=self._clock(), version=1)

        async def work(transaction: Transaction) -> Organization:
            async def first_time() -> bytes:
                if new.parent and not await transaction.known_organizations({new.parent}):
                    raise OrganizationNotFound(
                        "the parent is not registered",
                        violations=(FieldViolation("organization.parent", "a registered facility", "PARENT_UNKNOWN"),),
                    )
                kept = await transaction.add_organization(new)
                if not kept.same_content(new):
                    raise OrganizationExists("the code is registered with other content", metadata={"code": new.code})
                return _answer(kept)

            scope = f"{actor(principal)}/CreateOrganization"
            answer = await transaction.once(scope, request_id, digest, first_time)
            return _with(answer, await _existing(transaction, new.code))

        return await self._store.write(work)

    async def get(self, code: str) -> Organization:
        """A facility. Raises OrganizationNotFound."""
        return await self._store.read(lambda transaction: _existing(transaction, code))

    async def list(self, after: str, level: CareLevel | None, limit: int) -> Sequence[Organization]:
        """At most `limit` facilities with a code after `after`, by code."""
        return await self._store.read(lambda transaction: transaction.organizations(after, level, limit))

    async def suspend(self, principal: Principal, code: str, etag: str, request_id: str, digest: bytes) -> Organization:
        """Suspends a facility; suspending twice is the same. Raises EtagMismatch when `etag` is given and not the
        current one.
        """

        async def work(transaction: Transaction) -> Organization:
            async def first_time() -> bytes:
                found = await _existing(transaction, code)
                if etag and etag != found.etag:
                    raise EtagMismatch("the facility has changed; read it again")
                if found.state is OrganizationState.SUSPENDED:
                    return _answer(found)
                suspended = await transaction.suspend_organization(code, found.version)
                if suspended is None:
                    raise EtagMismatch("the facility is being changed; read it again")
                return _answer(suspended)

            scope = f"{actor(principal)}/SuspendOrganization"
            answer = await transaction.once(scope, request_id, digest, first_time)
            return _with(answer, await _existing(transaction, code))

        return await self._store.write(work)


async def _existing(transaction: Transaction, code: str) -> Organization:
    found = await transaction.organization(code)
    if found is None:
        raise OrganizationNotFound("no such facility")
    return found


def _answer(organization: Organization) -> bytes:
    """What a retry must repeat: all else of a facility never changes."""
    return json.dumps({"state": organization.state.value, "version": organization.version}).encode()


def _with(answer: bytes, found: Organization) -> Organization:
    kept = json.loads(answer)
    return replace(found, state=OrganizationState(kept["state"]), version=kept["version"])


def _check(draft: Organization) -> None:
    wrong: list[FieldViolation] = []
    if not facility_code(draft.code):
        wanted = "5 characters, the first 2 a province of the 63-list"
        wrong.append(FieldViolation("organization.code", wanted, "FACILITY_CODE_INVALID"))
    if not 1 <= len(draft.display_name) <= _NAME_LENGTH:
        wrong.append(FieldViolation("organization.display_name", f"1 to {_NAME_LENGTH} characters", "LENGTH"))
    if not known(draft.province):
        wrong.append(FieldViolation("organization.province.province_code", "a code of its era", "PROVINCE_UNKNOWN"))
    if draft.parent == draft.code:
        wrong.append(FieldViolation("organization.parent", "another facility", "PARENT_IS_SELF"))
    if wrong:
        raise InvalidArgument.of(*wrong)
