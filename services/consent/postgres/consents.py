"""Consents and their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.identifiers import uuid_from_request
from services.chassis.keyring import Wrapping
from services.consent.errors import ConsentRequestClosed
from services.consent.model import Agreement, Consent, RequestState
from services.consent.notices import AGREEMENT_AWAITED, Notice
from services.consent.postgres import rows
from services.consent.postgres.notices import NoticeTables
from services.consent.postgres.requests import RequestTables
from services.consent.postgres.sealing import open_text, seal_text
from services.consent.recipients import Recipient
from services.consent.schema import consent, consent_event, erasure_acknowledgement
from services.consent.terms import MOST_SOURCES

_USES = text("""
    SELECT asked.id, (
        SELECT count(*) FROM consent_use u
        WHERE u.person_id = asked.person_id AND u.consent_id = asked.id AND (asked.since IS NULL OR u.at > asked.since)
    ) AS reads
    FROM unnest(CAST(:persons AS uuid[]), CAST(:consents AS uuid[]), CAST(:sinces AS timestamptz[])) AS asked (person_id, id, since)
""")
_RECIPIENTS = text("""
    SELECT u.organization, min(u.at) AS first_read_at, max(u.at) AS last_read_at, count(*) AS reads,
           max(a.at) AS acknowledged_at, max(a.retained_under) AS retained_under
    FROM consent_use u
    LEFT JOIN erasure_acknowledgement a
        ON a.person_id = u.person_id AND a.consent_id = u.consent_id AND a.organization = u.organization
    WHERE u.person_id = :person AND u.consent_id = :consent AND u.organization > :after
      AND (CAST(:organization AS varchar) IS NULL OR u.organization = :organization)
    GROUP BY u.organization ORDER BY u.organization LIMIT :limit
""")


class ConsentTables(RequestTables, NoticeTables):
    """Consents; rows are only ever added."""

    async def grant(self, new: Sequence[Consent], request: UUID | None) -> Sequence[Consent]:
        """Keeps the consents of one grant and, with a request, its answer."""
        first = new[0]

        async def work(connection: AsyncConnection) -> Sequence[Consent]:
            if request is not None:
                answered = await self._answer(connection, request, RequestState.GRANTED, first.granted_at, first.id)
                if answered.consent is not None and answered.consent != first.id:
                    return await self._together(connection, answered.consent)
                if answered.answer is not RequestState.GRANTED:
                    state = answered.state(first.granted_at).value
                    raise ConsentRequestClosed("the request was answered before", metadata={"state": state})
            assertion = first.evidence.assertion
            key = (await self._keys.find_or_make(connection, [first.person]))[first.person]
            added = await connection.execute(
                upsert(consent)
                .values(
                    [
                        rows.consent_out(one)
                        | {"assertion_sealed": seal_text(key, assertion, _consent_place(one.id)) if assertion else None}
                        for one in new
                    ]
                )
                .on_conflict_do_nothing()
                .returning(consent.c.id)
            )
            if len(added.all()) < len(new):
                return await self._together(connection, first.id)
            if first.effective_at is None:
                await self._notify(connection, [_awaited(first)])
            return new

        return await self._database.write(work)

    async def _together(self, connection: AsyncConnection, id: UUID) -> Sequence[Consent]:
        """A consent and those that were granted with it, in the order of their sources; that one first."""
        found = await self._consents(connection, consent.c.id == id, limit=1)
        one = found[0]
        if one.source is None:
            return found
        same = (
            (consent.c.person_id == one.person)
            & (consent.c.granted_at == one.granted_at)
            & consent.c.source.is_not(None)
        )
        together = await self._consents(connection, same, limit=MOST_SOURCES)
        return sorted(together, key=lambda other: (other.id != id, other.source or ""))

    async def consents_of_request(self, id: UUID, persons: Sequence[UUID]) -> Sequence[Consent]:
        """The consents that came of a request, at most one for each source."""

        async def work(connection: AsyncConnection) -> Sequence[Consent]:
            mine = consent.c.person_id.in_(persons) & (consent.c.request_id == id)
            return await self._consents(connection, mine, limit=MOST_SOURCES, assertions=False)

        return await self._database.read(work)

    async def uses(self, consents: Sequence[Consent], at: datetime) -> Mapping[UUID, int]:
        """Reads that the frequency of each counts by a time; those without a limit are left out."""
        counted = [one for one in consents if one.terms.frequency is not None]
        if not counted:
            return {}

        async def work(connection: AsyncConnection) -> Mapping[UUID, int]:
            values = {
                "persons": [one.person for one in counted],
                "consents": [one.id for one in counted],
                "sinces": [_since(one, at) for one in counted],
            }
            return {row.id: row.reads for row in await connection.execute(_USES, values)}

        return await self._database.read(work)

    async def recipients(
        self, of: Consent, after: str, limit: int, *, organization: str | None = None
    ) -> Sequence[Recipient]:
        """Facilities that were given something on its ground, by code, after one; or only one facility."""

        async def work(connection: AsyncConnection) -> Sequence[Recipient]:
            values = {
                "person": of.person,
                "consent": of.id,
                "after": after,
                "limit": limit,
                "organization": organization,
            }
            found = await connection.execute(_RECIPIENTS, values)
            return [
                Recipient(
                    row.organization,
                    row.first_read_at,
                    row.last_read_at,
                    row.reads,
                    of.erase_at,
                    row.acknowledged_at,
                    row.retained_under or "",
                )
                for row in found
            ]

        return await self._database.read(work)

    async def acknowledge_erasure(
        self, of: Consent, organization: str, licence: str, retained_under: str, at: datetime
    ) -> None:
        """Keeps that a facility has erased what it was given. What it said first stays."""

        async def work(connection: AsyncConnection) -> None:
            values = {
                "person_id": of.person,
                "consent_id": of.id,
                "organization": organization,
                "at": at,
                "licence": licence,
                "retained_under": retained_under,
            }
            await connection.execute(upsert(erasure_acknowledgement).values(values).on_conflict_do_nothing())

        await self._database.write(work)

    async def agree(self, of: Consent, agreement: Agreement) -> Consent | None:
        """Keeps an agreement; the first in a role counts."""

        async def work(connection: AsyncConnection) -> Consent | None:
            values = rows.agreement_out(of, agreement)
            assertion = agreement.evidence.assertion
            if assertion:
                key = (await self._keys.find_or_make(connection, [of.person]))[of.person]
                values["evidence_sealed"] = seal_text(key, assertion, _event_place(of.id, values["kind"]))
            await connection.execute(upsert(consent_event).values(values).on_conflict_do_nothing())
            found = await self._consents(connection, consent.c.id == of.id, limit=1)
            return found[0] if found else None

        return await self._database.write(work)

    async def revoke(self, id: UUID, persons: Sequence[UUID], at: datetime, by: UUID | None = None) -> Consent | None:
        """Keeps a withdrawal; the first one counts."""

        async def work(connection: AsyncConnection) -> Consent | None:
            mine = consent.c.person_id.in_(persons) & (consent.c.id == id)
            person = (await connection.execute(select(consent.c.person_id).where(mine))).scalar_one_or_none()
            if person is None:
                return None
            event = {"person_id": person, "consent_id": id, "kind": rows.REVOKED, "at": at, "actor_id": by}
            await connection.execute(upsert(consent_event).values(event).on_conflict_do_nothing())
            return (await self._consents(connection, mine, limit=1))[0]

        return await self._database.write(work)

    async def consent(self, id: UUID) -> Consent | None:
        """A consent by id."""

        async def work(connection: AsyncConnection) -> Consent | None:
            found = await self._consents(connection, consent.c.id == id, limit=1)
            return found[0] if found else None

        return await self._database.read(work)

    async def consents(self, persons: Sequence[UUID], before: UUID | None, limit: int) -> Sequence[Consent]:
        """Consents of these entries, newest first."""

        async def work(connection: AsyncConnection) -> Sequence[Consent]:
            wanted = consent.c.person_id.in_(persons)
            return await self._consents(
                connection, wanted if before is None else wanted & (consent.c.id < before), limit
            )

        return await self._database.read(work)

    async def _consents(
        self, connection: AsyncConnection, where: object, limit: int | None, assertions: bool = True
    ) -> list[Consent]:
        wanted = select(consent).where(where)  # type: ignore[arg-type] # a column expression
        found = await connection.execute(wanted.order_by(consent.c.id.desc()).limit(limit))
        read = list(found.mappings())
        events = await self._events(connection, read)
        sealed = {row["person_id"] for row in read if row["assertion_sealed"]}
        sealed |= {one["person_id"] for happened in events.values() for one in happened if one["evidence_sealed"]}
        keys = await self._keys.find(connection, sealed) if assertions else {}
        return [_opened(row, events.get(row["id"], []), keys) for row in read]

    async def _events(self, connection: AsyncConnection, read: Sequence[rows.Row]) -> dict[UUID, list[rows.Row]]:
        """What happened to each, oldest first."""
        events: dict[UUID, list[rows.Row]] = {}
        if read:
            mine = consent_event.c.person_id.in_({row["person_id"] for row in read})
            wanted = select(consent_event).where(mine, consent_event.c.consent_id.in_([row["id"] for row in read]))
            for row in (await connection.execute(wanted.order_by(consent_event.c.at, consent_event.c.kind))).mappings():
                events.setdefault(row["consent_id"], []).append(row)
        return events


def _opened(row: rows.Row, events: Sequence[rows.Row], keys: Mapping[UUID, Wrapping]) -> Consent:
    """With its evidence, as far as there are keys."""
    key = keys.get(row["person_id"])
    if key is None:
        return rows.consent_in(row, events)
    first = row["assertion_sealed"]
    others = {
        one["kind"]: open_text(key, one["evidence_sealed"], _event_place(row["id"], one["kind"]))
        for one in events
        if one["evidence_sealed"]
    }
    return rows.consent_in(row, events, open_text(key, first, _consent_place(row["id"])) if first else "", others)


def _awaited(one: Consent) -> Notice:
    id, organization = uuid_from_request(AGREEMENT_AWAITED, one.id), one.terms.organization or ""
    return Notice(id, one.person, AGREEMENT_AWAITED, f"consents/{one.id}", organization, one.granted_at)


def _event_place(id: UUID, kind: str) -> bytes:
    return f"consent|consent_event.evidence|{id}|{kind}".encode()


def _consent_place(id: UUID) -> bytes:
    return f"consent|consent.assertion|{id}".encode()


def _since(one: Consent, at: datetime) -> datetime | None:
    limit = one.terms.frequency
    return None if limit is None or limit.interval is None else at - limit.interval
