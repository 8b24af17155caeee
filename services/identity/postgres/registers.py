"""The registers of facilities and practitioners on PostgreSQL."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Select,
    String,
    and_,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import hot
from services.chassis.statements import statement_span
from services.identity.areas import former_codes
from services.identity.model import Area, Era
from services.identity.postgres.arrays import unnested
from services.identity.registers import (
    MAX_DEPTH,
    CareLevel,
    Organization,
    OrganizationFilter,
    OrganizationState,
    Practitioner,
    RegistryEvent,
)
from services.identity.schema import XID, organization, practitioner, registry_event

_HIERARCHY = text("SELECT pg_advisory_xact_lock(hashtext('lienthong.identity.organization'))")
_BETWEEN = ";"


STATE_LIFE = 1.0
"""Seconds for which a reader may take a facility for what it was: so long a suspension made by another process is not seen."""
_MOST_STATES = 20_000


class OrganizationStates:
    """What facilities were found to be a moment ago, as nearly every call asks. Only readers use it; writers ask the database."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, OrganizationState | None]] = OrderedDict()

    def get(self, code: str) -> tuple[OrganizationState | None] | None:
        """The state in a tuple, None when it has to be asked for."""
        found = self._known.get(code)
        return (found[1],) if found is not None and time.monotonic() - found[0] < STATE_LIFE else None

    def put(self, code: str, state: OrganizationState | None) -> None:
        """Keeps a state, and forgets the oldest of too many."""
        self._known[code] = (time.monotonic(), state)
        self._known.move_to_end(code)
        while len(self._known) > _MOST_STATES:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Something changed in this process."""
        self._known.clear()


class RegisterTables:
    """The part of a transaction that deals with the registers."""

    _connection: AsyncConnection
    _states: OrganizationStates
    _reading: bool

    async def organization(self, code: str) -> Organization | None:
        """A facility."""
        row = (await self._connection.execute(select(organization).where(organization.c.code == code))).one_or_none()
        return None if row is None else _organization_in(row)

    async def organization_state(self, code: str) -> OrganizationState | None:
        """Whether a facility may take part; None when it is not registered. Every call of a facility asks."""
        known = self._states.get(code) if self._reading else None
        if known is not None:
            return known[0]
        driver = await hot(self._connection)
        with statement_span("SELECT", "organization"):
            cursor = await driver.execute("SELECT state FROM organization WHERE code = %s", [code], prepare=True)
            row = await cursor.fetchone()
        state = None if row is None else OrganizationState(row[0])
        # What is not registered may be at the next moment, and is asked for by nobody who works here.
        if self._reading and state is not None:
            self._states.put(code, state)
        return state

    async def known_organizations(self, codes: Collection[str]) -> frozenset[str]:
        """Those of the codes that are registered."""
        wanted = select(organization.c.code).where(organization.c.code == func.any(sorted(codes)))
        return frozenset((await self._connection.execute(wanted)).scalars())

    async def organizations_of(self, codes: Collection[str]) -> Mapping[str, Organization]:
        """Facilities by code."""
        wanted = select(organization).where(organization.c.code == func.any(sorted(codes)))
        return {row.code: _organization_in(row) for row in await self._connection.execute(wanted)}

    async def hierarchy(self) -> Mapping[str, str | None]:
        """The parent of every facility; nobody else changes one until the transaction ends."""
        await self._connection.execute(_HIERARCHY)
        rows = await self._connection.execute(select(organization.c.code, organization.c.parent_code))
        return {row.code: row.parent_code for row in rows}

    async def organizations(self, wanted: OrganizationFilter, after: str, limit: int) -> Sequence[Organization]:
        """Facilities with a code after `after`, by code."""
        found = _filtered(select(organization), wanted).where(organization.c.code > after)
        rows = await self._connection.execute(found.order_by(organization.c.code).limit(limit))
        return [_organization_in(row) for row in rows]

    async def add_organization(self, new: Organization) -> Organization:
        """Adds a facility, or returns the one that has the code."""
        await self._connection.execute(upsert(organization).values(_row(new)).on_conflict_do_nothing())
        row = (await self._connection.execute(select(organization).where(organization.c.code == new.code))).one()
        return _organization_in(row)

    async def put_organization(self, changed: Organization) -> bool:
        """Writes a facility that is at the version before; False when it is not."""
        before = (organization.c.code == changed.code) & (organization.c.version == changed.version - 1)
        self._states.forget()
        done = await self._connection.execute(update(organization).where(before).values(_row(changed)))
        return bool(done.rowcount)

    async def put_organizations(self, changed: Sequence[Organization]) -> None:
        """Adds or writes facilities, whatever their version; one statement."""
        if not changed:
            return
        rows = [_row(one) for one in changed]
        types: Mapping[str, Any] = {"created_at": DateTime(timezone=True), "version": Integer}
        given = unnested(**{name: (types.get(name, String), [_flat(row[name]) for row in rows]) for name in rows[0]}).c
        values: dict[str, ColumnElement[Any]] = {name: given[name] for name in rows[0]}
        values["capabilities"] = func.string_to_array(given.capabilities, _BETWEEN)
        made = upsert(organization).from_select(list(values), select(*values.values()))
        kept: dict[str, Any] = {name: made.excluded[name] for name in values if name not in {"code", "created_at"}}
        # An upsert does not know what a table does on update.
        kept |= {"xid": XID, "changed_at": func.now()}
        await self._connection.execute(made.on_conflict_do_update(index_elements=["code"], set_=kept))

    async def practitioner(self, id: UUID) -> Practitioner | None:
        """A practitioner."""
        row = (await self._connection.execute(select(practitioner).where(practitioner.c.id == id))).one_or_none()
        return None if row is None else _practitioner_in(row)

    async def practitioners(self, code: str, after: UUID | None, limit: int) -> Sequence[Practitioner]:
        """Practitioners of a facility, oldest first: ids are in order of time."""
        wanted = select(practitioner).where(practitioner.c.organizations.contains([code]))
        if after is not None:
            wanted = wanted.where(practitioner.c.id > after)
        rows = await self._connection.execute(wanted.order_by(practitioner.c.id).limit(limit))
        return [_practitioner_in(row) for row in rows]

    async def add_practitioner(self, new: Practitioner) -> Practitioner:
        """Adds a practitioner, or returns the one who has the licence."""
        await self._connection.execute(upsert(practitioner).values(_practitioner_row(new)).on_conflict_do_nothing())
        row = (await self._connection.execute(select(practitioner).where(practitioner.c.licence == new.licence))).one()
        return _practitioner_in(row)

    async def put_practitioner(self, changed: Practitioner) -> bool:
        """Writes a practitioner who is at the version before; False when it is not so."""
        before = (practitioner.c.id == changed.id) & (practitioner.c.version == changed.version - 1)
        done = await self._connection.execute(update(practitioner).where(before).values(_practitioner_row(changed)))
        return bool(done.rowcount)

    async def add_registry_events(self, events: Sequence[RegistryEvent]) -> None:
        """Adds lines to histories."""
        if events:
            await self._connection.execute(
                insert(registry_event),
                [
                    {
                        "subject": one.subject,
                        "id": one.id,
                        "kind": one.kind.value,
                        "at": one.at,
                        "actor": one.actor,
                        "detail": dict(one.detail),
                    }
                    for one in events
                ],
            )


def _filtered(found: Select[Any], wanted: OrganizationFilter) -> Select[Any]:
    of = organization.c
    if wanted.level is not None:
        found = found.where(of.care_level == wanted.level.value)
    if wanted.state is not None:
        found = found.where(of.state == wanted.state.value)
    if wanted.capability:
        found = found.where(of.capabilities.contains([wanted.capability]))
    if wanted.province_code:
        former = sorted(former_codes(wanted.province_code))
        found = found.where(
            or_(
                and_(of.province_era == Era.PROVINCES_34.value, of.province_code == wanted.province_code),
                and_(of.province_era == Era.PROVINCES_63.value, of.province_code == func.any(former)),
            )
        )
    if wanted.ancestor:
        below = (
            select(of.code, literal(1).label("depth"))
            .where(of.parent_code == wanted.ancestor)
            .cte("below", recursive=True)
        )
        deeper = select(of.code, below.c.depth + 1).where(of.parent_code == below.c.code, below.c.depth < MAX_DEPTH)
        found = found.where(of.code.in_(select(below.union_all(deeper).c.code)))
    return found


def _flat(value: Any) -> Any:
    return _BETWEEN.join(value) if isinstance(value, list) else value


def _row(one: Organization) -> dict[str, Any]:
    return {
        "code": one.code,
        "display_name": one.display_name,
        "care_level": one.care_level.value,
        "province_code": one.province.province_code,
        "province_era": one.province.era.value,
        "parent_code": one.parent,
        "state": one.state.value,
        "created_at": one.created_at,
        "version": one.version,
        "capabilities": list(one.capabilities),
        "contact": one.contact,
        "suspension_reason": one.suspension_reason,
    }


def _organization_in(row: Any) -> Organization:
    return Organization(
        code=row.code,
        display_name=row.display_name,
        care_level=CareLevel(row.care_level),
        province=Area(row.province_code, Era(row.province_era)),
        parent=row.parent_code,
        state=OrganizationState(row.state),
        created_at=row.created_at,
        version=row.version,
        capabilities=tuple(row.capabilities),
        contact=row.contact,
        suspension_reason=row.suspension_reason,
    )


def _practitioner_row(one: Practitioner) -> dict[str, Any]:
    return {
        "id": one.id,
        "licence": one.licence,
        "human_name": one.human_name,
        "organizations": list(one.organizations),
        "role": one.role,
        "created_at": one.created_at,
        "licence_from": one.licence_from,
        "licence_until": one.licence_until,
        "scope": one.scope,
        "version": one.version,
    }


def _practitioner_in(row: Any) -> Practitioner:
    return Practitioner(
        id=row.id,
        licence=row.licence,
        human_name=row.human_name,
        organizations=tuple(row.organizations),
        role=row.role,
        created_at=row.created_at,
        licence_from=row.licence_from,
        licence_until=row.licence_until,
        scope=row.scope,
        version=row.version,
    )
