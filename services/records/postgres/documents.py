"""Giving documents out, on PostgreSQL. What may be seen is part of the statement, never a filter after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.feed import Entries, entries_of
from services.chassis.feed.redirects import FRESH
from services.chassis.keyring import DataErased, PersonKeys
from services.chassis.keyring.persons import KeysOf
from services.records.formats.document import ContentKind
from services.records.model import DocumentEntry, Selection, Span, readable_kinds
from services.records.postgres.vault import Vault
from services.records.sensitivity import SensitivityClass

_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
# Who answers for the entry that a document lies under, and whether that one is confirmed: looked up with every read, so that a link counts from
# the moment it is heard of and nothing stored changes. Links count only while the feed is heard; an identification is never undone.
_KNOWN = f"(n.current_id = n.person_id OR {FRESH})"
HELD = f"coalesce(CASE WHEN {_KNOWN} THEN n.held END, d.held)"
_COLUMNS = (
    "d.person_id, d.id, d.facility_id, d.format, d.kinds, d.care_start, d.care_end, d.content_sha256, d.content_size,"
    f" d.received_at, d.classes, {HELD} AS held, CASE WHEN {_KNOWN} THEN n.current_id END AS current_id"
)
_FROM = "FROM document d LEFT JOIN person_redirect n ON n.person_id = d.person_id"
_SELECTED = (
    " WHERE d.person_id = entry.person_id AND d.care_start >= :start AND d.care_end < :end"  # noqa: S608 - constants
    f" AND CASE WHEN CAST(:facility AS text) IS NULL THEN NOT {HELD} ELSE d.facility_id = CAST(:facility AS text) END"
    " AND NOT EXISTS (SELECT 1 FROM document_erasure x WHERE x.person_id = d.person_id AND x.document_id = d.id)"
    " AND (CAST(:after_id AS uuid) IS NULL"
    " OR (d.care_end, d.id) < (CAST(:after_end AS timestamptz), CAST(:after_id AS uuid)))"
    " AND EXISTS (SELECT 1 FROM unnest(CAST(:kinds AS text[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),"
    " CAST(:sources AS text[]), CAST(:classes AS text[])) AS permitted (kind, starts, ends, source, classes)"
    " WHERE permitted.kind = ANY(d.kinds) AND d.care_start >= permitted.starts AND d.care_end < permitted.ends"
    " AND (permitted.source IS NULL OR permitted.source = d.facility_id)"
    " AND d.classes <@ CAST(string_to_array(permitted.classes, ',') AS varchar[]))"
)
_NEWEST = " ORDER BY care_end DESC, id DESC LIMIT :limit"
_DOCUMENT = text(f"SELECT {_COLUMNS} {_FROM} WHERE d.id = :id")  # noqa: S608 - constants


def _page(columns: str, joined: str = "") -> TextClause:
    """A page over several entries: the newest of each by its index, then the newest of those."""
    return text(
        "SELECT page.* FROM unnest(CAST(:persons AS uuid[])) AS entry (person_id)"  # noqa: S608 - constants
        f" CROSS JOIN LATERAL (SELECT {columns} {_FROM}{joined}{_SELECTED} ORDER BY d.care_end DESC, d.id DESC LIMIT :limit) AS page"
        f"{_NEWEST}"
    )


_DOCUMENTS = _page(_COLUMNS)
_HEALTH_BOOK = _page(
    f"{_COLUMNS}, h.parts", " JOIN health_book h ON h.person_id = d.person_id AND h.document_id = d.id"
)
_OWN = text("SELECT id FROM document WHERE person_id = ANY(:persons) AND facility_id = :facility LIMIT 1")


class DocumentTables:
    """The part of the store that gives documents out."""

    _database: Database
    _keys: PersonKeys
    _vault: Vault

    async def document(self, id: UUID) -> DocumentEntry | None:
        """An index entry."""

        async def work(connection: AsyncConnection) -> Any:
            return (await connection.execute(_DOCUMENT, {"id": id})).one_or_none()

        row = await self._database.read(work)
        return None if row is None else _entry(row)

    async def documents(self, selection: Selection) -> Sequence[DocumentEntry]:
        """Index entries, newest care first."""
        return [_entry(row) for row in await self._select(_DOCUMENTS, selection)]

    async def entries(self, person: UUID) -> Entries:
        """The entries that stand for a person."""
        return (await self._database.read(lambda connection: entries_of(connection, [person])))[person]

    async def own_document(self, persons: Sequence[UUID], facility: str) -> UUID | None:
        """Any document under these entries that the facility made."""

        async def work(connection: AsyncConnection) -> UUID | None:
            found = await connection.execute(_OWN, {"persons": list(persons), "facility": facility})
            id: UUID | None = found.scalar_one_or_none()
            return id

        return await self._database.read(work)

    async def health_book(self, selection: Selection) -> Sequence[tuple[DocumentEntry, Mapping[ContentKind, bytes]]]:
        """Entries with their permitted parts."""
        found = []
        values = _values(selection)

        async def work(connection: AsyncConnection) -> tuple[list[Any], KeysOf]:
            rows = list(await connection.execute(_HEALTH_BOOK, values))
            return rows, await self._keys.find(connection, {row.person_id for row in rows})

        rows, keys = await self._database.read(work)
        for row in rows:
            entry = _entry(row)
            kinds = readable_kinds(entry, selection.permissions)
            key = keys[entry.person]
            # Erased parts are gone; what came in later, under a new key, is not.
            with suppress(DataErased):
                found.append((entry, self._vault.open_parts(key, row.parts, kinds, entry.id)))
        return found

    async def _select(self, statement: Any, selection: Selection) -> list[Any]:
        values = _values(selection)

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(statement, values))

        return await self._database.read(work)


def _values(selection: Selection) -> dict[str, Any]:
    permitted = [
        (kind.value, *_ends(one.span), one.source, ",".join(sorted(it.value for it in one.classes)))
        for one in selection.permissions
        for kind in one.kinds
    ]
    start, end = _ends(selection.span)
    after = selection.after
    return {
        "persons": list(selection.persons),
        "start": start,
        "end": end,
        "facility": selection.facility,
        "after_end": None if after is None else after.care_end,
        "after_id": None if after is None else after.id,
        "kinds": [one[0] for one in permitted],
        "starts": [one[1] for one in permitted],
        "ends": [one[2] for one in permitted],
        "sources": [one[3] for one in permitted],
        "classes": [one[4] for one in permitted],
        "limit": selection.limit,
    }


def _ends(span: Span) -> tuple[datetime, datetime]:
    return span.start or _FIRST, span.end or _LAST


def _entry(row: Any) -> DocumentEntry:
    return DocumentEntry(
        id=row.id,
        person=row.person_id,
        facility=row.facility_id,
        format=row.format,
        kinds=tuple(ContentKind(kind) for kind in row.kinds),
        care_start=row.care_start,
        care_end=row.care_end,
        sha256=row.content_sha256.hex(),
        size=row.content_size,
        received_at=row.received_at,
        held=row.held,
        current=row.current_id,
        classes=frozenset(SensitivityClass(one) for one in row.classes),
    )
