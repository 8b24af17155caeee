"""Requests of data subjects, what became of them, and the list of what is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import RequestIdReused
from services.chassis.feed import entries_of
from services.chassis.identifiers import uuid_from_request
from services.consent.model import Purpose
from services.consent.notices import Notice
from services.consent.postgres.notices import NoticeTables
from services.consent.postgres.rows import Row
from services.consent.postgres.sealing import open_text, seal_text
from services.consent.schema import (
    access_entry,
    consent,
    emergency_access,
    restriction,
    restriction_lift,
    subject_request,
    subject_request_event,
    subject_request_open,
)
from services.consent.subjects import (
    NOTICES,
    RESTRICTING,
    Event,
    EventType,
    Holdings,
    Kind,
    OverdueRequest,
    Part,
    Place,
    SubjectRequest,
)

# Two requests of one id, or two events of one request, wait for each other.
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:id AS text), 1))")
# A request is in arrears once for each of its clocks.
_CLAIM = text("""
    WITH due AS MATERIALIZED (
        SELECT person_id, subject_request_id FROM subject_request_open
        WHERE next_due_at <= :at AND alarmed_due_at IS DISTINCT FROM next_due_at
        ORDER BY next_due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    UPDATE subject_request_open AS mine SET alarmed_due_at = mine.next_due_at
    FROM due WHERE mine.person_id = due.person_id AND mine.subject_request_id = due.subject_request_id
    RETURNING mine.subject_request_id, mine.kind
""")


class SubjectTables(NoticeTables):
    """`SubjectStore`."""

    async def add_subject_request(self, request: SubjectRequest) -> SubjectRequest:
        """Keeps a new request under the entry that answers for the person, or returns the one of this id."""

        async def work(connection: AsyncConnection) -> SubjectRequest:
            await connection.execute(_ALONE, {"id": str(request.id)})
            entries = (await entries_of(connection, [request.person]))[request.person]
            known = await self._subject_request(connection, request.id)
            if known is None:
                key = (await self._keys.find_or_make(connection, [entries.current]))[entries.current]
                sealed = seal_text(key, request.text, _place(request.id)) if request.text else None
                await connection.execute(insert(subject_request).values(**_out(request, entries.current, sealed)))
                await connection.execute(
                    insert(subject_request_open).values(
                        person_id=entries.current,
                        subject_request_id=request.id,
                        kind=request.kind.value,
                        organization="",
                        next_due_at=request.next_due_at,
                    )
                )
                known = await self._subject_request(connection, request.id)
            if known is None or known.person not in entries.all:
                raise RequestIdReused("this request id was used for another request")
            return known

        return await self._database.write(work)

    async def subject_request(self, id: UUID) -> SubjectRequest | None:
        """A request by id."""
        return await self._database.read(lambda connection: self._subject_request(connection, id))

    async def subject_requests(
        self, persons: Sequence[UUID], only_open: bool, overdue_at: datetime | None, before: Place | None, limit: int
    ) -> Sequence[SubjectRequest]:
        """Requests of these entries, newest first."""
        one = subject_request.c
        wanted = select(subject_request).where(one.person_id.in_(persons))
        if only_open or overdue_at is not None:
            wanted = _among_open(wanted, overdue_at)
        if before is not None:
            wanted = wanted.where(tuple_(one.created_at, one.id) < before)
        return await self._subject_page(wanted.order_by(one.created_at.desc(), one.id.desc()).limit(limit))

    async def subject_queue(
        self, organization: str | None, overdue_at: datetime | None, after: Place | None, limit: int
    ) -> Sequence[SubjectRequest]:
        """Open requests, of one facility or all, what is due soonest first."""
        due = subject_request_open.c
        wanted = _among_open(select(subject_request), overdue_at)
        if organization is not None:
            wanted = wanted.where(due.organization == organization)
        if after is not None:
            wanted = wanted.where(tuple_(due.next_due_at, due.subject_request_id) > after)
        return await self._subject_page(wanted.order_by(due.next_due_at, due.subject_request_id).limit(limit))

    async def all_subject_requests(
        self, organization: str | None, after: Place | None, limit: int
    ) -> Sequence[SubjectRequest]:
        """All requests, of one facility or all, what was due first first."""
        one, event = subject_request.c, subject_request_event.c
        wanted = select(subject_request)
        if organization is not None:
            passed = select(literal(1)).where(
                event.person_id == one.person_id,
                event.subject_request_id == one.id,
                event.type == EventType.PASSED.value,
                event.organization == organization,
            )
            wanted = wanted.where(passed.exists())
        if after is not None:
            wanted = wanted.where(tuple_(one.due_at, one.id) > after)
        return await self._subject_page(wanted.order_by(one.due_at, one.id).limit(limit))

    async def record_subject_event(self, id: UUID, event: Event) -> SubjectRequest | None:
        """Keeps an event with its effects and its notice, when the request allows it; else the request stays as it is."""

        async def work(connection: AsyncConnection) -> SubjectRequest | None:
            await connection.execute(_ALONE, {"id": str(id)})
            request = await self._subject_request(connection, id)
            if request is None or not request.allows(event.type):
                return request
            await connection.execute(insert(subject_request_event).values(**_event_out(request, event)))
            await _take_effect(connection, request, event)
            after = await self._subject_request(connection, id)
            if after is not None:
                await _keep_queue(connection, after)
            told = NOTICES[event.type]
            name = f"subjectRequests/{id}"
            notice = Notice(uuid_from_request(told, id), request.person, told, name, event.organization, event.at)
            await self._notify(connection, [notice])
            return after

        return await self._database.write(work)

    async def holdings(self, persons: Sequence[UUID]) -> Mapping[str, Holdings]:
        """What lies here of these entries and is kept by law: `evidence`, `ledger`, `emergency`."""
        places = {
            "evidence": (consent, consent.c.granted_at),
            "ledger": (access_entry, access_entry.c.at),
            "emergency": (emergency_access, emergency_access.c.opened_at),
        }

        async def work(connection: AsyncConnection) -> Mapping[str, Holdings]:
            found: dict[str, Holdings] = {}
            for category, (table, at) in places.items():
                counted = select(func.count(), func.max(at)).select_from(table).where(table.c.person_id.in_(persons))
                count, last = (await connection.execute(counted)).one()
                found[category] = Holdings(count, last)
            return found

        return await self._database.read(work)

    async def claim_overdue(self, at: datetime, limit: int) -> Sequence[OverdueRequest]:
        """Open requests whose clock ran out and that were not claimed for that clock before."""

        async def work(connection: AsyncConnection) -> Sequence[OverdueRequest]:
            found = await connection.execute(_CLAIM, {"at": at, "limit": limit})
            return [OverdueRequest(row.subject_request_id, Kind(row.kind)) for row in found]

        return await self._database.write(work)

    async def overdue_by_kind(self, at: datetime) -> Mapping[Kind, int]:
        """How many open requests are overdue."""
        due = subject_request_open.c

        async def work(connection: AsyncConnection) -> Mapping[Kind, int]:
            counted = select(due.kind, func.count()).where(due.next_due_at <= at).group_by(due.kind)
            return {Kind(kind): count for kind, count in await connection.execute(counted)}

        return await self._database.read(work)

    async def _subject_request(self, connection: AsyncConnection, id: UUID) -> SubjectRequest | None:
        found = await self._with_events(connection, select(subject_request).where(subject_request.c.id == id))
        return found[0] if found else None

    async def _subject_page(self, wanted: Select[Any]) -> Sequence[SubjectRequest]:
        return await self._database.read(lambda connection: self._with_events(connection, wanted))

    async def _with_events(self, connection: AsyncConnection, wanted: Select[Any]) -> Sequence[SubjectRequest]:
        """Requests with their events: three statements, however many there are."""
        found = list((await connection.execute(wanted)).mappings())
        if not found:
            return []
        event = subject_request_event.c
        places = [(row["person_id"], row["id"]) for row in found]
        events = select(subject_request_event).where(tuple_(event.person_id, event.subject_request_id).in_(places))
        of: dict[UUID, list[Event]] = {}
        for row in (await connection.execute(events.order_by(event.at))).mappings():
            of.setdefault(row["subject_request_id"], []).append(_event_in(row))
        keys = await self._keys.find(connection, {row["person_id"] for row in found if row["text_sealed"]})
        requests = []
        for row in found:
            key = keys.get(row["person_id"])
            said = open_text(key, row["text_sealed"], _place(row["id"])) if row["text_sealed"] and key else ""
            requests.append(_in(row, tuple(of.get(row["id"], ())), said))
        return requests


async def _take_effect(connection: AsyncConnection, request: SubjectRequest, event: Event) -> None:
    """What an event does to what decisions look at, and to texts."""
    if event.type is EventType.FULFILLED and request.kind in RESTRICTING:
        await connection.execute(
            insert(restriction).values(
                person_id=request.person,
                subject_request_id=request.id,
                kind=request.kind.value,
                purpose=request.purpose.value if request.purpose else None,
                starts_at=event.at,
            )
        )
    if event.type is EventType.LIFTED:
        await connection.execute(
            insert(restriction_lift).values(person_id=request.person, subject_request_id=request.id, at=event.at)
        )
    if event.type is EventType.FULFILLED and request.kind is Kind.DELETE:
        # Nothing is left to be done with the words of what was answered, nor with those of this request.
        one, open_ = subject_request.c, subject_request_open.c
        waiting = select(open_.subject_request_id).where(
            open_.person_id == request.person, open_.subject_request_id != request.id
        )
        answered = (one.person_id == request.person) & one.id.not_in(waiting)
        await connection.execute(update(subject_request).where(answered).values(text_sealed=None))


async def _keep_queue(connection: AsyncConnection, request: SubjectRequest) -> None:
    mine = (subject_request_open.c.person_id == request.person) & (
        subject_request_open.c.subject_request_id == request.id
    )
    if not request.is_open:
        await connection.execute(delete(subject_request_open).where(mine))
        return
    values = {"organization": request.organization, "next_due_at": request.next_due_at}
    await connection.execute(update(subject_request_open).where(mine).values(values))


def _among_open(wanted: Select[Any], overdue_at: datetime | None) -> Select[Any]:
    one, due = subject_request.c, subject_request_open.c
    joined = wanted.join(subject_request_open, (due.person_id == one.person_id) & (due.subject_request_id == one.id))
    return joined if overdue_at is None else joined.where(due.next_due_at <= overdue_at)


def _out(request: SubjectRequest, person: UUID, sealed: bytes | None) -> dict[str, Any]:
    return {
        "person_id": person,
        "id": request.id,
        "kind": request.kind.value,
        "purpose": request.purpose.value if request.purpose else None,
        "documents": list(request.documents),
        "created_at": request.created_at,
        "actor": request.actor,
        "regime": request.regime,
        "acknowledge_due_at": request.acknowledge_due_at,
        "due_at": request.first_due_at,
        "third_party_due_at": request.third_party_due_at,
        "text_sealed": sealed,
    }


def _in(row: Row, events: tuple[Event, ...], said: str) -> SubjectRequest:
    return SubjectRequest(
        id=row["id"],
        person=row["person_id"],
        kind=Kind(row["kind"]),
        purpose=Purpose(row["purpose"]) if row["purpose"] else None,
        documents=tuple(row["documents"]),
        created_at=row["created_at"],
        actor=row["actor"],
        regime=row["regime"],
        acknowledge_due_at=row["acknowledge_due_at"],
        first_due_at=row["due_at"],
        third_party_due_at=row["third_party_due_at"],
        events=events,
        text=said,
    )


def _event_out(request: SubjectRequest, event: Event) -> dict[str, Any]:
    return {
        "person_id": request.person,
        "subject_request_id": request.id,
        "type": event.type.value,
        "at": event.at,
        "actor": event.actor,
        "organization": event.organization,
        "article": event.article,
        "documents": list(event.documents),
        "parts": [
            {
                "category": one.category,
                "erased": one.erased,
                "retained": one.retained,
                "article": one.article,
                "retain_until": one.retain_until.isoformat() if one.retain_until else None,
            }
            for one in event.parts
        ],
    }


def _event_in(row: Row) -> Event:
    return Event(
        type=EventType(row["type"]),
        at=row["at"],
        actor=row["actor"],
        organization=row["organization"],
        article=row["article"],
        documents=tuple(row["documents"]),
        parts=tuple(
            Part(
                one["category"],
                one["erased"],
                one["retained"],
                one["article"],
                datetime.fromisoformat(one["retain_until"]) if one["retain_until"] else None,
            )
            for one in row["parts"]
        ),
    )


def _place(id: UUID) -> bytes:
    return f"consent|subject_request.text|{id}".encode()
