"""Links, their append-only history and source records for the stewards, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.errors import LockNotAvailable
from sqlalchemy import and_, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import OperationalError

from services.chassis.keyring import PersonKey
from services.identity.desk import Place
from services.identity.links import (
    FiledRecord,
    IdentificationEvidence,
    LinkEvent,
    LinkEventKind,
    LinkMethod,
    LinkState,
    PersonLink,
)
from services.identity.model import FilingOutcome, Person, PersonIdentifier, PersonState
from services.identity.ports import LinksMoved
from services.identity.postgres import provisional_rows
from services.identity.postgres.arrays import unnested
from services.identity.postgres.persons import DEATH, PersonTables
from services.identity.postgres.provisional_rows import renew_waiting
from services.identity.schema import (
    link_event,
    person,
    person_event,
    person_identifier,
    person_link,
    person_redirect,
    person_refusal,
    source_record,
)


class LinkHistoryTables(PersonTables):
    """The part of a transaction that deals with the history of links."""

    _held: set[UUID]

    async def persons(self, ids: Collection[UUID]) -> Mapping[UUID, Person]:
        """Entries with all identifiers, in three statements."""
        if not ids:
            return {}
        asked = sorted(ids)
        wanted = select(person, *provisional_rows.COLUMNS).select_from(provisional_rows.joined(person))
        rows = (await self._connection.execute(wanted.where(person.c.person_id == func.any(asked)))).all()
        keys = await self._keys.find(self._connection, asked)
        held: dict[UUID, list[PersonIdentifier]] = {id: [] for id in asked}
        numbers = await self._connection.execute(
            select(person_identifier)
            .where(person_identifier.c.person_id == func.any(asked))
            .order_by(person_identifier.c.valid_from, person_identifier.c.kind, person_identifier.c.blind)
        )
        for number in numbers:
            if number.person_id in keys:
                held[number.person_id].append(self._identifier_in(number, keys[number.person_id]))
        # Who was erased has no key, and nothing to show.
        return {
            row.person_id: self._person_in(row, keys[row.person_id], held[row.person_id])
            for row in rows
            if row.person_id in keys
        }

    def _person_in(self, row: Any, key: PersonKey, held: Sequence[PersonIdentifier]) -> Person:
        return Person(
            id=row.person_id,
            state=PersonState(row.state),
            demographics=self._vault.open_demographics(key, row.demographics_sealed),
            identifiers=tuple(held),
            facility=row.facility_id,
            created_at=row.created_at,
            version=row.version,
            provisional=provisional_rows.provisional_in(row, key, self._vault),
            protected=row.protected,
            death=self._vault.open_time(key, DEATH, row.death_sealed).date() if row.death_sealed else None,
        )

    async def stewarded(self, ids: Collection[UUID], until: datetime | None = None) -> frozenset[UUID]:
        """Entries with a line of history by a steward."""
        found = person_event.c
        wanted = select(found.person_id).where(
            found.person_id == func.any(sorted(ids)),
            found.actor.startswith("STEWARD/"),
            found.kind.in_(["PERSON_REGISTERED", "DEMOGRAPHICS_CHANGED"]),
        )
        if until is not None:
            wanted = wanted.where(found.at <= until)
        return frozenset((await self._connection.execute(wanted.distinct())).scalars())

    async def hold(self, ids: Collection[UUID]) -> None:
        """Locks the rows in order of id, as everybody does who changes several entries. Rows that come before one already held are not waited for,
        lest two wait for each other: raises LinksMoved when somebody else has one.
        """
        more = sorted(set(ids) - self._held)
        if not more:
            return
        late = bool(self._held) and more[0] < max(self._held)
        rows = select(person.c.person_id).where(person.c.person_id == func.any(more)).order_by(person.c.person_id)
        try:
            await self._connection.execute(rows.with_for_update(nowait=late))
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            raise LinksMoved(self._held | set(more)) from None
        self._held.update(more)

    async def link(self, id: UUID) -> PersonLink | None:
        """A link."""
        row = (await self._connection.execute(select(person_link).where(person_link.c.id == id))).one_or_none()
        return None if row is None else _link_in(row)

    async def proposal(self, person: UUID, target: UUID) -> PersonLink | None:
        """The oldest link between the two that waits."""
        found = person_link.c
        wanted = select(person_link).where(
            found.person_id == person, found.target_id == target, found.state == LinkState.PROPOSED.value
        )
        row = (await self._connection.execute(wanted.order_by(found.created_at, found.id).limit(1))).one_or_none()
        return None if row is None else _link_in(row)

    async def edges(self, entries: Collection[UUID]) -> Mapping[UUID, UUID]:
        """The edges in force from these entries."""
        found = person_link.c
        wanted = select(found.person_id, found.target_id).where(
            found.person_id == func.any(sorted(entries)), found.state == LinkState.ACTIVE.value
        )
        return {row.person_id: row.target_id for row in await self._connection.execute(wanted)}

    async def refusals(self, left: Collection[UUID], right: Collection[UUID]) -> Mapping[tuple[UUID, UUID], UUID]:
        """Refusals between the two sides."""
        found, one, other = person_refusal.c, sorted(left), sorted(right)
        across = or_(
            and_(found.person_id == func.any(one), found.other_id == func.any(other)),
            and_(found.person_id == func.any(other), found.other_id == func.any(one)),
        )
        rows = await self._connection.execute(select(person_refusal).where(across))
        return {(row.person_id, row.other_id): row.event_id for row in rows}

    async def write_event(
        self,
        event: LinkEvent,
        *,
        link: PersonLink | None = None,
        redirects: Mapping[UUID, UUID] | None = None,
        withdrawn: Collection[tuple[UUID, UUID]] = (),
        refused: tuple[UUID, UUID] | None = None,
    ) -> None:
        """Adds a line and carries the tables along."""
        await self._connection.execute(insert(link_event).values(_event_row(event)))
        if link is not None:
            await self._put_link(link)
        if redirects is not None:
            await self._redirect(redirects)
        if withdrawn:
            pairs = tuple_(person_refusal.c.person_id, person_refusal.c.other_id)
            await self._connection.execute(delete(person_refusal).where(pairs.in_(sorted(withdrawn))))
        if refused is not None:
            one, other = refused
            row = {"person_id": one, "other_id": other, "event_id": event.id}
            await self._connection.execute(upsert(person_refusal).values(row).on_conflict_do_nothing())

    async def _put_link(self, link: PersonLink) -> None:
        row = {
            "person_id": link.person,
            "id": link.id,
            "target_id": link.target,
            "state": link.state.value,
            "method": link.method.value,
            "evidence": link.evidence.value if link.evidence else None,
            "actor": link.actor,
            "second_actor": link.second_actor,
            "reason": link.reason,
            "score": link.score,
            "model_version": link.model_version,
            "created_at": link.created_at,
            "version": link.version,
        }
        changed = {name: row[name] for name in ("state", "second_actor", "version")}
        placed = upsert(person_link).values(row)
        await self._connection.execute(placed.on_conflict_do_update(index_elements=["person_id", "id"], set_=changed))

    async def _redirect(self, redirects: Mapping[UUID, UUID]) -> None:
        own = sorted(id for id, current in redirects.items() if id == current)
        others = sorted((id, current) for id, current in redirects.items() if id != current)
        if own:
            await self._connection.execute(delete(person_redirect).where(person_redirect.c.person_id == func.any(own)))
        if others:
            asked = unnested(
                person_id=(PG_UUID, [id for id, _ in others]), current_id=(PG_UUID, [current for _, current in others])
            )
            placed = upsert(person_redirect).from_select(["person_id", "current_id"], select(asked))
            await self._connection.execute(
                placed.on_conflict_do_update(
                    index_elements=["person_id"], set_={"current_id": placed.excluded.current_id}
                )
            )
        await renew_waiting(self._connection, redirects)

    async def link_event(self, id: UUID) -> LinkEvent | None:
        """A line of the history."""
        row = (await self._connection.execute(select(link_event).where(link_event.c.id == id))).one_or_none()
        return None if row is None else _event_in(row)

    async def link_events(
        self, entries: Collection[UUID], after: Place | None, limit: int, until: datetime | None = None
    ) -> Sequence[LinkEvent]:
        """Lines that name one of the entries."""
        found, asked = link_event.c, sorted(entries)
        wanted = select(link_event).where(or_(found.person_id == func.any(asked), found.target_id == func.any(asked)))
        if after is not None:
            wanted = wanted.where(tuple_(found.at, found.id) > tuple_(*after))
        if until is not None:
            wanted = wanted.where(found.at <= until)
        rows = await self._connection.execute(wanted.order_by(found.at, found.id).limit(limit))
        return [_event_in(row) for row in rows]

    async def events_of_link(self, link: UUID) -> Sequence[LinkEvent]:
        """Lines of one link; it has three at most."""
        found = link_event.c
        wanted = select(link_event).where(found.link_id == link).order_by(found.at, found.id)
        return [_event_in(row) for row in await self._connection.execute(wanted)]

    async def last_event_at(self, entries: Collection[UUID]) -> datetime | None:
        """When the last line was written that names one of the entries."""
        found, asked = link_event.c, sorted(entries)
        wanted = select(func.max(found.at)).where(
            or_(found.person_id == func.any(asked), found.target_id == func.any(asked))
        )
        last: datetime | None = (await self._connection.execute(wanted)).scalar_one()
        return last

    async def filed(self, id: UUID) -> FiledRecord | None:
        """A source record."""
        found = await self._filed(select(source_record).where(source_record.c.id == id))
        return found[0] if found else None

    async def filed_under(self, id: UUID, after: Place | None, limit: int) -> Sequence[FiledRecord]:
        """Source records of an entry, oldest first."""
        found = source_record.c
        wanted = select(source_record).where(found.person_id == id).order_by(found.filed_at, found.id).limit(limit)
        if after is not None:
            wanted = wanted.where(tuple_(found.filed_at, found.id) > tuple_(*after))
        return await self._filed(wanted)

    async def filed_between(
        self, ids: Collection[UUID], since: datetime, until: datetime, limit: int
    ) -> Sequence[FiledRecord]:
        """Source records that were matched within a time, newest first."""
        found = source_record.c
        wanted = select(source_record).where(
            found.person_id == func.any(sorted(ids)),
            found.outcome == FilingOutcome.MATCHED.value,
            found.filed_at >= since,
            found.filed_at <= until,
        )
        return await self._filed(wanted.order_by(found.filed_at.desc(), found.id.desc()).limit(limit))

    async def _filed(self, wanted: Any) -> Sequence[FiledRecord]:
        rows = (await self._connection.execute(wanted)).all()
        if not rows:
            return []
        keys = await self._keys.find(self._connection, {row.person_id for row in rows})
        return [
            FiledRecord(
                row.id,
                self._vault.open_said(keys[row.person_id], row.facility_id, row.said_sealed),
                row.person_id,
                FilingOutcome(row.outcome),
                row.filed_at,
            )
            for row in rows
            if row.person_id in keys
        ]

    async def move_filed(self, id: UUID, target: UUID) -> None:
        """Files a source record under another entry, sealed with the key of that person."""
        record = await self.filed(id)
        if record is None:
            return
        key = (await self._keys.find_or_make(self._connection, [target]))[target]
        await self._connection.execute(
            update(source_record)
            .where(source_record.c.id == id)
            .values(person_id=target, said_sealed=self._vault.seal_said(key, record.key))
        )


def _link_in(row: Any) -> PersonLink:
    return PersonLink(
        id=row.id,
        person=row.person_id,
        target=row.target_id,
        state=LinkState(row.state),
        method=LinkMethod(row.method),
        actor=row.actor,
        reason=row.reason,
        created_at=row.created_at,
        evidence=IdentificationEvidence(row.evidence) if row.evidence else None,
        second_actor=row.second_actor,
        score=row.score,
        model_version=row.model_version,
        version=row.version,
    )


def _event_row(event: LinkEvent) -> dict[str, Any]:
    return {
        "person_id": event.person,
        "id": event.id,
        "kind": event.kind.value,
        "target_id": event.target,
        "link_id": event.link,
        "at": event.at,
        "actor": event.actor,
        "reason": event.reason,
        "method": event.method.value,
        "score": event.score,
        "model_version": event.model_version,
        "detail": dict(event.detail or {}),
    }


def _event_in(row: Any) -> LinkEvent:
    return LinkEvent(
        id=row.id,
        kind=LinkEventKind(row.kind),
        person=row.person_id,
        target=row.target_id,
        at=row.at,
        actor=row.actor,
        reason=row.reason,
        method=LinkMethod(row.method),
        link=row.link_id,
        score=row.score,
        model_version=row.model_version,
        detail=row.detail or None,
    )
