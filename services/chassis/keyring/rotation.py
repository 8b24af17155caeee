"""Rotation of root keys: every person key is wrapped anew under the current version, in small batches, while the role serves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.keyring.persons import place
from services.chassis.keyring.provider import Keyring, open_keyring
from services.chassis.keyring.sealing import WrappedKey
from services.chassis.settings import DatabaseSettings, SettingsError, load
from services.chassis.status import write_problems

BATCH = 500
# Older versions only; an index leads there, so what is done is never looked at again and a run that died goes on where it was.
_OLD = text(
    "SELECT person_id, version, root_version, wrapped FROM person_key WHERE root_version < :current AND wrapped IS NOT NULL"
    " ORDER BY root_version, person_id LIMIT :limit FOR UPDATE"
)
_NEW = text(
    "UPDATE person_key SET wrapped = new.wrapped, root_version = :current"
    " FROM unnest(CAST(:persons AS uuid[]), CAST(:versions AS smallint[]), CAST(:keys AS bytea[])) AS new (person_id, version, wrapped)"
    " WHERE person_key.person_id = new.person_id AND person_key.version = new.version"
)
_LEFT = text("SELECT root_version, count(*) AS number FROM person_key WHERE wrapped IS NOT NULL GROUP BY root_version")


@dataclass(frozen=True)
class RotationSettings:
    """What the command needs of a role's settings."""

    database: DatabaseSettings
    keyring: Path


def rotation_command(service: str) -> Callable[[], int]:
    """The command `rotate-keys` of a role: wraps all person keys under the current root version, then says which versions are still in use."""

    def command() -> int:
        try:
            settings = load(RotationSettings, os.environ)
            keyring = open_keyring(settings.keyring)
        except SettingsError as error:
            write_problems(error.problems)
            return 2
        uvloop.run(_run(settings, keyring, service))
        return 0

    return command


async def _run(settings: RotationSettings, keyring: Keyring, service: str) -> None:
    async with Database(settings.database) as database:
        await rotate_person_keys(database, keyring, service, lambda done: _say(f"{done} keys wrapped anew"))
        for version, number in sorted((await root_versions_in_use(database)).items()):
            _say(f"root version {version}: {number} keys")
        unused = sorted(keyring.versions - (await root_versions_in_use(database)).keys() - {keyring.current_version})
        _say(f"versions that wrap no person key: {', '.join(map(str, unused)) or 'none'}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def rotate_person_keys(
    database: Database, keyring: Keyring, service: str, report: Callable[[int], None], *, batch: int = BATCH
) -> int:
    """Wraps every person key under the current root version; `report` learns the number done after each batch. Returns that number.

    What is sealed is not touched, and readers notice nothing: a person key stays the same, only its wrapping changes.
    """
    done = 0
    while True:
        moved = await database.write(lambda connection: _move(connection, keyring, service, batch))
        if not moved:
            return done
        done += moved
        report(done)


async def root_versions_in_use(database: Database) -> dict[int, int]:
    """How many living person keys each root version wraps; one that wraps none can be forgotten."""

    async def work(connection: AsyncConnection) -> dict[int, int]:
        return {row.root_version: row.number for row in await connection.execute(_LEFT)}

    return await database.read(work)


async def _move(connection: AsyncConnection, keyring: Keyring, service: str, limit: int) -> int:
    current = keyring.current_version
    rows = list(await connection.execute(_OLD, {"current": current, "limit": limit}))
    if not rows:
        return 0
    wrapped = []
    for row in rows:
        bound = place(service, row.person_id, row.version)
        wrapped.append(keyring.wrap(keyring.unwrap(WrappedKey(row.root_version, row.wrapped), bound), bound).data)
    await connection.execute(
        _NEW,
        {
            "current": current,
            "persons": [row.person_id for row in rows],
            "versions": [row.version for row in rows],
            "keys": wrapped,
        },
    )
    return len(rows)
