"""Emergency accesses and their events; rows are only ever added, each with the notice to the person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from sqlalchemy import TextClause, delete, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import RequestIdReused
from services.chassis.feed import entries_of
from services.chassis.keyring import Wrapping
from services.consent import notices
from services.consent.emergency import EmergencyAccess, Event, EventType, Outcome, Reason
from services.consent.emergency_store import Opened, Place, Recorded
from services.consent.notices import Notice
from services.consent.postgres.notices import NoticeTables
from services.consent.postgres.rows import Row
from services.consent.postgres.sealing import open_text, seal_text
from services.consent.schema import emergency_access, emergency_access_event, emergency_review_due

_NOTICES = {
    EventType.CONFIRMED: notices.EMERGENCY_CONFIRMED,
    EventType.WIDENED: notices.EMERGENCY_WIDENED,
    EventType.LIFE_SAVING: notices.EMERGENCY_LIFE_SAVING,
    EventType.ENDED: notices.EMERGENCY_ENDED,
    EventType.REVIEWED: notices.EMERGENCY_REVIEWED,
}


def _event_of(alias: str, type: EventType) -> str:
    return (
        f" LEFT JOIN emergency_access_event AS {alias} ON {alias}.person_id = a.person_id"
        f" AND {alias}.access_id = a.id AND {alias}.type = '{type.value}'"
    )


_EVENTS = (
    _event_of("c", EventType.CONFIRMED)
    + _event_of("w", EventType.WIDENED)
    + _event_of("l", EventType.LIFE_SAVING)
    + _event_of("e", EventType.ENDED)
    + _event_of("r", EventType.REVIEWED)
)
# The notice of the opening has the id of the access. Decisions stand under the entry that answered when they were made.
_SELECT = (
    "SELECT a.person_id, a.id, a.organization, a.licence, a.reason, a.text_sealed, a.opened_at,"  # noqa: S608 - constants
    " c.at AS confirmed_at, coalesce(c.licence, '') AS confirmed_by, w.at AS widened_at,"
    " coalesce(w.life_saving, false) OR l.at IS NOT NULL AS life_saving,"
    " e.at AS ended_at, r.at AS reviewed_at, coalesce(r.outcome, '') AS outcome,"
    " (SELECT count(*) FROM decision AS d WHERE d.emergency_access_id = a.id AND d.person_id IN"
    " (a.person_id, (SELECT current_id FROM person_redirect WHERE person_id = a.person_id))) AS reads,"
    " (SELECT min(n.delivered_at) FROM notice_delivery AS n WHERE n.person_id = a.person_id AND n.notice_id = a.id) AS notified_at"
    f" FROM emergency_access AS a{_EVENTS}"
)
_BY_ID = text(f"{_SELECT} WHERE a.id = :id")
_OF_PERSONS = text(
    f"{_SELECT} WHERE a.person_id = ANY(CAST(:persons AS uuid[]))"
    " AND (CAST(:at AS timestamptz) IS NULL OR (a.opened_at, a.id) < (CAST(:at AS timestamptz), CAST(:id AS uuid)))"
    " ORDER BY a.opened_at DESC, a.id DESC LIMIT :limit"
)
_OF_FACILITY = text(
    f"{_SELECT} WHERE a.organization = :organization AND (NOT :unreviewed OR r.at IS NULL)"
    " AND (CAST(:at AS timestamptz) IS NULL OR (a.opened_at, a.id) < (CAST(:at AS timestamptz), CAST(:id AS uuid)))"
    " ORDER BY a.opened_at DESC, a.id DESC LIMIT :limit"
)
# A review is due so long after the opening: the oldest is the longest due.
_FILTERS = (
    " WHERE (CAST(:organization AS text) IS NULL OR organization = :organization)"
    " AND (CAST(:but AS text) IS NULL OR organization <> :but)"
    " AND (CAST(:at AS timestamptz) IS NULL OR (opened_at, {id}) > (CAST(:at AS timestamptz), CAST(:id AS uuid)))"
    " ORDER BY opened_at, {id} LIMIT :limit"
)


def _queue(table: str, id: str) -> TextClause:
    """A page of a table first, and then what became of its few."""
    page = f"SELECT person_id, {id} AS id FROM {table}{_FILTERS.format(id=id)}"  # noqa: S608 - names of ours
    return text(f"{_SELECT} JOIN ({page}) AS q ON q.person_id = a.person_id AND q.id = a.id ORDER BY a.opened_at, a.id")


_ALL = _queue("emergency_access", "id")
_QUEUE = _queue("emergency_review_due", "access_id")
_COUNT = text("""
    SELECT count(*) FILTER (WHERE licence = :licence) AS by_practitioner, count(*) AS by_facility FROM emergency_access
    WHERE organization = :organization AND opened_at > CAST(:since AS timestamptz) AND opened_at <= CAST(:at AS timestamptz)
""")
# Two requests of one id wait for each other, whomever they name.
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:id AS text), 0))")


class EmergencyTables(NoticeTables):
    """Accesses, their events and their notices."""

    async def open_emergency(self, access: EmergencyAccess, event: Event, window: timedelta) -> Opened:
        """Keeps a new access under the entry that answers for the person, with the notice to them."""

        async def work(connection: AsyncConnection) -> Opened:
            await connection.execute(_ALONE, {"id": str(access.id)})
            entries = (await entries_of(connection, [access.person]))[access.person]
            known = await self._emergency(connection, access.id)
            first = known is None
            if known is None:
                key = (await self._keys.find_or_make(connection, [entries.current]))[entries.current]
                await connection.execute(
                    insert(emergency_access).values(
                        person_id=entries.current,
                        id=access.id,
                        organization=access.organization,
                        licence=access.licence,
                        reason=access.reason.value,
                        text_sealed=seal_text(key, access.text, _text_place(access.id)),
                        opened_at=access.opened_at,
                        actor=event.actor,
                        acr=event.acr,
                    )
                )
                await connection.execute(
                    insert(emergency_review_due).values(
                        person_id=entries.current,
                        access_id=access.id,
                        organization=access.organization,
                        opened_at=access.opened_at,
                    )
                )
                await self._notify(
                    connection,
                    [_notice(access.id, entries.current, notices.EMERGENCY_OPENED, access, access.opened_at)],
                )
                known = await self._emergency(connection, access.id)
            if known is None or known.person not in entries.all:
                raise RequestIdReused("this request id was used for another request")
            counted = (
                await connection.execute(
                    _COUNT,
                    {
                        "organization": known.organization,
                        "licence": known.licence,
                        "since": known.opened_at - window,
                        "at": known.opened_at,
                    },
                )
            ).one()
            return Opened(known, int(counted.by_practitioner), int(counted.by_facility), first)

        return await self._database.write(work)

    async def emergency(self, id: UUID) -> EmergencyAccess | None:
        """An access by id."""
        return await self._database.read(lambda connection: self._emergency(connection, id))

    async def record_emergency_event(self, id: UUID, event: Event) -> Recorded | None:
        """Keeps an event, with the notice to the person; the first of its type counts."""

        async def work(connection: AsyncConnection) -> Recorded | None:
            access = await self._emergency(connection, id)
            if access is None:
                return None
            key = (await self._keys.find_or_make(connection, [access.person]))[access.person]
            added = await connection.execute(
                upsert(emergency_access_event)
                .values(
                    person_id=access.person,
                    access_id=id,
                    type=event.type.value,
                    at=event.at,
                    organization=event.organization,
                    licence=event.licence,
                    life_saving=event.life_saving,
                    outcome=event.outcome.value if event.outcome else "",
                    text_sealed=seal_text(key, event.text, _event_place(id, event.type)) if event.text else None,
                    actor=event.actor,
                    acr=event.acr,
                )
                .on_conflict_do_nothing()
                .returning(emergency_access_event.c.access_id)
            )
            first = added.scalar_one_or_none() is not None
            if first:
                told = _NOTICES[event.type]
                await self._notify(connection, [_notice(uuid5(id, told), access.person, told, access, event.at)])
            if event.type is EventType.REVIEWED:
                done = emergency_review_due.c
                mine = (done.person_id == access.person) & (done.access_id == id)
                await connection.execute(delete(emergency_review_due).where(mine))
            after = await self._emergency(connection, id)
            kept = event if first else await self._event(connection, access.person, id, event.type, key)
            return None if after is None else Recorded(after, kept, first)

        return await self._database.write(work)

    async def emergencies_of(
        self, persons: Sequence[UUID], before: Place | None, limit: int
    ) -> Sequence[EmergencyAccess]:
        """Accesses to these entries, newest first."""
        values = {"persons": list(persons), **_place(before), "limit": limit}
        return await self._database.read(lambda connection: self._emergencies(connection, _OF_PERSONS, values))

    async def emergencies_at(
        self, organization: str, unreviewed: bool, before: Place | None, limit: int
    ) -> Sequence[EmergencyAccess]:
        """Accesses of a facility, newest first."""
        values = {"organization": organization, "unreviewed": unreviewed, **_place(before), "limit": limit}
        return await self._database.read(lambda connection: self._emergencies(connection, _OF_FACILITY, values))

    async def emergency_queue(
        self, unreviewed: bool, organization: str | None, but: str | None, after: Place | None, limit: int
    ) -> Sequence[EmergencyAccess]:
        """Accesses of one facility or of all but one, longest due first."""
        wanted = _QUEUE if unreviewed else _ALL
        values = {"organization": organization, "but": but, **_place(after), "limit": limit}
        return await self._database.read(lambda connection: self._emergencies(connection, wanted, values))

    async def _emergency(self, connection: AsyncConnection, id: UUID) -> EmergencyAccess | None:
        found = await self._emergencies(connection, _BY_ID, {"id": id})
        return found[0] if found else None

    async def _emergencies(
        self, connection: AsyncConnection, wanted: object, values: dict[str, object]
    ) -> list[EmergencyAccess]:
        found = list((await connection.execute(wanted, values)).mappings())  # type: ignore[call-overload] # one of the texts above
        keys = await self._keys.find(connection, {row["person_id"] for row in found})
        return [_access_in(row, keys.get(row["person_id"])) for row in found]

    async def _event(
        self, connection: AsyncConnection, person: UUID, access: UUID, type: EventType, key: Wrapping
    ) -> Event:
        event = emergency_access_event.c
        mine = (event.person_id == person) & (event.access_id == access) & (event.type == type.value)
        row = (await connection.execute(select(emergency_access_event).where(mine))).mappings().one()
        return Event(
            type,
            row["at"],
            row["actor"],
            row["organization"],
            row["licence"],
            life_saving=row["life_saving"],
            outcome=Outcome(row["outcome"]) if row["outcome"] else None,
            acr=row["acr"],
            text=open_text(key, row["text_sealed"], _event_place(access, type)) if row["text_sealed"] else "",
        )


def _access_in(row: Row, key: Wrapping | None) -> EmergencyAccess:
    return EmergencyAccess(
        id=row["id"],
        person=row["person_id"],
        organization=row["organization"],
        licence=row["licence"],
        reason=Reason(row["reason"]),
        opened_at=row["opened_at"],
        confirmed_at=row["confirmed_at"],
        confirmed_by=row["confirmed_by"],
        widened_at=row["widened_at"],
        life_saving=row["life_saving"],
        ended_at=row["ended_at"],
        reviewed_at=row["reviewed_at"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        text=open_text(key, row["text_sealed"], _text_place(row["id"])) if key else "",
        reads=int(row["reads"]),
        notified_at=row["notified_at"],
    )


def _notice(id: UUID, person: UUID, type: str, access: EmergencyAccess, at: datetime) -> Notice:
    return Notice(id, person, type, f"emergencyAccesses/{access.id}", access.organization, at)


def _place(place: Place | None) -> dict[str, object]:
    at, id = place or (None, None)
    return {"at": at, "id": id}


def _text_place(id: UUID) -> bytes:
    return f"consent|emergency_access.text|{id}".encode()


def _event_place(id: UUID, type: EventType) -> bytes:
    return f"consent|emergency_access_event.text|{id}|{type.value}".encode()
