"""`Store` on PostgreSQL. `decide` is the hot path: six statements for a whole batch, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.feed import Entries, entries_of
from services.chassis.keyring import Keyring, PersonKeys, Wrapping, open_sealed, seal, sealed_from_bytes
from services.consent.errors import ConsentRequestClosed
from services.consent.model import Access, Consent, ConsentRequest, Decision, RequestState
from services.consent.ports import Decide, LedgerPlace
from services.consent.postgres import rows
from services.consent.schema import access_entry, consent, consent_event, consent_request, decision

_REVOKED = "REVOKED"
# Creates missing heads and locks all of them in one statement; the no-op update is what takes the lock.
_LOCK_HEADS = text(
    "INSERT INTO ledger_head (person_id, sequence, hash)"
    " SELECT person, 0, CAST(:none AS bytea) FROM unnest(CAST(:persons AS uuid[])) AS person ORDER BY person"
    " ON CONFLICT (person_id) DO UPDATE SET person_id = excluded.person_id RETURNING person_id, sequence, hash"
)
_MOVE_HEADS = text(
    "UPDATE ledger_head SET sequence = moved.sequence, hash = moved.hash"
    " FROM unnest(CAST(:persons AS uuid[]), CAST(:sequences AS bigint[]), CAST(:hashes AS bytea[])) AS moved (person_id, sequence, hash)"
    " WHERE ledger_head.person_id = moved.person_id"
)


class PostgresStore:
    """Consents, requests, decisions and the ledger."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keys = PersonKeys(keyring, "consent", clock)

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
        }

        async def work(connection: AsyncConnection) -> None:
            key = (await self._keys.find_or_make(connection, [request.person]))[request.person]
            sealed = _seal(key, request.app_request, _request_place(request.id))
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

    async def entries(self, person: UUID) -> Entries:
        """The entries that stand for a person."""
        return (await self._database.read(lambda connection: entries_of(connection, [person])))[person]

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
                    assertion_sealed=_seal(key, assertion, _consent_place(new.id)) if assertion else None,
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
            row["id"]: _open(keys[row["person_id"]], row["assertion_sealed"], _consent_place(row["id"]))
            for row in sealed
        }
        return [rows.consent_in(row, row["revoked_at"], opened.get(row["id"], "")) for row in read]

    async def decide(self, persons: Sequence[UUID], also: Sequence[UUID], decide: Decide) -> Sequence[Decision]:
        """Locks the ledgers, decides on what is committed by then, and keeps decisions and lines."""

        async def work(connection: AsyncConnection) -> Sequence[Decision]:
            entries = await entries_of(connection, {*persons, *also})
            answering = sorted({entries[person].current for person in persons})
            locked = await connection.execute(_LOCK_HEADS, {"none": bytes(32), "persons": answering})
            heads = {row.person_id: (int(row.sequence), bytes(row.hash)) for row in locked}
            answers = {member: entries[person].current for person in persons for member in entries[person].all}
            found: dict[UUID, list[Consent]] = {}
            for one in await self._consents(connection, consent.c.person_id.in_(answers), limit=None, assertions=False):
                found.setdefault(answers[one.person], []).append(one)
            made = decide(entries, found, heads)
            await connection.execute(
                insert(decision),
                [
                    {
                        "person_id": taken.query.person,
                        "id": taken.id,
                        "content": rows.decision_out(taken),
                        "decided_at": taken.decided_at,
                    }
                    for taken, _ in made
                ],
            )
            await connection.execute(insert(access_entry), [rows.access_out(line) for _, line in made])
            last = {line.person: line for _, line in made}
            await connection.execute(
                _MOVE_HEADS,
                {
                    "persons": list(last),
                    "sequences": [line.sequence for line in last.values()],
                    "hashes": [line.hash for line in last.values()],
                },
            )
            return [taken for taken, _ in made]

        return await self._database.write(work)

    async def decision(self, id: UUID) -> Decision | None:
        """A decision by id."""

        async def work(connection: AsyncConnection) -> Decision | None:
            row = (await connection.execute(select(decision).where(decision.c.id == id))).mappings().one_or_none()
            return None if row is None else rows.decision_in(row["id"], row["decided_at"], row["content"])

        return await self._database.read(work)

    async def accesses(self, persons: Sequence[UUID], before: LedgerPlace | None, limit: int) -> Sequence[Access]:
        """Ledger lines of these entries, newest first; each entry's lines are in the order of their numbers."""

        async def work(connection: AsyncConnection) -> Sequence[Access]:
            line = access_entry.c
            wanted = select(access_entry).where(line.person_id.in_(persons))
            if before is not None:
                wanted = wanted.where(tuple_(line.at, line.sequence, line.id) < before)
            wanted = wanted.order_by(line.at.desc(), line.sequence.desc(), line.id.desc())
            found = await connection.execute(wanted.limit(limit))
            return [rows.access_in(row) for row in found.mappings()]

        return await self._database.read(work)


def _seal(key: Wrapping, value: str, aad: bytes) -> bytes:
    return seal(key, value.encode(), aad).to_bytes()


def _open(key: Wrapping, sealed: bytes, aad: bytes) -> str:
    return open_sealed(key, sealed_from_bytes(bytes(sealed)), aad).decode()


def _request_in(row: rows.Row, key: Wrapping) -> ConsentRequest:
    return rows.request_in(row, _open(key, row["app_request_sealed"], _request_place(row["id"])))


def _request_place(id: UUID) -> bytes:
    return f"consent|consent_request.app_request|{id}".encode()


def _consent_place(id: UUID) -> bytes:
    return f"consent|consent.assertion|{id}".encode()
