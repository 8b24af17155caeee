"""`Store` on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.feed import Entries, entries_of
from services.chassis.identifiers import uuid7
from services.chassis.keyring import Keyring, PersonKeys, Wrapping, open_sealed, seal, sealed_from_bytes
from services.chassis.outbox import Message, enqueue
from services.referrals.model import Appointment, AppointmentState, Content, Referral, ReferralState, Slip
from services.referrals.ports import Worklist
from services.referrals.relations import TOPIC, Relation, of_appointment, of_referral
from services.referrals.schema import appointment, imported_event, referral

_NO_CONTENT = Content()
_WITHOUT_CONTENT = [column for column in referral.c if column.name != "content_sealed"]


class PostgresStore:
    """Referrals and appointments; clinical text is sealed per paper, bound to its id."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keys = PersonKeys(keyring, "referrals", clock)
        self._clock = clock
        self._told: Callable[[], None] = lambda: None

    def on_told(self, wake: Callable[[], None]) -> None:
        """Calls this after every commit that put something into the outbox."""
        self._told = wake

    async def import_slips(self, slips: Sequence[Slip]) -> int:
        """Keeps the papers of events that are new: four statements for the whole batch."""
        now = datetime.now(UTC)

        async def work(connection: AsyncConnection) -> int:
            added = await connection.execute(
                upsert(imported_event)
                .values(
                    [
                        {"person_id": slip.paper.person, "event_id": slip.event, "imported_at": now}
                        for slip in sorted(slips, key=lambda slip: (slip.paper.person, slip.event))
                    ]
                )
                .on_conflict_do_nothing()
                .returning(imported_event.c.event_id)
            )
            fresh = {row.event_id for row in added}
            papers = {slip.event: slip.paper for slip in slips if slip.event in fresh}
            sent = [paper for paper in papers.values() if isinstance(paper, Referral)]
            keys = await self._keys.find_or_make(connection, {paper.person for paper in sent})
            referrals = [_referral_out(paper, keys[paper.person]) for paper in sent]
            appointments = [_appointment_out(paper) for paper in papers.values() if isinstance(paper, Appointment)]
            if referrals:
                await connection.execute(insert(referral), referrals)
            if appointments:
                await connection.execute(insert(appointment), appointments)
            shown = [
                of_referral(paper) if isinstance(paper, Referral) else of_appointment(paper)
                for paper in papers.values()
            ]
            # What came when it was over shows no treatment.
            await _tell(connection, [one for one in shown if one.ends > self._clock()])
            return len(papers)

        imported = await self._database.write(work)
        self._told()
        return imported

    async def entries(self, person: UUID) -> Entries:
        """The entries that stand for a person."""
        return (await self._database.read(lambda connection: entries_of(connection, [person])))[person]

    async def referral(self, id: UUID) -> Referral | None:
        """A referral with its content."""

        async def work(connection: AsyncConnection) -> Referral | None:
            row = (await connection.execute(select(referral).where(referral.c.id == id))).mappings().one_or_none()
            if row is None:
                return None
            keys = await self._keys.find(connection, [row["person_id"]])
            sealed = sealed_from_bytes(bytes(row["content_sealed"]))
            content = json.loads(open_sealed(keys[row["person_id"]], sealed, _place(id)))
            return _referral_in(row, Content(**content))

        return await self._database.read(work)

    async def referrals(self, page: Worklist) -> Sequence[Referral]:
        """A page of a worklist."""
        sides = []
        if page.incoming:
            sides.append(referral.c.target == page.facility)
        if page.outgoing:
            sides.append(referral.c.source == page.facility)
        wanted = select(*_WITHOUT_CONTENT).where(or_(*sides))
        if page.persons:
            wanted = wanted.where(referral.c.person_id.in_(page.persons))
        if page.before is not None:
            wanted = wanted.where(referral.c.id < page.before)
        current = referral.c.valid_through >= page.today
        waiting = referral.c.arrived_at.is_(None)
        states = {
            ReferralState.SENT: and_(waiting, current, referral.c.accepted_at.is_(None)),
            ReferralState.ACCEPTED: and_(waiting, current, referral.c.accepted_at.is_not(None)),
            ReferralState.ARRIVED: referral.c.arrived_at.is_not(None),
            ReferralState.EXPIRED: and_(waiting, referral.c.valid_through < page.today),
        }
        if page.state is not None:
            wanted = wanted.where(states[page.state])

        async def work(connection: AsyncConnection) -> Sequence[Referral]:
            found = await connection.execute(wanted.order_by(referral.c.id.desc()).limit(page.limit))
            return [_referral_in(row) for row in found.mappings()]

        return await self._database.read(work)

    async def change(self, id: UUID, change: Callable[[Referral], Referral]) -> Referral | None:
        """Applies a change under the row's lock."""

        async def work(connection: AsyncConnection) -> Referral | None:
            locked = await connection.execute(select(*_WITHOUT_CONTENT).where(referral.c.id == id).with_for_update())
            row = locked.mappings().one_or_none()
            if row is None:
                return None
            before = _referral_in(row)
            changed = change(before)
            await connection.execute(
                update(referral)
                .where(referral.c.person_id == changed.person, referral.c.id == id)
                .values(
                    accepted_at=changed.accepted_at,
                    arrived_at=changed.arrived_at,
                    accept_request=changed.accept_request,
                    arrive_request=changed.arrive_request,
                )
            )
            if of_referral(changed).ends != of_referral(before).ends:
                await _tell(connection, [of_referral(changed)])
            return changed

        changed = await self._database.write(work)
        self._told()
        return changed

    async def relations(self, resources: Sequence[str]) -> Mapping[str, Relation]:
        """The treatment that these referrals and appointments show as they stand, by resource name."""
        referrals, appointments = (
            [UUID(one.removeprefix(prefix)) for one in resources if one.startswith(prefix)]
            for prefix in ("referrals/", "appointments/")
        )

        async def work(connection: AsyncConnection) -> list[Relation]:
            sent = await connection.execute(select(*_WITHOUT_CONTENT).where(referral.c.id.in_(referrals)))
            slips = await connection.execute(select(appointment).where(appointment.c.id.in_(appointments)))
            return [
                *(of_referral(_referral_in(row)) for row in sent.mappings()),
                *(of_appointment(_appointment_in(row)) for row in slips.mappings()),
            ]

        return {one.resource: one for one in await self._database.read(work)}

    async def appointment(self, id: UUID) -> Appointment | None:
        """An appointment by id."""

        async def work(connection: AsyncConnection) -> Appointment | None:
            row = (await connection.execute(select(appointment).where(appointment.c.id == id))).mappings().one_or_none()
            return None if row is None else _appointment_in(row)

        return await self._database.read(work)

    async def appointments(
        self,
        *,
        organization: str | None,
        persons: Sequence[UUID],
        start: date | None,
        end: date | None,
        after: tuple[date, UUID] | None,
        limit: int,
    ) -> Sequence[Appointment]:
        """Appointments by day and id."""
        wanted = select(appointment)
        if organization is not None:
            wanted = wanted.where(appointment.c.organization == organization)
        if persons:
            wanted = wanted.where(appointment.c.person_id.in_(persons))
        if start is not None:
            wanted = wanted.where(appointment.c.day >= start)
        if end is not None:
            wanted = wanted.where(appointment.c.day <= end)
        if after is not None:
            wanted = wanted.where(tuple_(appointment.c.day, appointment.c.id) > after)

        async def work(connection: AsyncConnection) -> Sequence[Appointment]:
            found = await connection.execute(wanted.order_by(appointment.c.day, appointment.c.id).limit(limit))
            return [_appointment_in(row) for row in found.mappings()]

        return await self._database.read(work)


async def _tell(connection: AsyncConnection, relations: Sequence[Relation]) -> None:
    """Names what shows treatment in the outbox; whom, and where, is looked up when it is delivered."""
    await enqueue(connection, [Message(uuid7(), TOPIC, one.resource, b"") for one in relations])


def _referral_out(paper: Referral, key: Wrapping) -> dict[str, Any]:
    content = json.dumps(asdict(paper.content), ensure_ascii=False).encode()
    return {
        "person_id": paper.person,
        "id": paper.id,
        "number": paper.number,
        "document_id": paper.document,
        "source": paper.source,
        "target": paper.target,
        "previous": list(paper.previous),
        "reason_code": paper.reason_code,
        "signed_on": paper.signed_on,
        "valid_through": paper.valid_through,
        "created_at": paper.created_at,
        "content_sealed": seal(key, content, _place(paper.id)).to_bytes(),
    }


def _referral_in(row: Mapping[Any, Any], content: Content = _NO_CONTENT) -> Referral:
    return Referral(
        id=row["id"],
        number=row["number"],
        person=row["person_id"],
        document=row["document_id"],
        source=row["source"],
        target=row["target"],
        previous=tuple(row["previous"]),
        reason_code=row["reason_code"],
        signed_on=row["signed_on"],
        valid_through=row["valid_through"],
        created_at=row["created_at"],
        content=content,
        accepted_at=row["accepted_at"],
        arrived_at=row["arrived_at"],
        accept_request=row["accept_request"],
        arrive_request=row["arrive_request"],
    )


def _appointment_out(paper: Appointment) -> dict[str, Any]:
    return {
        "person_id": paper.person,
        "id": paper.id,
        "number": paper.number,
        "document_id": paper.document,
        "organization": paper.organization,
        "day": paper.day,
        "created_at": paper.created_at,
        "state": paper.state.value,
    }


def _appointment_in(row: Mapping[Any, Any]) -> Appointment:
    return Appointment(
        id=row["id"],
        number=row["number"],
        person=row["person_id"],
        document=row["document_id"],
        organization=row["organization"],
        day=row["day"],
        created_at=row["created_at"],
        state=AppointmentState(row["state"]),
    )


def _place(id: UUID) -> bytes:
    return f"referrals|referral.content|{id}".encode()
