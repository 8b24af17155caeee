"""Provisional persons on PostgreSQL: how they came, their aliases, the work lists, newborns by mother."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from services.identity.model import (
    LOCAL,
    Demographics,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
    Provisional,
    WaitingCount,
)
from services.identity.postgres.persons import PersonTables
from services.identity.postgres.provisional_rows import COLUMNS, provisional_in, row_of
from services.identity.schema import person, person_identifier, provisional_person, wristband_alias

_LOCK = text("SELECT pg_advisory_xact_lock(:number)")


class ProvisionalTables(PersonTables):
    """The part of a transaction that deals with provisional persons."""

    async def take_alias(self, facility: str, alias: str, id: UUID, now: datetime, until: datetime) -> bool:
        """Takes an alias for a person until a time; False when another person of the facility is called so at `now`."""
        placed = upsert(wristband_alias).values(facility_id=facility, alias=alias, person_id=id, until=until)
        taken = placed.on_conflict_do_update(
            index_elements=["facility_id", "alias"],
            set_={"person_id": id, "until": until},
            where=(wristband_alias.c.until <= now) | (wristband_alias.c.person_id == id),
        ).returning(wristband_alias.c.alias)
        return (await self._connection.execute(taken)).one_or_none() is not None

    async def used_aliases(self, facility: str, now: datetime) -> frozenset[str]:
        """Aliases by which patients of a facility are called; not more than there are words for."""
        used = (wristband_alias.c.facility_id == facility) & (wristband_alias.c.until > now)
        return frozenset((await self._connection.execute(select(wristband_alias.c.alias).where(used))).scalars())

    async def come(self, id: UUID, came: Provisional, events: Sequence[PersonEvent]) -> None:
        """Keeps how an entry came that documents made before."""
        key = (await self._keys.find_or_make(self._connection, [id]))[id]
        row = row_of(self._vault, key, id, came)
        changed = {name: value for name, value in row.items() if name != "person_id"}
        await self._connection.execute(
            upsert(provisional_person)
            .values(**row, waiting=True)
            .on_conflict_do_update(index_elements=["person_id"], set_=changed)
        )
        await self._add_events(events)

    async def note_notice(self, id: UUID, at: datetime, events: Sequence[PersonEvent]) -> bool:
        """Keeps when the authority was told; False when it was told before, and nothing is written."""
        mine = (provisional_person.c.person_id == id) & provisional_person.c.notice_at.is_(None)
        noted = update(provisional_person).where(mine).values(notice_at=at).returning(provisional_person.c.person_id)
        if (await self._connection.execute(noted)).one_or_none() is None:
            return False
        await self._add_events(events)
        return True

    async def waiting(
        self,
        facility: str | None,
        arrived_until: datetime | None,
        notice_due_until: datetime | None,
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Person]:
        """A page of the work list, oldest first, without demographics and with the numbers of the facility only: a
        fixed number of statements, and none of it reads who is identified.
        """
        came = provisional_person.c
        wanted = (
            select(person, *COLUMNS)
            .select_from(provisional_person.join(person, person.c.person_id == came.person_id))
            .where(came.waiting)
            .order_by(came.arrival_at, came.person_id)
            .limit(limit)
        )
        if facility is not None:
            wanted = wanted.where(came.facility_id == facility)
        if arrived_until is not None:
            wanted = wanted.where(came.arrival_at <= arrived_until)
        if notice_due_until is not None:
            wanted = wanted.where(and_(came.notice_at.is_(None), came.notice_due_at <= notice_due_until))
        if after is not None:
            wanted = wanted.where(tuple_(came.arrival_at, came.person_id) > tuple_(*after))
        rows = (await self._connection.execute(wanted)).all()
        return await self._lines([row.person_id for row in rows], rows)

    async def waiting_counts(self, now: datetime) -> Sequence[WaitingCount]:
        """How many wait at each facility: one pass over those who wait."""
        came = provisional_person.c

        def older(age: timedelta) -> Any:
            return func.count().filter(came.arrival_at <= now - age)

        due = func.count().filter(came.notice_at.is_(None), came.notice_due_at <= now)
        wanted = (
            select(
                came.facility_id,
                older(timedelta(days=1)).label("day"),
                older(timedelta(days=7)).label("week"),
                older(timedelta(days=30)).label("month"),
                due.label("notice"),
            )
            .where(came.waiting)
            .group_by(came.facility_id)
            .order_by(came.facility_id)
        )
        rows = await self._connection.execute(wanted)
        return [WaitingCount(row.facility_id, row.day, row.week, row.month, row.notice) for row in rows]

    async def children(self, mothers: Collection[UUID], order: int) -> Sequence[Person]:
        """Newborns of any of these entries with this order of birth, without demographics."""
        came = provisional_person.c
        wanted = (
            select(person, *COLUMNS)
            .select_from(provisional_person.join(person, person.c.person_id == came.person_id))
            .where(came.mother_id == func.any(sorted(mothers)), came.birth_order == order)
            .order_by(came.person_id)
        )
        rows = (await self._connection.execute(wanted)).all()
        return await self._lines([row.person_id for row in rows], rows)

    async def _lines(self, ids: Sequence[UUID], rows: Sequence[Any]) -> Sequence[Person]:
        if not ids:
            return []
        local = [type.value for type in LOCAL]
        numbers = await self._connection.execute(
            select(person_identifier)
            .where(person_identifier.c.person_id == func.any(list(ids)), person_identifier.c.kind == func.any(local))
            .order_by(person_identifier.c.valid_from, person_identifier.c.kind, person_identifier.c.blind)
        )
        keys = await self._keys.find(self._connection, ids)
        held: dict[UUID, list[PersonIdentifier]] = {id: [] for id in ids}
        for number in numbers:
            if number.person_id in keys:
                held[number.person_id].append(self._identifier_in(number, keys[number.person_id]))
        return [
            Person(
                id=row.person_id,
                state=PersonState(row.state),
                demographics=Demographics(),
                identifiers=tuple(held[row.person_id]),
                facility=row.facility_id,
                created_at=row.created_at,
                version=row.version,
                provisional=provisional_in(row, keys[row.person_id], self._vault),
                protected=row.protected,
            )
            for row in rows
            # Who was erased waits for nothing.
            if row.person_id in keys
        ]

    async def lock(self, id: UUID) -> None:
        """Holds a lock of that name until the transaction ends."""
        number = int.from_bytes(id.bytes[8:], "big", signed=True)
        await self._connection.execute(_LOCK, {"number": number})
