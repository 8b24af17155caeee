"""The registers of facilities and practitioners on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import hot
from services.chassis.statements import statement_span
from services.identity.model import Area, CareLevel, Era, Organization, OrganizationState, Practitioner
from services.identity.schema import organization, practitioner


class RegisterTables:
    """The part of a transaction that deals with the registers."""

    _connection: AsyncConnection

    async def organization(self, code: str) -> Organization | None:
        """A facility."""
        row = (await self._connection.execute(select(organization).where(organization.c.code == code))).one_or_none()
        return None if row is None else _organization_in(row)

    async def organization_state(self, code: str) -> OrganizationState | None:
        """Whether a facility may take part; None when it is not registered. Every call of a facility asks."""
        driver = await hot(self._connection)
        with statement_span("SELECT", "organization"):
            cursor = await driver.execute("SELECT state FROM organization WHERE code = %s", [code], prepare=True)
            row = await cursor.fetchone()
        return None if row is None else OrganizationState(row[0])

    async def known_organizations(self, codes: Collection[str]) -> frozenset[str]:
        """Those of the codes that are registered."""
        wanted = select(organization.c.code).where(organization.c.code == func.any(sorted(codes)))
        return frozenset((await self._connection.execute(wanted)).scalars())

    async def organizations(self, after: str, level: CareLevel | None, limit: int) -> Sequence[Organization]:
        """Facilities with a code after `after`, by code."""
        wanted = select(organization).where(organization.c.code > after).order_by(organization.c.code).limit(limit)
        if level is not None:
            wanted = wanted.where(organization.c.care_level == level.value)
        return [_organization_in(row) for row in await self._connection.execute(wanted)]

    async def add_organization(self, new: Organization) -> Organization:
        """Adds a facility, or returns the one that has the code."""
        await self._connection.execute(
            upsert(organization)
            .values(
                code=new.code,
                display_name=new.display_name,
                care_level=new.care_level.value,
                province_code=new.province.province_code,
                province_era=new.province.era.value,
                parent_code=new.parent,
                state=new.state.value,
                created_at=new.created_at,
                version=new.version,
            )
            .on_conflict_do_nothing()
        )
        row = (await self._connection.execute(select(organization).where(organization.c.code == new.code))).one()
        return _organization_in(row)

    async def suspend_organization(self, code: str, version: int) -> Organization | None:
        """Suspends a facility that is at `version`."""
        changed = await self._connection.execute(
            update(organization)
            .where(organization.c.code == code, organization.c.version == version)
            .values(state=OrganizationState.SUSPENDED.value, version=version + 1)
            .returning(*organization.c)
        )
        row = changed.one_or_none()
        return None if row is None else _organization_in(row)

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
        await self._connection.execute(
            upsert(practitioner)
            .values(
                id=new.id,
                licence=new.licence,
                human_name=new.human_name,
                organizations=list(new.organizations),
                role=new.role,
                created_at=new.created_at,
            )
            .on_conflict_do_nothing()
        )
        row = (await self._connection.execute(select(practitioner).where(practitioner.c.licence == new.licence))).one()
        return _practitioner_in(row)


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
    )


def _practitioner_in(row: Any) -> Practitioner:
    return Practitioner(
        id=row.id,
        licence=row.licence,
        human_name=row.human_name,
        organizations=tuple(row.organizations),
        role=row.role,
        created_at=row.created_at,
    )
