"""Consents and their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.errors import ConsentRequestClosed
from services.consent.model import Consent, RequestState
from services.consent.postgres import rows
from services.consent.postgres.requests import RequestTables
from services.consent.postgres.sealing import open_text, seal_text
from services.consent.schema import consent, consent_event

_REVOKED = "REVOKED"


class ConsentTables(RequestTables):
    """Consents; rows are only ever added."""

    async def grant(self, new: Consent, request: UUID | None) -> Consent:
        """Keeps a consent and, with a request, its answer."""

        async def work(connection: AsyncConnection) -> Consent:
            if request is not None:
                first = await self._answer(connection, request, RequestState.GRANTED, new.granted_at, new.id)
                if first.consent is not None and first.consent != new.id:
                    return await self._existing(connection, first.consent)
                if first.answer is not RequestState.GRANTED:
                    state = first.state(new.granted_at).value
                    raise ConsentRequestClosed("the request was answered before", metadata={"state": state})
            assertion = new.evidence.assertion
            key = (await self._keys.find_or_make(connection, [new.person]))[new.person]
            added = await connection.execute(
                upsert(consent)
                .values(
                    person_id=new.person,
                    id=new.id,
                    purpose=new.terms.purpose.value,
                    kinds=rows.kinds_out(new.terms.kinds),
                    data_start=new.terms.data_period.start,
                    data_end=new.terms.data_period.end,
                    duration_seconds=int(new.terms.duration.total_seconds()),
                    organization=new.terms.organization,
                    channel=new.evidence.channel.value,
                    text_version=new.evidence.text_version,
                    text_sha256=new.evidence.text_sha256,
                    assertion_sealed=seal_text(key, assertion, _consent_place(new.id)) if assertion else None,
                    acr=new.evidence.acr,
                    request_id=new.request,
                    granted_at=new.granted_at,
                )
                .on_conflict_do_nothing()
                .returning(consent.c.id)
            )
            if added.scalar_one_or_none() is None:
                return await self._existing(connection, new.id)
            return new

        return await self._database.write(work)

    async def _existing(self, connection: AsyncConnection, id: UUID) -> Consent:
        found = await self._consents(connection, consent.c.id == id, limit=1)
        return found[0]

    async def revoke(self, id: UUID, persons: Sequence[UUID], at: datetime) -> Consent | None:
        """Keeps a withdrawal; the first one counts."""

        async def work(connection: AsyncConnection) -> Consent | None:
            mine = consent.c.person_id.in_(persons) & (consent.c.id == id)
            person = (await connection.execute(select(consent.c.person_id).where(mine))).scalar_one_or_none()
            if person is None:
                return None
            event = {"person_id": person, "consent_id": id, "kind": _REVOKED, "at": at}
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
        joined = consent.outerjoin(
            consent_event,
            (consent_event.c.person_id == consent.c.person_id)
            & (consent_event.c.consent_id == consent.c.id)
            & (consent_event.c.kind == _REVOKED),
        )
        wanted = select(*consent.c, consent_event.c.at.label("revoked_at")).select_from(joined).where(where)  # type: ignore[arg-type] # a column expression
        found = await connection.execute(wanted.order_by(consent.c.id.desc()).limit(limit))
        read = list(found.mappings())
        sealed = [row for row in read if assertions and row["assertion_sealed"]]
        keys = await self._keys.find(connection, {row["person_id"] for row in sealed})
        opened = {
            row["id"]: open_text(keys[row["person_id"]], row["assertion_sealed"], _consent_place(row["id"]))
            for row in sealed
        }
        return [rows.consent_in(row, row["revoked_at"], opened.get(row["id"], "")) for row in read]


def _consent_place(id: UUID) -> bytes:
    return f"consent|consent.assertion|{id}".encode()
