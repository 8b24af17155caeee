"""What was judged, signed and given out, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.keyring import DataErased, PersonKey, PersonKeys
from services.chassis.keyring.persons import KeysOf
from services.records.convert.signatures import decode_signature
from services.records.model import Accepted, Incoming
from services.records.postgres.vault import Vault
from services.records.proof import (
    MOST_VERDICTS,
    Compromise,
    Due,
    Judgement,
    Occasion,
    Reader,
    RecordedVerdict,
    TouchedCursor,
    TouchedDocument,
    next_look,
)

_VERDICTS = text(
    "SELECT number, occasion, created_at, verdict FROM verdict"
    " WHERE facility_id = :facility AND submission_id = :id ORDER BY number"
)
# What is taken moves on in time, so that a process that dies gives it back by itself.
_TAKE = text(
    "UPDATE judgement_due d SET due_at = :until FROM ("
    "SELECT facility_id, submission_id, due_at FROM judgement_due WHERE due_at <= :now"
    " ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED) taken"
    " WHERE d.facility_id = taken.facility_id AND d.submission_id = taken.submission_id"
    " RETURNING d.facility_id, d.submission_id, d.occasion, d.attempts, taken.due_at AS was_due"
)
_ASKED = " FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[])) AS asked (facility_id, id)"
_RECEIVED = text(
    "SELECT s.facility_id, s.id, s.document_id, s.received_at, s.trace_id, d.format, b.person_id, b.content_sealed,"  # noqa: S608 - constants
    f" b.signatures_sealed{_ASKED}"
    " JOIN submission s ON s.facility_id = asked.facility_id AND s.id = asked.id"
    " JOIN document_body b ON b.facility_id = s.facility_id AND b.id = s.id"
    " JOIN document d ON d.id = s.id"
)
_APPEND = text(
    "INSERT INTO verdict (facility_id, submission_id, number, occasion, created_at, verdict)"  # noqa: S608 - constants
    " SELECT new.facility_id, new.submission_id, COALESCE(last.number, 1) + 1, new.occasion, new.created_at, new.verdict"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:occasions AS text[]),"
    " CAST(:times AS timestamptz[]), CAST(:verdicts AS bytea[]))"
    " AS new (facility_id, submission_id, occasion, created_at, verdict)"
    " LEFT JOIN LATERAL (SELECT number FROM verdict v WHERE v.facility_id = new.facility_id"
    " AND v.submission_id = new.submission_id ORDER BY number DESC LIMIT 1) last ON true"
    f" WHERE COALESCE(last.number, 1) < {MOST_VERDICTS}"
)
# Only what nobody made due again, for another reason, since it was taken.
_AGAIN = text(
    "UPDATE judgement_due d SET due_at = new.due_at, occasion = new.occasion, attempts = new.attempts"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:was AS text[]), CAST(:times AS timestamptz[]),"
    " CAST(:occasions AS text[]), CAST(:attempts AS smallint[]))"
    " AS new (facility_id, submission_id, was, due_at, occasion, attempts)"
    " WHERE d.facility_id = new.facility_id AND d.submission_id = new.submission_id AND d.occasion = new.was"
)
_SETTLE = text(
    "DELETE FROM judgement_due d"
    " USING unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:was AS text[]))"
    " AS done (facility_id, submission_id, was)"
    " WHERE d.facility_id = done.facility_id AND d.submission_id = done.submission_id AND d.occasion = done.was"
)
_SIGNED_BY = (
    " FROM signer s WHERE s.certificate_sha256 = :certificate AND s.received_at >= :since"
    " AND (CAST(:after_id AS uuid) IS NULL"
    " OR (s.received_at, s.submission_id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))"
    " ORDER BY s.received_at, s.submission_id LIMIT :limit"
)
_COMPROMISED = text(
    f"WITH page AS (SELECT s.facility_id, s.submission_id, s.received_at{_SIGNED_BY}),"  # noqa: S608 - constants
    " due AS (INSERT INTO judgement_due (facility_id, submission_id, due_at, occasion, attempts)"
    " SELECT facility_id, submission_id, :at, :occasion, 0 FROM page ORDER BY facility_id, submission_id"
    " ON CONFLICT (facility_id, submission_id)"
    " DO UPDATE SET due_at = EXCLUDED.due_at, occasion = EXCLUDED.occasion, attempts = 0)"
    " SELECT received_at, submission_id FROM page ORDER BY received_at DESC, submission_id DESC LIMIT 1"
)
_REMEMBERED = text("SELECT certificate_sha256, since FROM key_compromise")
_REMEMBER = text(
    "INSERT INTO key_compromise (certificate_sha256, since, noticed_at) VALUES (:certificate, :since, :at)"
    " ON CONFLICT DO NOTHING"
)
_SIGNERS = text(
    "INSERT INTO signer (facility_id, submission_id, certificate_sha256, received_at, proven_at)"
    " SELECT * FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:certificates AS bytea[]),"
    " CAST(:received AS timestamptz[]), CAST(:proven AS timestamptz[]))"
)
_DUE = text(
    "INSERT INTO judgement_due (facility_id, submission_id, due_at, occasion, attempts)"
    " SELECT facility_id, submission_id, due_at, occasion, 0"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:times AS timestamptz[]),"
    " CAST(:occasions AS text[])) AS new (facility_id, submission_id, due_at, occasion)"
)
_DISCLOSE = text(
    "INSERT INTO disclosure (facility_id, document_id, reader, first_at, last_at)"
    f" SELECT asked.facility_id, asked.id, :reader, :at, :at{_ASKED}"  # noqa: S608 - constants
    " ORDER BY asked.facility_id, asked.id"
    " ON CONFLICT (facility_id, document_id, reader)"
    " DO UPDATE SET last_at = GREATEST(disclosure.last_at, EXCLUDED.last_at)"
)
_TOUCHED = text(
    f"SELECT s.facility_id, s.submission_id, s.received_at, s.proven_at{_SIGNED_BY}"  # noqa: S608 - constants
)
_READERS = text(
    f"SELECT d.facility_id, d.document_id, d.reader, d.first_at, d.last_at{_ASKED}"  # noqa: S608 - constants
    " JOIN disclosure d ON d.facility_id = asked.facility_id AND d.document_id = asked.id"
    " ORDER BY d.first_at, d.reader"
)


class ProofTables:
    """The part of the store that keeps what was judged, signed and given out."""

    _database: Database
    _keys: PersonKeys
    _vault: Vault

    async def verdicts(self, facility: str, id: UUID) -> Sequence[RecordedVerdict]:
        """Verdicts after the first, oldest first."""

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_VERDICTS, {"facility": facility, "id": id}))

        return [
            RecordedVerdict(row.number, Occasion(row.occasion), row.created_at, self._vault.decompress(row.verdict))
            for row in await self._database.read(work)
        ]

    async def take_due(self, now: datetime, until: datetime, limit: int) -> Sequence[Due]:
        """Takes what is due."""

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_TAKE, {"now": now, "until": until, "limit": limit}))

        rows = sorted(await self._database.write(work), key=lambda row: row.was_due)
        return [Due(row.facility_id, row.submission_id, Occasion(row.occasion), row.attempts) for row in rows]

    async def received(self, places: Sequence[tuple[str, UUID]]) -> Mapping[tuple[str, UUID], Incoming]:
        """Submissions as they came in; those of erased persons are left out."""

        async def work(connection: AsyncConnection) -> tuple[list[Any], KeysOf]:
            rows = list(await connection.execute(_RECEIVED, _asked(places)))
            return rows, await self._keys.find(connection, {row.person_id for row in rows})

        rows, keys = await self._database.read(work)
        received = {}
        for row in rows:
            with suppress(DataErased):
                received[row.facility_id, row.id] = self._incoming(keys[row.person_id], row)
        return received

    def _incoming(self, key: PersonKey, row: Any) -> Incoming:
        if not row.content_sealed:
            raise DataErased
        signatures = self._vault.open_signatures(key, row.signatures_sealed, "document_body.signatures", row.id)
        return Incoming(
            facility=row.facility_id,
            document_id=row.document_id,
            format=row.format,
            content=self._vault.open(key, row.content_sealed, "document_body.content", row.id),
            signatures=tuple(decode_signature(one) for one in signatures),
            received_at=row.received_at,
            trace_id=row.trace_id,
        )

    async def judged(self, judgements: Sequence[Judgement]) -> None:
        """Appends and settles."""
        new = [(one, one.verdict) for one in judgements if one.verdict is not None]
        append = {
            **_places([one.due for one, _ in new]),
            "occasions": [one.due.occasion.value for one, _ in new],
            "times": [one.at for one, _ in new],
            "verdicts": [self._vault.compress(verdict.encoded) for _, verdict in new],
        }
        later = [(one, one.again) for one in judgements if one.again is not None]
        again = {
            **_places([one.due for one, _ in later]),
            "was": [one.due.occasion.value for one, _ in later],
            "times": [at for _, (at, _) in later],
            "occasions": [occasion.value for _, (_, occasion) in later],
            "attempts": [one.attempts for one, _ in later],
        }
        done = [one.due for one in judgements if one.again is None]
        settle = {**_places(done), "was": [due.occasion.value for due in done]}

        async def work(connection: AsyncConnection) -> None:
            for statement, values in ((_APPEND, append), (_AGAIN, again), (_SETTLE, settle)):
                if values["ids"]:
                    await connection.execute(statement, values)

        await self._database.write(work)

    async def judge_signed_by(
        self, certificate_sha256: str, since: datetime, after: TouchedCursor | None, at: datetime, limit: int
    ) -> TouchedCursor | None:
        """Makes due what a certificate signed, a page at a time."""
        values = {
            **_signed_by(certificate_sha256, since, after, limit),
            "at": at,
            "occasion": Occasion.KEY_COMPROMISED.value,
        }

        async def work(connection: AsyncConnection) -> Any:
            return (await connection.execute(_COMPROMISED, values)).one_or_none()

        row = await self._database.write(work)
        return None if row is None else TouchedCursor(row.received_at, row.submission_id)

    async def compromises(self) -> Collection[Compromise]:
        """What was dealt with."""

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_REMEMBERED))

        return {Compromise(row.certificate_sha256.hex(), row.since) for row in await self._database.read(work)}

    async def remember(self, compromise: Compromise, at: datetime) -> None:
        """Keeps what was dealt with."""
        values = {
            "certificate": bytes.fromhex(compromise.certificate_sha256),
            "since": compromise.since,
            "at": at,
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_REMEMBER, values)

        await self._database.write(work)

    async def disclose(self, reader: str, documents: Sequence[tuple[str, UUID]], at: datetime) -> None:
        """Keeps who is given what."""
        if not documents:
            return

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_DISCLOSE, {**_asked(documents), "reader": reader, "at": at})

        await self._database.write(work)

    async def touched(
        self, certificate_sha256: str, since: datetime, after: TouchedCursor | None, limit: int
    ) -> Sequence[TouchedDocument]:
        """What a certificate signed, with its readers."""
        values = _signed_by(certificate_sha256, since, after, limit)

        async def work(connection: AsyncConnection) -> tuple[list[Any], list[Any]]:
            signed = list(await connection.execute(_TOUCHED, values))
            places = [(row.facility_id, row.submission_id) for row in signed]
            return signed, list(await connection.execute(_READERS, _asked(places))) if places else []

        signed, given = await self._database.read(work)
        readers: dict[UUID, list[Reader]] = {}
        for row in given:
            readers.setdefault(row.document_id, []).append(Reader(row.reader, row.first_at, row.last_at))
        return [
            TouchedDocument(
                row.submission_id,
                row.facility_id,
                row.received_at,
                row.proven_at,
                tuple(readers.get(row.submission_id, ())),
            )
            for row in signed
        ]

    async def _insert_proof(self, connection: AsyncConnection, accepted: Sequence[Accepted]) -> None:
        """Who signed, and when to look again; part of the transaction that stores the documents."""
        signed = [(one, *signer) for one in accepted for signer in one.verdict.signers]
        if signed:
            await connection.execute(
                _SIGNERS,
                {
                    "facilities": [one.incoming.facility for one, _, _ in signed],
                    "ids": [one.id for one, _, _ in signed],
                    "certificates": [bytes.fromhex(certificate) for _, certificate, _ in signed],
                    "received": [one.incoming.received_at for one, _, _ in signed],
                    "proven": [proven for _, _, proven in signed],
                },
            )
        looks = [(one, look) for one in accepted if (look := next_look(one.verdict, one.verified_at, 0)) is not None]
        if looks:
            await connection.execute(
                _DUE,
                {
                    "facilities": [one.incoming.facility for one, _ in looks],
                    "ids": [one.id for one, _ in looks],
                    "times": [at for _, (at, _) in looks],
                    "occasions": [occasion.value for _, (_, occasion) in looks],
                },
            )


def _asked(places: Sequence[tuple[str, UUID]]) -> dict[str, Any]:
    return {"facilities": [facility for facility, _ in places], "ids": [id for _, id in places]}


def _signed_by(certificate_sha256: str, since: datetime, after: TouchedCursor | None, limit: int) -> dict[str, Any]:
    return {
        "certificate": bytes.fromhex(certificate_sha256),
        "since": since,
        "after_at": None if after is None else after.received_at,
        "after_id": None if after is None else after.id,
        "limit": limit,
    }


def _places(due: Sequence[Due]) -> dict[str, Any]:
    return _asked([(one.facility, one.submission) for one in due])
