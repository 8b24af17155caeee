"""Requests put to persons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.keyring import Wrapping
from services.consent.model import Channel, ConsentRequest, RequestState
from services.consent.postgres import rows
from services.consent.postgres.sealing import open_text, seal_text
from services.consent.postgres.tables import Tables
from services.consent.schema import consent_request


class RequestTables(Tables):
    """Consent requests and their answers."""

    async def _requests_in(self, connection: AsyncConnection, found: Sequence[rows.Row]) -> list[ConsentRequest]:
        """Those whose person was erased are left out: nobody can answer them any more."""
        keys = await self._keys.find(connection, {row["person_id"] for row in found})
        return [_request_in(row, keys[row["person_id"]]) for row in found if row["person_id"] in keys]

    async def _request_in(self, connection: AsyncConnection, row: rows.Row) -> ConsentRequest:
        keys = await self._keys.find(connection, [row["person_id"]])
        return _request_in(row, keys[row["person_id"]])

    async def add_request(self, request: ConsentRequest) -> None:
        """Keeps a new request; one with the same id stays as it is."""
        values = {
            "person_id": request.person,
            "id": request.id,
            "organization": request.organization,
            "terms": rows.terms_out(request.terms),
            "binding_message": request.binding_message,
            "created_at": request.created_at,
            "expires_at": request.expires_at,
            "next_poll_at": request.created_at,
            "asked_id": request.asked,
            "required": sorted(role.value for role in request.required),
            "ends_by": request.ends_by,
            "channel": request.channel.value,
            "code_hash": request.code or None,
        }

        async def work(connection: AsyncConnection) -> None:
            key = (await self._keys.find_or_make(connection, [request.person]))[request.person]
            sealed = seal_text(key, request.app_request, _request_place(request.id))
            wanted = upsert(consent_request).values(**values, app_request_sealed=sealed)
            await connection.execute(wanted.on_conflict_do_nothing())

        await self._database.write(work)

    async def request(self, id: UUID) -> ConsentRequest | None:
        """A request by id."""

        async def work(connection: AsyncConnection) -> ConsentRequest | None:
            row = (
                (await connection.execute(select(consent_request).where(consent_request.c.id == id)))
                .mappings()
                .one_or_none()
            )
            return None if row is None else await self._request_in(connection, row)

        return await self._database.read(work)

    async def requests(
        self, persons: Sequence[UUID], before: UUID | None, limit: int, *, organization: str | None = None
    ) -> Sequence[ConsentRequest]:
        """Requests put to these entries, newest first; UUIDv7 ids are in order of time."""

        async def work(connection: AsyncConnection) -> Sequence[ConsentRequest]:
            wanted = select(consent_request).where(consent_request.c.person_id.in_(persons))
            if organization is not None:
                wanted = wanted.where(consent_request.c.organization == organization)
            if before is not None:
                wanted = wanted.where(consent_request.c.id < before)
            found = await connection.execute(wanted.order_by(consent_request.c.id.desc()).limit(limit))
            return await self._requests_in(connection, list(found.mappings()))

        return await self._database.read(work)

    async def claim_pending(self, at: datetime, lease: timedelta, limit: int) -> Sequence[ConsentRequest]:
        """Leases unanswered requests whose poll is due; a worker that dies leaves them to the next after the lease."""

        async def work(connection: AsyncConnection) -> Sequence[ConsentRequest]:
            due = (
                select(consent_request.c.person_id, consent_request.c.id)
                .where(
                    consent_request.c.answer.is_(None),
                    consent_request.c.channel == Channel.NATIONAL_ID_APP.value,
                    consent_request.c.next_poll_at <= at,
                    consent_request.c.expires_at > at,
                )
                .order_by(consent_request.c.next_poll_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
                .cte("due")
            )
            claimed = await connection.execute(
                update(consent_request)
                .where(consent_request.c.person_id == due.c.person_id, consent_request.c.id == due.c.id)
                .values(next_poll_at=at + lease)
                .returning(*consent_request.c)
            )
            return await self._requests_in(connection, list(claimed.mappings()))

        return await self._database.write(work)

    async def count_wrong_code(self, id: UUID, most: int, at: datetime) -> int:
        """Counts a wrong code of an unanswered request; how many there were. At the most the request is closed as denied, in the same transaction."""

        async def work(connection: AsyncConnection) -> int:
            counted = await connection.execute(
                update(consent_request)
                .where(consent_request.c.id == id, consent_request.c.answer.is_(None))
                .values(wrong_codes=consent_request.c.wrong_codes + 1)
                .returning(consent_request.c.wrong_codes)
            )
            wrong = counted.scalar_one_or_none()
            if wrong is None:
                return most
            if wrong >= most:
                await self._answer(connection, id, RequestState.DENIED, at, None)
            return int(wrong)

        return await self._database.write(work)

    async def close_request(self, id: UUID, answer: RequestState, at: datetime) -> ConsentRequest | None:
        """Keeps the answer of an unanswered request."""

        async def work(connection: AsyncConnection) -> ConsentRequest | None:
            return await self._answer(connection, id, answer, at, None)

        return await self._database.write(work)

    async def _answer(
        self, connection: AsyncConnection, id: UUID, answer: RequestState, at: datetime, consent_id: UUID | None
    ) -> ConsentRequest:
        await connection.execute(
            update(consent_request)
            .where(consent_request.c.id == id, consent_request.c.answer.is_(None))
            .values(answer=answer.value, answered_at=at, consent_id=consent_id)
        )
        row = (await connection.execute(select(consent_request).where(consent_request.c.id == id))).mappings().one()
        return await self._request_in(connection, row)


def _request_in(row: rows.Row, key: Wrapping) -> ConsentRequest:
    return rows.request_in(row, open_text(key, row["app_request_sealed"], _request_place(row["id"])))


def _request_place(id: UUID) -> bytes:
    return f"consent|consent_request.app_request|{id}".encode()
