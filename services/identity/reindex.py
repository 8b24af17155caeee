"""The command `reindex`: the blind indexes made anew under the blind key that is written, and what persons are found by under the present
normaliser, in small batches, while the role serves.

Values lie sealed beside their indexes, so nothing but the keys is needed. Run it when every process of the role writes under the new key
(`services.chassis.keyring`); when it says that nothing is left, the old one can be forgotten.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.keyring import DataErased, PersonKeys, SealBroken, open_keyring
from services.chassis.keyring.persons import KeysOf
from services.chassis.settings import DatabaseSettings, SettingsError, load
from services.chassis.status import write_problems
from services.identity.model import IdentifierType, Person
from services.identity.normalise import NORMALISER_VERSION
from services.identity.postgres.store import PostgresTransaction
from services.identity.postgres.vault import Vault

BATCH = 500
# In the order of the primary key from the last one on; what a run that died has done is passed over.
_NUMBERS = text(
    "SELECT person_id, kind, blind, type, value_sealed FROM person_identifier WHERE blind_version <> :version"
    " AND (person_id, kind, blind) > (CAST(:after_person AS uuid), CAST(:after_kind AS text), CAST(:after_blind AS bytea))"
    " ORDER BY person_id, kind, blind LIMIT :limit FOR UPDATE"
)
_MOVED = (
    " FROM unnest(CAST(:persons AS uuid[]), CAST(:kinds AS text[]), CAST(:old AS bytea[]), CAST(:new AS bytea[]))"
    " AS moved (person_id, kind, old, new)"
)
# The lookup is moved by adding and removing, as it is distributed by what changes.
_ADD_LOOKUPS = text(
    "INSERT INTO identifier_lookup (blind, kind, person_id, exclusive)"
    f" SELECT moved.new, found.kind, found.person_id, found.exclusive{_MOVED}"  # noqa: S608 - constants
    " JOIN identifier_lookup found ON found.blind = moved.old AND found.kind = moved.kind"
    " AND found.person_id = moved.person_id ORDER BY moved.new, found.kind"
)
_REMOVE_LOOKUPS = text(
    "WITH gone AS (SELECT moved.*" + _MOVED + ") DELETE FROM identifier_lookup found USING gone"  # noqa: S608 - constants
    " WHERE found.blind = gone.old AND found.kind = gone.kind AND found.person_id = gone.person_id"
)
_MOVE_NUMBERS = text(
    f"UPDATE person_identifier held SET blind = moved.new, blind_version = :version{_MOVED}"  # noqa: S608 - constants
    " WHERE held.person_id = moved.person_id AND held.kind = moved.kind AND held.blind = moved.old"
)
_RECORDS = text(
    "SELECT facility_id, mrn_blind, said_blind, person_id, said_sealed FROM source_record WHERE blind_version <> :version"
    " AND (facility_id, mrn_blind, said_blind) > (CAST(:after_facility AS text), CAST(:after_mrn AS bytea), CAST(:after_said AS bytea))"
    " ORDER BY facility_id, mrn_blind, said_blind LIMIT :limit FOR UPDATE"
)
_MOVE_RECORDS = text(
    "UPDATE source_record filed SET mrn_blind = moved.new_mrn, said_blind = moved.new_said, blind_version = :version"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:mrns AS bytea[]), CAST(:saids AS bytea[]), CAST(:new_mrns AS bytea[]),"
    " CAST(:new_saids AS bytea[])) AS moved (facility_id, mrn, said, new_mrn, new_said)"
    " WHERE filed.facility_id = moved.facility_id AND filed.mrn_blind = moved.mrn AND filed.said_blind = moved.said"
)
# Who may be found by demographics, and is not yet by what this version of the normaliser and of the key makes of them.
_FEATURES = text(
    "SELECT person.person_id FROM person LEFT JOIN person_feature feature ON feature.person_id = person.person_id"
    " WHERE person.person_id > CAST(:after AS uuid) AND person.state = 'ACTIVE' AND NOT person.protected"
    " AND (feature.person_id IS NULL OR feature.normaliser <> :normaliser OR feature.blind_version <> :version)"
    " ORDER BY person.person_id LIMIT :limit FOR UPDATE OF person"
)


@dataclass(frozen=True)
class ReindexSettings:
    """The owner's secret, as the application may not change an index, and the keyring."""

    database_owner_url: str
    keyring: Path


@dataclass
class Reindexed:
    """What a run did. `erased` are rows of persons whose key was destroyed: nobody knows their values, so they stay under the old key and
    are never found again. `damaged` did not open although their key lives.
    """

    numbers: int = 0
    records: int = 0
    features: int = 0
    erased: int = 0
    damaged: int = 0


def reindex_command() -> int:
    """`python -m services.identity reindex`; 1 when something is damaged."""
    try:
        settings = load(ReindexSettings, os.environ)
        keyring = open_keyring(settings.keyring)
    except SettingsError as error:
        write_problems(error.problems)
        return 2

    async def work() -> Reindexed:
        async with Database(DatabaseSettings(settings.database_owner_url)) as database:
            index = Reindex(database, Vault(keyring), PersonKeys(keyring, "identity", system_clock))
            return await index.run(_report)

    done = uvloop.run(work())
    _say(
        f"nothing is left under other versions than {keyring.blind_versions[0]}, but {done.erased} rows of erased persons"
    )
    if done.damaged:
        _say(f"{done.damaged} rows do not open: their index stays as it was")
    return 1 if done.damaged else 0


class Reindex:
    """Makes the indexes anew under the version that the vault writes."""

    def __init__(self, database: Database, vault: Vault, keys: PersonKeys) -> None:
        self._database = database
        self._vault = vault
        self._keys = keys
        self._done = Reindexed()

    async def run(self, report: Callable[[Reindexed], None], *, batch: int = BATCH) -> Reindexed:
        """Goes once through identifiers and source records; `report` learns what is done after each batch."""
        moves = (
            (self._numbers, (UUID(int=0), "", b"")),
            (self._records, ("", b"", b"")),
            (self._features, (UUID(int=0),)),
        )
        for move, start in moves:
            after: tuple[Any, ...] | None = start
            while after is not None:
                before, came_from = Reindexed(**vars(self._done)), after
                after = await self._batch(move, before, came_from, batch)
                report(self._done)
        return self._done

    async def _batch(
        self, move: Callable[..., Any], before: Reindexed, after: tuple[Any, ...], limit: int
    ) -> tuple[Any, ...] | None:
        async def work(connection: AsyncConnection) -> tuple[Any, ...] | None:
            # A transaction may be run again, and what it counted with it.
            self._done = Reindexed(**vars(before))
            last: tuple[Any, ...] | None = await move(connection, after, limit)
            return last

        return await self._database.write(work)

    async def _numbers(self, connection: AsyncConnection, after: tuple[Any, ...], limit: int) -> tuple[Any, ...] | None:
        version = self._vault.blind_versions[0]
        person, kind, blind = after
        asked = {"version": version, "after_person": person, "after_kind": kind, "after_blind": blind, "limit": limit}
        rows = list(await connection.execute(_NUMBERS, asked))
        if not rows:
            return None
        keys = await self._keys.find(connection, {row.person_id for row in rows})
        moved = []
        for row in rows:
            opened = self._opened(
                keys,
                row,
                lambda key, row: self._vault.open_identifier(key, row.kind, IdentifierType(row.type), row.value_sealed),
            )
            if opened is not None:
                moved.append((row, self._vault.blind(opened[1])))
        values = {
            "persons": [row.person_id for row, _ in moved],
            "kinds": [row.kind for row, _ in moved],
            "old": [row.blind for row, _ in moved],
            "new": [new for _, new in moved],
        }
        if moved:
            await connection.execute(_ADD_LOOKUPS, values)
            await connection.execute(_REMOVE_LOOKUPS, values)
            await connection.execute(_MOVE_NUMBERS, values | {"version": version})
        self._done.numbers += len(moved)
        return rows[-1].person_id, rows[-1].kind, rows[-1].blind

    async def _records(self, connection: AsyncConnection, after: tuple[Any, ...], limit: int) -> tuple[Any, ...] | None:
        version = self._vault.blind_versions[0]
        facility, mrn, said = after
        asked = {"version": version, "after_facility": facility, "after_mrn": mrn, "after_said": said, "limit": limit}
        rows = list(await connection.execute(_RECORDS, asked))
        if not rows:
            return None
        keys = await self._keys.find(connection, {row.person_id for row in rows})
        moved = []
        for row in rows:
            opened = self._opened(
                keys, row, lambda key, row: self._vault.open_said(key, row.facility_id, row.said_sealed)
            )
            if opened is not None:
                moved.append((row, self._vault.blind_filing(opened)))
        if moved:
            values = {
                "version": version,
                "facilities": [row.facility_id for row, _ in moved],
                "mrns": [row.mrn_blind for row, _ in moved],
                "saids": [row.said_blind for row, _ in moved],
                "new_mrns": [new[0] for _, new in moved],
                "new_saids": [new[1] for _, new in moved],
            }
            await connection.execute(_MOVE_RECORDS, values)
        self._done.records += len(moved)
        return rows[-1].facility_id, rows[-1].mrn_blind, rows[-1].said_blind

    async def _features(
        self, connection: AsyncConnection, after: tuple[Any, ...], limit: int
    ) -> tuple[Any, ...] | None:
        asked = {
            "after": after[0],
            "normaliser": NORMALISER_VERSION,
            "version": self._vault.blind_versions[0],
            "limit": limit,
        }
        ids = list((await connection.execute(_FEATURES, asked)).scalars())
        if not ids:
            return None
        transaction = PostgresTransaction(connection, self._vault, self._keys)
        persons: list[Person] = []
        try:
            persons += (await transaction.persons(ids)).values()
        except SealBroken:
            # One that does not open must not keep the others out.
            for id in ids:
                try:
                    persons += (await transaction.persons([id])).values()
                except SealBroken:
                    self._done.damaged += 1
        keys = await self._keys.find(connection, [one.id for one in persons])
        await transaction.renew_features(persons, keys)
        self._done.features += len(persons)
        return (ids[-1],)

    def _opened(self, keys: KeysOf, row: Any, open: Callable[[Any, Any], Any]) -> Any:
        try:
            return open(keys[row.person_id], row)
        except DataErased:
            self._done.erased += 1
        except SealBroken:
            self._done.damaged += 1
        return None


def _report(done: Reindexed) -> None:
    _say(
        f"{done.numbers} identifiers, {done.records} source records and {done.features} persons' demographics indexed anew"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
