"""One key per person and role, wrapped by a root key: destroying it makes every sealed copy of that person's data unreadable.

A row per version: a person whose key was destroyed and of whom new data come in gets the next version. Data keys are wrapped by a person's
newest version and bound to person and version, so that rows cannot be swapped between persons.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from alembic.operations import Operations
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import (
    Column,
    CursorResult,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.errors import DomainError, Kind
from services.chassis.keyring.provider import Keyring
from services.chassis.keyring.sealing import KEY_BYTES, NONCE_BYTES, SealBroken, WrappedKey
from services.chassis.migrations import NAMING, grant
from services.chassis.turns import in_turns

T = TypeVar("T")
E = TypeVar("E", bound=tuple[Any, ...])

ROLE = UUID(int=0)
"""In place of a person: the role itself."""
CACHE_LIFE = timedelta(minutes=5)
"""How long an opened key stays in memory; so long a destroyed one may still open in another process."""
_CAPACITY = 10_000
_STATEMENT_PERSONS = 500
_PERSONS_AT_ONCE = 100
_ATTEMPTS = 3
TABLE = "person_key"

_FIND = (
    "SELECT person_id, version, root_version, wrapped FROM person_key WHERE person_id = ANY(CAST(:persons AS uuid[]))"
)
# What is there, locked against destruction until the transaction ends, and what is added where there is no living version. A key that
# another transaction adds meanwhile is in neither part.
_FIND_OR_ADD = text(
    f"WITH known AS ({_FIND} FOR SHARE), fresh AS ("  # noqa: S608 - constants
    " INSERT INTO person_key (person_id, version, root_version, wrapped, created_at)"
    " SELECT person_id, version, :root_version, wrapped, :at FROM unnest("
    " CAST(:new_persons AS uuid[]), CAST(:new_versions AS smallint[]), CAST(:new_keys AS bytea[])) AS new (person_id, version, wrapped)"
    " WHERE NOT EXISTS (SELECT 1 FROM known WHERE known.person_id = new.person_id"
    " AND (known.wrapped IS NOT NULL OR known.version >= new.version))"
    " ON CONFLICT DO NOTHING RETURNING person_id, version, root_version, wrapped)"
    " SELECT * FROM known UNION ALL SELECT * FROM fresh"
)
_FOUND = text(_FIND)
_DESTROY = text(
    "UPDATE person_key SET wrapped = NULL, destroyed_at = :at WHERE person_id = :person AND wrapped IS NOT NULL"
)


def person_key_table(metadata: MetaData) -> Table:
    """The table of a role's person keys. It is to be backed up apart from the data, and its backups kept 30 days at most: an erasure is
    complete when they are gone.
    """
    return Table(
        TABLE,
        metadata,
        Column("person_id", PG_UUID, primary_key=True),
        Column("version", SmallInteger, primary_key=True, autoincrement=False),
        Column("root_version", Integer, nullable=False),
        # Nonce and wrapped key; none once it is destroyed.
        Column("wrapped", LargeBinary),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("destroyed_at", DateTime(timezone=True)),
        Index("ix_person_key_root_version", "root_version", "person_id"),
    )


def create_person_key(op: Operations) -> None:
    """Makes the table in a migration. The application may change rows, to rotate and to destroy, and never deletes one: that a key was
    destroyed stays on record.
    """
    person_key_table(MetaData(naming_convention=NAMING)).create(op.get_bind())
    grant(op, "SELECT, INSERT, UPDATE", TABLE)


class DataErased(DomainError):
    """The key of the person was destroyed: what was sealed under it cannot be read by anybody."""

    kind = Kind.NOT_FOUND
    reason = "DATA_ERASED"

    def __init__(self) -> None:
        super().__init__("the data were erased")


@dataclass(frozen=True, repr=False)
class PersonKey:
    """The key of one person: `Wrapping` for data keys. Wraps by the newest version, opens by every living one."""

    person: UUID
    current: int
    versions: Mapping[int, AESGCM]

    def wrap(self, key: bytes, aad: bytes) -> WrappedKey:
        """AES-256-GCM with a random nonce, bound to person and version."""
        nonce = os.urandom(NONCE_BYTES)
        return WrappedKey(
            self.current, nonce + self.versions[self.current].encrypt(nonce, key, self._bound(aad, self.current))
        )

    def unwrap(self, wrapped: WrappedKey, aad: bytes) -> bytes:
        """The data key; DataErased when that version of the key was destroyed, SealBroken when it does not open for another reason."""
        if wrapped.version not in self.versions and 0 < wrapped.version < self.current:
            raise DataErased
        try:
            kek = self.versions[wrapped.version]
            bound = self._bound(aad, wrapped.version)
            return kek.decrypt(wrapped.data[:NONCE_BYTES], wrapped.data[NONCE_BYTES:], bound)
        except (InvalidTag, KeyError, ValueError) as error:
            raise SealBroken("the wrapped key does not open") from error

    def _bound(self, aad: bytes, version: int) -> bytes:
        return aad + self._places[version]

    @cached_property
    def _places(self) -> Mapping[int, bytes]:
        return {version: f"|{self.person}|{version}".encode() for version in self.versions}

    def __repr__(self) -> str:
        return "PersonKey(...)"


class _Row(NamedTuple):
    """A key as it lies in the table; no bytes once it is destroyed."""

    person: UUID
    version: int
    root_version: int
    wrapped: bytes


class KeysOf(dict[UUID, PersonKey]):
    """Keys by person; asking for one that was destroyed raises DataErased."""

    def __missing__(self, person: UUID) -> PersonKey:
        raise DataErased


class PersonKeys:
    """Finds, makes and destroys the keys of persons in one role's database; `service` names the role in what the keys are bound to.

    Readers' keys are cached, bounded in number and time. Writers always ask the database which key lives: another process may have destroyed
    it meanwhile, and one that was made in this transaction may be rolled back. What is remembered for them is what a wrapped key opened to,
    so that a batch of known persons asks nothing of the root keys.
    """

    def __init__(self, keyring: Keyring, service: str, clock: Clock, *, capacity: int = _CAPACITY) -> None:
        self._keyring = keyring
        self._service = service
        self._clock = clock
        self._capacity = capacity
        self._cache: OrderedDict[UUID, tuple[datetime, PersonKey]] = OrderedDict()
        self._opened: OrderedDict[UUID, tuple[datetime, tuple[_Row, ...], PersonKey]] = OrderedDict()
        self._own: PersonKey | None = None

    async def own(self, database: Database) -> PersonKey:
        """The key of the role itself, for what belongs to no person that is known. It lies among those of persons, so that it is wrapped anew
        when root keys rotate, and is never destroyed.
        """
        if self._own is None:
            keys = await database.write(lambda connection: self.find_or_make(connection, [ROLE]))
            self._own = keys[ROLE]
        return self._own

    async def find(self, connection: AsyncConnection, persons: Collection[UUID]) -> KeysOf:
        """The keys of those who have one that lives; at most one statement."""
        reading = connection.sync_connection is not None and (
            connection.sync_connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        )
        keys, missing = self._cached(persons) if reading else (KeysOf(), set(persons))
        if missing:
            found = await connection.execute(_FOUND, {"persons": list(missing)})
            opened = await self._open(_read(found))
            if reading:
                _remember(self._cache, {key.person: (self._clock(), key) for key in opened.values()}, self._capacity)
            keys.update(opened)
        return keys

    async def opened(self, rows: Sequence[tuple[UUID, int, int, bytes]]) -> KeysOf:
        """The keys of rows that a statement joined itself: person, version, root version and wrapped key, none of them destroyed. They are not
        remembered: a search opens hundreds of people whom nobody asks about again.
        """
        living: dict[UUID, list[_Row]] = {}
        for row in rows:
            living.setdefault(row[0], []).append(_Row(*row))
        return KeysOf(await self._ask(lambda: {person: self._unwrap(found) for person, found in living.items()}))

    async def find_or_make(self, connection: AsyncConnection, persons: Collection[UUID]) -> KeysOf:
        """The living keys of all these persons, for sealing; one statement for each 500. MUST run in the transaction that stores what they seal, or in
        one that is committed before.
        """
        keys, ordered = KeysOf(), sorted(persons)
        for start in range(0, len(ordered), _STATEMENT_PERSONS):
            keys.update(await self._find_or_make(connection, ordered[start : start + _STATEMENT_PERSONS]))
        return keys

    async def _find_or_make(self, connection: AsyncConnection, persons: Collection[UUID]) -> KeysOf:
        keys = KeysOf()
        versions = dict.fromkeys(persons, 1)
        # Those met lately have a key in all likelihood; when one has none after all, it is made in a second round.
        new = versions.keys() - self._opened.keys()
        for _ in range(_ATTEMPTS):
            if not versions:
                break
            rows = await self._find_or_add(connection, versions, sorted(new))
            keys.update(await self._open(rows))
            newest = {row.person: row.version for row in sorted(rows, key=lambda row: row.version)}
            # Every version of theirs was destroyed, or somebody else is making theirs at this moment.
            versions = {person: newest.get(person, 0) + 1 for person in versions if person not in keys}
            new = set(versions)
        if versions:
            raise SealBroken("a person's key could not be made")
        return keys

    async def destroy(self, connection: AsyncConnection, person: UUID) -> int:
        """Destroys every version of a person's key; returns how many there were. What they sealed cannot be read again, except from
        backups of the key table, and for `CACHE_LIFE` in other processes.
        """
        if person == ROLE:
            raise ValueError("the key of the role itself is never destroyed")
        self._cache.pop(person, None)
        self._opened.pop(person, None)
        done = await connection.execute(_DESTROY, {"person": person, "at": self._clock()})
        return int(done.rowcount)

    async def _find_or_add(
        self, connection: AsyncConnection, versions: Mapping[UUID, int], new: Sequence[UUID]
    ) -> list[_Row]:
        def made(some: Sequence[UUID]) -> list[bytes]:
            return [
                self._keyring.wrap(os.urandom(KEY_BYTES), place(self._service, person, versions[person])).data
                for person in some
            ]

        values = {
            # In one order, so that two batches with the same persons wait for each other rather than deadlock.
            "persons": sorted(versions),
            "new_persons": list(new),
            "new_versions": [versions[person] for person in new],
            "new_keys": await self._ask_for_each(new, made),
            "root_version": self._keyring.current_version,
            "at": self._clock(),
        }
        return _read(await connection.execute(_FIND_OR_ADD, values))

    async def _open(self, rows: Sequence[_Row]) -> dict[UUID, PersonKey]:
        """Opens the wrapped keys; those that it opened before, as they are, without the root keys."""
        living: dict[UUID, tuple[_Row, ...]] = {}
        for row in sorted(rows, key=lambda row: row.version):
            if row.wrapped:
                living[row.person] = (*living.get(row.person, ()), row)
        now = self._clock()
        keys: dict[UUID, PersonKey] = {}
        for person, found in living.items():
            known = self._opened.get(person)
            if known is not None and known[1] == found and now - known[0] < CACHE_LIFE:
                keys[person] = known[2]
        unknown = {person: found for person, found in living.items() if person not in keys}

        def unwrapped(some: Sequence[UUID]) -> list[PersonKey]:
            return [self._unwrap(unknown[person]) for person in some]

        if unknown:
            opened = {key.person: key for key in await self._ask_for_each(list(unknown), unwrapped)}
            entries = {person: (now, unknown[person], key) for person, key in opened.items()}
            _remember(self._opened, entries, self._capacity)
            keys |= opened
        return keys

    def _unwrap(self, rows: Sequence[_Row]) -> PersonKey:
        person = rows[0].person
        keys = {
            row.version: AESGCM(
                self._keyring.unwrap(
                    WrappedKey(row.root_version, row.wrapped), place(self._service, person, row.version)
                )
            )
            for row in rows
        }
        return PersonKey(person, max(keys), keys)

    async def _ask(self, work: Callable[[], T]) -> T:
        """Root keys elsewhere are waited for in a thread, so that other calls go on."""
        return await asyncio.to_thread(work) if self._keyring.remote else work()

    async def _ask_for_each(self, persons: Sequence[UUID], work: Callable[[Sequence[UUID]], list[T]]) -> list[T]:
        """As `_ask`, so many persons at once that other calls get their turn."""
        made: list[T] = []
        async for start in in_turns(range(0, len(persons), _PERSONS_AT_ONCE), at_once=1):
            some = persons[start : start + _PERSONS_AT_ONCE]
            made += await self._ask(partial(work, some))
        return made

    def _cached(self, persons: Collection[UUID]) -> tuple[KeysOf, set[UUID]]:
        now = self._clock()
        keys = KeysOf()
        missing: set[UUID] = set()
        for person in persons:
            known = self._cache.get(person)
            if known is not None and now - known[0] < CACHE_LIFE:
                keys[person] = known[1]
            else:
                self._cache.pop(person, None)
                missing.add(person)
        return keys, missing


def _read(found: CursorResult[Any]) -> list[_Row]:
    return [
        _Row(row.person_id, row.version, row.root_version, b"" if row.wrapped is None else bytes(row.wrapped))
        for row in found
    ]


def _remember(kept: OrderedDict[UUID, E], entries: Mapping[UUID, E], capacity: int) -> None:
    """Keeps entries, each with its time first; what is too old or too much goes, oldest first."""
    for person, entry in entries.items():
        kept[person] = entry
        kept.move_to_end(person)
        while len(kept) > capacity or entry[0] - next(iter(kept.values()))[0] >= CACHE_LIFE:
            kept.popitem(last=False)


def place(service: str, person: UUID, version: int) -> bytes:
    """What a wrapped person key is bound to."""
    return f"{service}|{TABLE}|{person}|{version}".encode()
