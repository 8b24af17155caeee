"""Persons, identifiers, histories and source records on PostgreSQL. Each method costs a fixed number of statements,
whatever the number of rows; of more than 500 that number for each 500.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy import Boolean, LargeBinary, Select, String, Table, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import hot
from services.chassis.keyring import PersonKey, PersonKeys
from services.chassis.statements import statement_span
from services.chassis.turns import in_turns
from services.identity.links import ChangeKind
from services.identity.model import (
    Assurance,
    Filing,
    FilingKey,
    FilingOutcome,
    Holder,
    IdentifierKey,
    IdentifierType,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
)
from services.identity.ports import IdentifierTaken
from services.identity.postgres import provisional_rows
from services.identity.postgres.arrays import insert_rows, slices, unnested
from services.identity.postgres.features import FeatureTables
from services.identity.postgres.vault import Vault
from services.identity.schema import identifier_lookup, person, person_event, person_identifier, source_record

_LOCK = text(
    "SELECT pg_advisory_xact_lock(number)"
    " FROM (SELECT unnest(CAST(:numbers AS bigint[])) AS number ORDER BY 1) AS ordered"
)
# A destroyed key leaves nobody. Of somebody with several living versions of it there are as many rows.
_HOLDERS = b"""
SELECT found.kind, found.blind, found.exclusive, person.person_id, person.state, person.protected, person.facility_id,
    person.demographics_sealed, own.version, own.root_version, own.wrapped, redirect.current_id,
    ARRAY(SELECT number.kind FROM person_identifier number
        WHERE number.person_id = found.person_id AND number.valid_to IS NULL) AS held
FROM unnest(%s::text[], %s::bytea[]) AS asked (kind, blind)
JOIN identifier_lookup found ON found.blind = asked.blind AND found.kind = asked.kind
JOIN person ON person.person_id = found.person_id
JOIN person_key own ON own.person_id = found.person_id AND own.wrapped IS NOT NULL
LEFT JOIN person_redirect redirect ON redirect.person_id = found.person_id
"""

# The planner takes short arrays for so cheap that it plans each call anew, which costs three times what the statement does.
_LEAST_ASKED = 8
_BLINDS_AT_ONCE = 500

DEATH = "person.death"


class _Hit(NamedTuple):
    """A row of `_HOLDERS`."""

    kind: str
    blind: bytes
    exclusive: bool
    person_id: UUID
    state: str
    protected: bool
    facility_id: str | None
    demographics_sealed: bytes
    version: int
    root_version: int
    wrapped: bytes
    current_id: UUID | None
    held: list[str]


def death_sealed(vault: Vault, key: PersonKey, day: date | None) -> bytes | None:
    """A day of death as it lies in the table."""
    return None if day is None else vault.seal_time(key, DEATH, datetime(day.year, day.month, day.day, tzinfo=UTC))


class PersonTables(FeatureTables):
    """The part of a transaction that deals with persons."""

    _connection: AsyncConnection
    _vault: Vault
    _keys: PersonKeys

    async def holders(self, keys: Collection[IdentifierKey]) -> Sequence[Holder]:
        """Persons that hold, or held, any of the keys, and who answers for each: one statement. Who was erased is not found any more."""
        versions = self._vault.blind_versions
        blinds = {
            (key.kind, blind): key for version in versions for key, blind in (await self._blinds(keys, version)).items()
        }
        driver = await hot(self._connection)
        with statement_span("SELECT", "identifier_lookup"):
            async with driver.cursor(row_factory=class_row(_Hit), binary=True) as cursor:
                asked = [*blinds, *[("", b"")] * (_LEAST_ASKED - len(blinds))]
                await cursor.execute(
                    _HOLDERS, [[kind for kind, _ in asked], [blind for _, blind in asked]], prepare=True
                )
                hits = await cursor.fetchall()
        keys_of = await self._keys.opened([(hit.person_id, hit.version, hit.root_version, hit.wrapped) for hit in hits])
        rows = {hit.person_id: hit for hit in hits}
        matched: dict[UUID, set[IdentifierKey]] = {id: set() for id in rows}
        former: dict[UUID, set[IdentifierKey]] = {id: set() for id in rows}
        for hit in hits:
            key = blinds[hit.kind, hit.blind]
            matched[hit.person_id].add(key)
            if key.exclusive and not hit.exclusive:
                former[hit.person_id].add(key)
        return [
            Holder(
                person=id,
                state=PersonState(row.state),
                demographics=self._vault.open_demographics(keys_of[id], row.demographics_sealed),
                facility=row.facility_id,
                matched=frozenset(matched[id]),
                held=frozenset(map(IdentifierType, row.held)),
                former=frozenset(former[id]),
                protected=row.protected,
                current=row.current_id,
            )
            async for id, row in in_turns(rows.items())
        ]

    async def _blinds(self, keys: Collection[IdentifierKey], version: int | None = None) -> dict[IdentifierKey, bytes]:
        """The blind value of each key."""
        listed, found = list(keys), dict[IdentifierKey, bytes]()
        async for start in in_turns(range(0, len(listed), _BLINDS_AT_ONCE), at_once=1):
            some = listed[start : start + _BLINDS_AT_ONCE]
            found |= await self._vault.ask(partial(self._blinded, some, version))
        return found

    def _blinded(self, keys: Collection[IdentifierKey], version: int | None) -> dict[IdentifierKey, bytes]:
        return {key: self._vault.blind(key, version) for key in keys}

    async def person(self, id: UUID) -> Person | None:
        """A person with all identifiers, oldest first."""
        wanted = select(person, *provisional_rows.COLUMNS).select_from(provisional_rows.joined(person))
        row = (await self._connection.execute(wanted.where(person.c.person_id == id))).one_or_none()
        if row is None:
            return None
        numbers = await self._connection.execute(
            select(person_identifier)
            .where(person_identifier.c.person_id == id)
            .order_by(person_identifier.c.valid_from, person_identifier.c.kind, person_identifier.c.blind)
        )
        key = (await self._keys.find(self._connection, [id]))[id]
        return Person(
            id=id,
            state=PersonState(row.state),
            demographics=self._vault.open_demographics(key, row.demographics_sealed),
            identifiers=tuple(self._identifier_in(number, key) for number in numbers),
            facility=row.facility_id,
            created_at=row.created_at,
            version=row.version,
            provisional=provisional_rows.provisional_in(row, key, self._vault),
            protected=row.protected,
            death=self._vault.open_time(key, DEATH, row.death_sealed).date() if row.death_sealed else None,
        )

    def _identifier_in(self, row: Any, person: PersonKey) -> PersonIdentifier:
        type = IdentifierType(row.type)
        identifier, key = self._vault.open_identifier(person, row.kind, type, row.value_sealed)
        return PersonIdentifier(identifier, key, Assurance(row.assurance), row.valid_from, row.valid_to)

    async def add_persons(self, persons: Sequence[Person], events: Sequence[PersonEvent]) -> None:
        """Adds persons with identifiers and first events."""
        keys = await self._keys.find_or_make(self._connection, {one.id for one in persons})
        await self._claim({one.id: one.identifiers for one in persons}, keys)
        rows = [
            {
                "person_id": one.id,
                "state": one.state.value,
                "facility_id": one.facility,
                "demographics_sealed": self._vault.seal_demographics(keys[one.id], one.demographics),
                "created_at": one.created_at,
                "version": one.version,
                "protected": one.protected,
                "death_sealed": death_sealed(self._vault, keys[one.id], one.death),
            }
            async for one in in_turns(persons)
        ]
        await self._insert(person, rows)
        await provisional_rows.add(self._connection, self._vault, keys, persons)
        await self.add_features(persons, keys)
        await self._add_events(events)
        await self.tell(ChangeKind.CREATED, events)

    async def add_identifiers(
        self, identifiers: Mapping[UUID, Sequence[PersonIdentifier]], events: Sequence[PersonEvent]
    ) -> None:
        """Adds identifiers to persons."""
        await self._claim(identifiers, await self._keys.find_or_make(self._connection, identifiers.keys()))
        await self._connection.execute(
            update(person)
            .where(person.c.person_id == func.any(sorted(identifiers)))
            .values(version=person.c.version + 1)
        )
        await self._add_events(events)
        await self.tell(ChangeKind.UPDATED, events)

    async def _claim(
        self, identifiers: Mapping[UUID, Sequence[PersonIdentifier]], keys: Mapping[UUID, PersonKey]
    ) -> None:
        """Takes the keys for their persons. In the order of the blind values, so that two batches cannot lock each
        other out; a key that another transaction is taking is waited for, and found taken if that one commits.
        """
        claimed = {one.key for held in identifiers.values() for one in held}
        if not claimed:
            return
        blinds = await self._blinds(claimed)
        rows = [
            {
                "person_id": id,
                "kind": one.key.kind,
                "blind": blinds[one.key],
                "exclusive": one.key.exclusive,
                "type": one.identifier.type.value,
                "value_sealed": self._vault.seal_identifier(keys[id], one.key, one.identifier),
                "assurance": one.assurance.value,
                "valid_from": one.valid_from,
                "valid_to": one.valid_to,
                "blind_version": self._vault.blind_versions[0],
            }
            async for id, held in in_turns(identifiers.items())
            for one in held
        ]
        rows.sort(key=lambda row: (row["blind"], row["kind"]))
        if len(self._vault.blind_versions) > 1:
            await self._claim_in_both(identifiers)
        for some in slices(rows):
            made = upsert(identifier_lookup).on_conflict_do_nothing().returning(identifier_lookup.c.blind)
            if len((await insert_rows(self._connection, made, some)).all()) < len(some):
                raise IdentifierTaken
        await self._insert(person_identifier, rows)

    async def _claim_in_both(self, identifiers: Mapping[UUID, Sequence[PersonIdentifier]]) -> None:
        """While the index is made anew, a number may lie under either key, and unique indexes do not see that: whoever takes it holds a lock
        named by the older key, and looks again.
        """
        versions = self._vault.blind_versions
        held = [(id, one.key) for id, numbers in identifiers.items() for one in numbers]
        asked = await self._vault.ask(
            lambda: [(id, key, self._vault.blind(key, version)) for id, key in held for version in sorted(versions)]
        )
        await self._lock(blind for _, _, blind in asked[:: len(versions)])
        wanted = unnested(
            person_id=(PG_UUID, [id for id, _, _ in asked]),
            kind=(String, [key.kind for _, key, _ in asked]),
            blind=(LargeBinary, [blind for _, _, blind in asked]),
            exclusive=(Boolean, [key.exclusive for _, key, _ in asked]),
        ).c
        found = identifier_lookup.c
        taken = select(found.person_id).where(
            (found.blind == wanted.blind)
            & (found.kind == wanted.kind)
            & ((found.person_id == wanted.person_id) | (found.exclusive & wanted.exclusive))
        )
        if (await self._connection.execute(taken.limit(1))).one_or_none() is not None:
            raise IdentifierTaken

    async def _lock(self, blinds: Iterable[bytes]) -> None:
        """Locks of this transaction, taken in one order."""
        numbers = sorted({int.from_bytes(blind[:8], "big", signed=True) for blind in blinds})
        await self._connection.execute(_LOCK, {"numbers": numbers})

    async def _add_events(self, events: Sequence[PersonEvent]) -> None:
        rows = [
            {
                "person_id": one.person,
                "id": one.id,
                "kind": one.kind,
                "at": one.at,
                "actor": one.actor,
                "detail": dict(one.detail),
            }
            for one in events
        ]
        await self._insert(person_event, rows)

    async def _insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        for some in slices(rows):
            await insert_rows(self._connection, insert(table), some)

    async def history(self, id: UUID) -> Sequence[PersonEvent]:
        """The history of a person, oldest first; ids are in order of time."""
        wanted = (
            select(person_event).where(person_event.c.person_id == id).order_by(person_event.c.at, person_event.c.id)
        )
        rows = await self._connection.execute(wanted)
        return [PersonEvent(row.person_id, row.id, row.kind, row.at, row.actor, row.detail) for row in rows]

    async def filings(self, keys: Collection[FilingKey]) -> Mapping[FilingKey, Filing]:
        """Those of the source records that were filed before."""
        versions = self._vault.blind_versions
        blinds = await self._vault.ask(
            lambda: {
                (key.facility, *self._vault.blind_filing(key, version)): key for key in keys for version in versions
            }
        )
        asked = unnested(
            facility_id=(String, [facility for facility, _, _ in blinds]),
            mrn_blind=(LargeBinary, [mrn for _, mrn, _ in blinds]),
            said_blind=(LargeBinary, [said for _, _, said in blinds]),
        )
        filed = source_record.c
        wanted: Select[Any] = select(
            filed.facility_id, filed.mrn_blind, filed.said_blind, filed.person_id, filed.outcome, filed.warnings
        ).select_from(
            asked.join(
                source_record,
                (filed.facility_id == asked.c.facility_id)
                & (filed.mrn_blind == asked.c.mrn_blind)
                & (filed.said_blind == asked.c.said_blind),
            )
        )
        return {
            blinds[row.facility_id, bytes(row.mrn_blind), bytes(row.said_blind)]: Filing(
                FilingOutcome(row.outcome), row.person_id, tuple(row.warnings)
            )
            for row in await self._connection.execute(wanted)
        }

    async def add_filings(self, filings: Mapping[FilingKey, Filing], at: datetime) -> None:
        """Keeps how source records were filed."""
        versions = self._vault.blind_versions
        if len(versions) > 1:
            older = await self._vault.ask(lambda: [self._vault.blind_filing(key, min(versions)) for key in filings])
            await self._lock(said for _, said in older)
            if await self.filings(filings.keys()):
                raise IdentifierTaken
        keys = await self._keys.find_or_make(self._connection, {filing.person for filing in filings.values()})
        blinds = await self._vault.ask(lambda: {key: self._vault.blind_filing(key) for key in filings})
        rows = [
            {
                "facility_id": key.facility,
                "mrn_blind": blinds[key][0],
                "said_blind": blinds[key][1],
                "person_id": filing.person,
                "outcome": filing.outcome.value,
                "warnings": list(filing.warnings),
                "said_sealed": self._vault.seal_said(keys[filing.person], key),
                "filed_at": at,
                "blind_version": versions[0],
            }
            for key, filing in filings.items()
        ]
        rows.sort(key=lambda row: (row["facility_id"], row["mrn_blind"], row["said_blind"]))
        kept = await self._connection.execute(
            upsert(source_record).on_conflict_do_nothing().returning(source_record.c.person_id), rows
        )
        if len(kept.all()) < len(rows):
            raise IdentifierTaken
