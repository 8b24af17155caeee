"""The register of breaches. What is said of one lies under the role's own key: it belongs to no person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.identifiers import uuid_from_request
from services.consent.breaches import BREACH_NOTICE, Breach, Event, EventType, Nature, Place
from services.consent.errors import BreachClosed, BreachNotNotified
from services.consent.notices import Notice
from services.consent.postgres.notices import NoticeTables
from services.consent.postgres.rows import Row
from services.consent.postgres.sealing import open_text, seal_text
from services.consent.schema import breach, breach_event

_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:id AS text), 2))")
_ADD_PERSONS = text("""
    INSERT INTO breach_person (person_id, breach_id, at)
    SELECT person, CAST(:breach AS uuid), CAST(:at AS timestamptz) FROM unnest(CAST(:persons AS uuid[])) AS person ORDER BY person
    ON CONFLICT DO NOTHING RETURNING person_id
""")


class BreachTables(NoticeTables):
    """`BreachStore`."""

    async def add_breach(self, new: Breach) -> Breach:
        """Keeps a new breach with its first event, or returns the one of this id."""
        values = {
            "id": new.id,
            "discovered_at": new.discovered_at,
            "nature": new.nature.value,
            "organization": new.organization,
            "text_sealed": seal_text(self._keyring, new.text, _place(new.id)),
            "created_at": new.created_at,
        }

        async def work(connection: AsyncConnection) -> Breach:
            await connection.execute(_ALONE, {"id": str(new.id)})
            known = await self._breach(connection, new.id)
            if known is None:
                await connection.execute(insert(breach).values(values))
                for event in new.events:
                    await self._add(connection, new.id, event)
                known = await self._breach(connection, new.id)
            if known is None:
                raise LookupError("a breach that was just kept is not there")
            return known

        return await self._database.write(work)

    async def breach(self, id: UUID) -> Breach | None:
        """A breach by id, with its events."""
        return await self._database.read(lambda connection: self._breach(connection, id))

    async def breaches(self, only_open: bool, after: Place | None, limit: int) -> Sequence[Breach]:
        """Breaches, discovered first first."""
        one = breach.c
        wanted = select(breach)
        if only_open:
            closed = exists().where(breach_event.c.breach_id == one.id, breach_event.c.type == EventType.CLOSED.value)
            wanted = wanted.where(~closed)
        if after is not None:
            wanted = wanted.where(tuple_(one.discovered_at, one.id) > after)
        wanted = wanted.order_by(one.discovered_at, one.id).limit(limit)
        return await self._database.read(lambda connection: self._breaches(connection, wanted))

    async def add_breach_event(self, id: UUID, event: Event) -> Breach | None:
        """Keeps an event, once by its id. Raises BreachClosed, and BreachNotNotified for closing what the authority was not told of."""

        async def work(connection: AsyncConnection) -> Breach | None:
            known = await self._standing(connection, id, event)
            if known is None or _has(known, event):
                return known
            if event.type is EventType.CLOSED and known.notified_at is None:
                raise BreachNotNotified("the authority was not told yet")
            await self._add(connection, id, event)
            return await self._breach(connection, id)

        return await self._database.write(work)

    async def add_breach_persons(self, id: UUID, event: Event, persons: Sequence[UUID]) -> Breach | None:
        """Keeps persons concerned and a notice to each who was not there before, once by the event's id. Raises BreachClosed."""

        async def work(connection: AsyncConnection) -> Breach | None:
            known = await self._standing(connection, id, event)
            if known is None or _has(known, event):
                return known
            values = {"breach": id, "at": event.at, "persons": list(persons)}
            added = [row.person_id for row in await connection.execute(_ADD_PERSONS, values)]
            counted = Event(event.id, event.type, event.at, event.actor, len(added))
            await self._add(connection, id, counted)
            await self._notify(
                connection,
                [
                    Notice(
                        uuid_from_request(f"{BREACH_NOTICE}|{person}", id),
                        person,
                        BREACH_NOTICE,
                        f"breaches/{id}",
                        known.organization,
                        event.at,
                    )
                    for person in sorted(added)
                ],
            )
            return await self._breach(connection, id)

        return await self._database.write(work)

    async def _standing(self, connection: AsyncConnection, id: UUID, event: Event) -> Breach | None:
        """The breach, alone in hand. Raises BreachClosed where something new is to be added to a closed one."""
        await connection.execute(_ALONE, {"id": str(id)})
        known = await self._breach(connection, id)
        if known is not None and known.first(EventType.CLOSED) and not _has(known, event):
            raise BreachClosed("the breach is closed")
        return known

    async def _add(self, connection: AsyncConnection, id: UUID, event: Event) -> None:
        sealed = seal_text(self._keyring, event.text, _event_place(id, event.id)) if event.text else None
        await connection.execute(
            insert(breach_event).values(
                breach_id=id,
                id=event.id,
                type=event.type.value,
                at=event.at,
                actor=event.actor,
                persons=event.persons,
                text_sealed=sealed,
            )
        )

    async def _breach(self, connection: AsyncConnection, id: UUID) -> Breach | None:
        found = await self._breaches(connection, select(breach).where(breach.c.id == id))
        return found[0] if found else None

    async def _breaches(self, connection: AsyncConnection, wanted: Select[Any]) -> Sequence[Breach]:
        found = list((await connection.execute(wanted)).mappings())
        ids = [row["id"] for row in found]
        of: dict[UUID, list[Event]] = {}
        events = select(breach_event).where(breach_event.c.breach_id.in_(ids))
        for row in (await connection.execute(events.order_by(breach_event.c.at, breach_event.c.id))).mappings():
            of.setdefault(row["breach_id"], []).append(self._event_in(row))
        return [
            Breach(
                id=row["id"],
                discovered_at=row["discovered_at"],
                nature=Nature(row["nature"]),
                organization=row["organization"],
                created_at=row["created_at"],
                events=tuple(of.get(row["id"], ())),
                text=open_text(self._keyring, row["text_sealed"], _place(row["id"])),
            )
            for row in found
        ]

    def _event_in(self, row: Row) -> Event:
        sealed = row["text_sealed"]
        said = open_text(self._keyring, sealed, _event_place(row["breach_id"], row["id"])) if sealed else ""
        return Event(row["id"], EventType(row["type"]), row["at"], row["actor"], row["persons"], said)


def _has(known: Breach, event: Event) -> bool:
    return any(one.id == event.id for one in known.events)


def _place(id: UUID) -> bytes:
    return f"consent|breach.text|{id}".encode()


def _event_place(id: UUID, event: UUID) -> bytes:
    return f"consent|breach_event.text|{id}|{event}".encode()
