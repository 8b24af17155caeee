"""Erasures: the sealed bytes of a document go together with the data keys that lie in them; that it existed and was proven stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.keyring import PersonKeys
from services.records.erasure import Held
from services.records.formats.document import ContentKind
from services.records.sensitivity import SensitivityClass

_ERASED = "EXISTS (SELECT 1 FROM document_erasure x WHERE x.person_id = d.person_id AND x.document_id = d.id)"
_ASKED = (
    " d.person_id = ANY(CAST(:persons AS uuid[]))"
    " AND (cardinality(CAST(:documents AS uuid[])) = 0 OR d.id = ANY(CAST(:documents AS uuid[])))"
)
_UNERASED = text(
    "SELECT d.id, d.person_id, d.facility_id, d.kinds, d.classes, d.care_end FROM document d"  # noqa: S608 - constants
    f" WHERE{_ASKED} AND NOT {_ERASED} AND (CAST(:after AS uuid) IS NULL OR d.id > CAST(:after AS uuid)) ORDER BY d.id LIMIT :limit"
)
_COUNT = text(f"SELECT count(*) FROM document d WHERE{_ASKED} AND {_ERASED}")  # noqa: S608 - constants
_LEFT = text(f"SELECT 1 FROM document d WHERE d.person_id = :person AND NOT {_ERASED} LIMIT 1")  # noqa: S608 - constants
_KEEP = text(
    "INSERT INTO document_erasure (person_id, document_id, subject_request_id, at)"
    " SELECT person_id, document_id, CAST(:request AS uuid), CAST(:at AS timestamptz)"
    " FROM unnest(CAST(:persons AS uuid[]), CAST(:ids AS uuid[])) AS t (person_id, document_id) ON CONFLICT DO NOTHING"
)
_EMPTY = text(
    "UPDATE document_body b SET content_sealed = '', signatures_sealed = NULL"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[])) AS t (facility_id, id)"
    " WHERE b.facility_id = t.facility_id AND b.id = t.id"
)
_PARTS = text(
    "DELETE FROM health_book h USING unnest(CAST(:persons AS uuid[]), CAST(:ids AS uuid[])) AS t (person_id, id)"
    " WHERE h.person_id = t.person_id AND h.document_id = t.id"
)


class _SomethingIsLeft(Exception):
    """A document came in meanwhile."""


class ErasureTables:
    """`ErasureStore`."""

    _database: Database
    _keys: PersonKeys

    async def unerased(
        self, persons: Sequence[UUID], documents: Sequence[UUID], after: UUID | None, limit: int
    ) -> Sequence[Held]:
        """A page of what is not erased."""
        values = _values(persons, documents) | {"after": after, "limit": limit}

        async def work(connection: AsyncConnection) -> Sequence[Held]:
            return [
                Held(
                    row.id,
                    row.person_id,
                    row.facility_id,
                    tuple(ContentKind(kind) for kind in row.kinds),
                    frozenset(SensitivityClass(one) for one in row.classes),
                    row.care_end,
                )
                for row in await connection.execute(_UNERASED, values)
            ]

        return await self._database.read(work)

    async def erase(self, documents: Sequence[Held], request: UUID, at: datetime) -> None:
        """Empties bodies and parts, three statements whatever their number."""
        values: dict[str, Any] = {
            "persons": [one.person for one in documents],
            "ids": [one.id for one in documents],
            "facilities": [one.facility for one in documents],
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_KEEP, values | {"request": request, "at": at})
            await connection.execute(_EMPTY, values)
            await connection.execute(_PARTS, values)

        await self._database.write(work)

    async def erased(self, persons: Sequence[UUID], documents: Sequence[UUID]) -> int:
        """How many are erased."""

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(_COUNT, _values(persons, documents))).scalar_one())

        return await self._database.read(work)

    async def destroy_empty_keys(self, persons: Sequence[UUID]) -> int:
        """Destroys keys, each in a transaction of its own that a new document undoes."""
        destroyed = 0
        for person in persons:

            async def work(connection: AsyncConnection, person: UUID = person) -> int:
                done = await self._keys.destroy(connection, person)
                # Whoever stores holds the key's row until they commit, and we hold it now: what was stored is seen here.
                if (await connection.execute(_LEFT, {"person": person})).first() is not None:
                    raise _SomethingIsLeft
                return done

            try:
                destroyed += await self._database.write(work)
            except _SomethingIsLeft:
                continue
        return destroyed


def _values(persons: Sequence[UUID], documents: Sequence[UUID]) -> dict[str, Any]:
    return {"persons": list(persons), "documents": list(documents)}
