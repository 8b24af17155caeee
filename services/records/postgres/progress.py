"""What became of submissions, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.feed.redirects import FRESH
from services.chassis.keyring import DataErased, PersonKey, PersonKeys
from services.records.convert.signatures import decode_signature
from services.records.model import StateChange, StoredContent, SubmissionRecord, SubmissionState
from services.records.postgres.vault import Vault
from services.records.signatures import DetachedSignature

# Refused stays refused. Held is whose person's identity is not confirmed now, whatever was so when the document came (`documents.HELD`); of the
# other states the furthest counts.
_KNOWN = f"(n.current_id = n.person_id OR {FRESH})"
_STATE = (
    f"CASE WHEN s.state = 8 THEN 8 WHEN coalesce(CASE WHEN {_KNOWN} THEN n.held END, s.state = 9) THEN 9"
    " ELSE GREATEST(CASE WHEN s.state = 9 THEN 4 ELSE s.state END, p.state) END"
)
# Since when the person's identity has been, or has not been, confirmed.
_STANDING = f"s.state AS first_state, s.stored_at, CASE WHEN {_KNOWN} THEN n.since END AS since"
_WHOSE = (
    " LEFT JOIN document_body o ON o.facility_id = s.facility_id AND o.id = s.id"
    " LEFT JOIN person_redirect n ON n.person_id = o.person_id"
)
_NEWEST = (
    " LEFT JOIN LATERAL (SELECT verdict FROM verdict w WHERE w.facility_id = s.facility_id AND w.submission_id = s.id"
    " ORDER BY number DESC LIMIT 1) v ON true"
)
_JOINED = (
    f"submission s LEFT JOIN progress p ON p.facility_id = s.facility_id AND p.submission_id = s.id{_NEWEST}{_WHOSE}"
)
_ONE = text(
    f"SELECT s.id, s.answer, {_STATE} AS state, p.tlog_proof, v.verdict, {_STANDING} FROM {_JOINED}"  # noqa: S608 - constants
    " WHERE s.facility_id = :facility AND s.id = :id"
)
_CHANGES = text(
    "SELECT state, destination, at, reason FROM state_change"
    " WHERE facility_id = :facility AND submission_id = :id ORDER BY at, state"
)
_PAGE = text(
    f"SELECT s.id, s.answer, {_STATE} AS state, v.verdict FROM {_JOINED}"  # noqa: S608 - constants
    " WHERE s.facility_id = :facility AND (CAST(:before AS uuid) IS NULL OR s.id < CAST(:before AS uuid))"
    f" AND (CAST(:state AS smallint) IS NULL OR {_STATE} = CAST(:state AS smallint))"
    " AND (CAST(:document AS text) = '' OR s.document_id = CAST(:document AS text))"
    " ORDER BY s.id DESC LIMIT :limit"
)
_ORIGINAL = text(
    f"SELECT b.person_id, b.content_sealed, b.signatures_sealed, s.id, s.answer, {_STATE} AS state, p.tlog_proof, v.verdict"  # noqa: S608 - constants
    " FROM document_body b JOIN submission s ON s.facility_id = b.facility_id AND s.id = b.id"
    f" LEFT JOIN progress p ON p.facility_id = s.facility_id AND p.submission_id = s.id{_NEWEST}{_WHOSE}"
    " WHERE b.facility_id = :facility AND b.id = :id"
)
_PLACE = text(
    "INSERT INTO progress (facility_id, submission_id, state, leaf_index)"
    " SELECT facility_id, submission_id, 0, leaf_index"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:indexes AS bigint[]))"
    " AS new (facility_id, submission_id, leaf_index) ORDER BY facility_id, submission_id"
    " ON CONFLICT (facility_id, submission_id) DO UPDATE SET leaf_index = EXCLUDED.leaf_index"
)
_UNPROVEN = text(
    "SELECT facility_id, submission_id, leaf_index FROM progress"
    " WHERE leaf_index IS NOT NULL AND tlog_proof IS NULL ORDER BY leaf_index LIMIT :limit"
)
_PROVE = text(
    "WITH proven AS (UPDATE progress SET tlog_proof = new.proof, state = GREATEST(progress.state, CAST(:logged AS smallint))"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:proofs AS bytea[]))"
    " AS new (facility_id, submission_id, proof)"
    " WHERE progress.facility_id = new.facility_id AND progress.submission_id = new.submission_id"
    " AND progress.tlog_proof IS NULL RETURNING progress.facility_id, progress.submission_id)"
    " INSERT INTO state_change (facility_id, submission_id, state, destination, at, reason)"
    " SELECT facility_id, submission_id, CAST(:logged AS smallint), '', CAST(:at AS timestamptz), '' FROM proven"
    " ON CONFLICT DO NOTHING"
)
_ADVANCE = text(
    "INSERT INTO progress (facility_id, submission_id, state) VALUES (:facility, :id, :state)"
    " ON CONFLICT (facility_id, submission_id) DO UPDATE SET state = GREATEST(progress.state, EXCLUDED.state)"
)
_CHANGE = text(
    "INSERT INTO state_change (facility_id, submission_id, state, destination, at, reason)"
    " VALUES (:facility, :id, :state, :destination, :at, :reason) ON CONFLICT DO NOTHING"
)


class ProgressTables:
    """The part of the store that follows submissions."""

    _database: Database
    _keys: PersonKeys
    _vault: Vault

    async def submission(self, facility: str, id: UUID) -> SubmissionRecord | None:
        """One submission with its later changes."""

        async def work(connection: AsyncConnection) -> tuple[Any, list[Any]]:
            values = {"facility": facility, "id": id}
            row = (await connection.execute(_ONE, values)).one_or_none()
            return row, [] if row is None else list(await connection.execute(_CHANGES, values))

        row, changes = await self._database.read(work)
        if row is None:
            return None
        happened = [StateChange(SubmissionState(one.state), one.at, one.destination, one.reason) for one in changes]
        happened += _identity_changes(row)
        return self._record(row, row.tlog_proof, tuple(sorted(happened, key=lambda one: one.at)))

    async def submissions(
        self, facility: str, before: UUID | None, state: SubmissionState | None, document_id: str, limit: int
    ) -> Sequence[SubmissionRecord]:
        """A page, newest first."""
        values = {
            "facility": facility,
            "before": before,
            "state": None if state is None else int(state),
            "document": document_id,
            "limit": limit,
        }

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_PAGE, values))

        return [self._record(row, None) for row in await self._database.read(work)]

    async def original(self, facility: str, id: UUID) -> StoredContent | None:
        """The stored bytes with their proof. Raises DataErased."""

        async def work(connection: AsyncConnection) -> Any:
            row = (await connection.execute(_ORIGINAL, {"facility": facility, "id": id})).one_or_none()
            return row and (row, (await self._keys.find(connection, [row.person_id]))[row.person_id])

        found = await self._database.read(work)
        if found is None:
            return None
        row, key = found
        if not row.content_sealed:
            raise DataErased
        return StoredContent(
            self._vault.open(key, row.content_sealed, "document_body.content", id),
            self._signatures(key, row, id),
            self._record(row, row.tlog_proof),
        )

    def _signatures(self, key: PersonKey, row: Any, id: UUID) -> tuple[DetachedSignature, ...]:
        kept = self._vault.open_signatures(key, row.signatures_sealed, "document_body.signatures", id)
        return tuple(decode_signature(one) for one in kept)

    def _record(self, row: Any, proof: bytes | None, changes: tuple[StateChange, ...] = ()) -> SubmissionRecord:
        return SubmissionRecord(
            row.id,
            self._vault.decompress(row.answer),
            SubmissionState(row.state),
            changes,
            "" if proof is None else self._vault.decompress(proof).decode(),
            b"" if row.verdict is None else self._vault.decompress(row.verdict),
        )

    async def place(self, places: Mapping[tuple[str, UUID], int]) -> None:
        """Keeps log indexes."""
        values = {
            "facilities": [facility for facility, _ in places],
            "ids": [id for _, id in places],
            "indexes": list(places.values()),
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_PLACE, values)

        await self._database.write(work)

    async def unproven(self, limit: int) -> Sequence[tuple[str, UUID, int]]:
        """Submissions with an index and without a proof."""

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_UNPROVEN, {"limit": limit}))

        return [(row.facility_id, row.submission_id, row.leaf_index) for row in await self._database.read(work)]

    async def prove(self, proofs: Mapping[tuple[str, UUID], str], at: datetime) -> None:
        """Keeps proofs."""
        values = {
            "facilities": [facility for facility, _ in proofs],
            "ids": [id for _, id in proofs],
            "proofs": [self._vault.compress(proof.encode()) for proof in proofs.values()],
            "logged": int(SubmissionState.LOGGED),
            "at": at,
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_PROVE, values)

        await self._database.write(work)

    async def advance(self, facility: str, id: UUID, changes: Sequence[StateChange]) -> None:
        """Adds changes."""
        furthest = max(int(one.state) for one in changes)
        rows = [
            {
                "facility": facility,
                "id": id,
                "state": int(one.state),
                "destination": one.destination,
                "at": one.at,
                "reason": one.reason[:100],
            }
            for one in changes
        ]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_ADVANCE, {"facility": facility, "id": id, "state": furthest})
            await connection.execute(_CHANGE, rows)

        await self._database.write(work)


def _identity_changes(row: Any) -> list[StateChange]:
    """That the person's identity became known, or unknown again, after the document came: the last of these changes."""
    first, now = SubmissionState(row.first_state), SubmissionState(row.state)
    held = SubmissionState.HELD
    if row.since is None or held not in (first, now) or (first is now and row.since <= row.stored_at):
        return []
    if now is held:
        return [StateChange(held, row.since, reason="IDENTITY_UNCONFIRMED")]
    return [StateChange(SubmissionState.RETRIEVABLE, row.since, reason="IDENTITY_CONFIRMED")]
