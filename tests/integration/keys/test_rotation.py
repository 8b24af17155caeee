"""Rotation of root keys: resumed after a kill, readers notice nothing, and the old version can be destroyed afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import text

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring, PersonKeys, forget, open_sealed, rotate, seal
from services.chassis.keyring.rotation import root_versions_in_use, rotate_person_keys
from services.chassis.settings import DatabaseSettings

AAD = b"consent|table.column|1"
PERSONS = 1_500


def command(settings: DatabaseSettings, keyring: Path) -> subprocess.Popen[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"LIENTHONG_DATABASE_URL": settings.url, "LIENTHONG_KEYRING": str(keyring)}
    arguments = [sys.executable, "-m", "services.consent", "rotate-keys"]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_rotation_survives_a_kill_and_the_old_version_can_go(
    database: Database, settings: DatabaseSettings, keyring_path: Path
) -> None:
    persons = [uuid7() for _ in range(PERSONS)]
    before = PersonKeys(FileKeyring(keyring_path), "consent", system_clock)
    made = await database.write(lambda connection: before.find_or_make(connection, persons))
    sealed = {person: seal(key, b"content", AAD) for person, key in made.items()}
    rotate(keyring_path)

    killed = command(settings, keyring_path)
    assert killed.stdout is not None
    assert "500 keys" in killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=30)

    finished = command(settings, keyring_path)
    said, problems = finished.communicate(timeout=60)
    assert finished.returncode == 0, problems
    assert f"root version 2: {PERSONS} keys" in said
    assert "versions that wrap no person key: 1" in said
    assert await root_versions_in_use(database) == {2: PERSONS}

    forget(keyring_path, 1)
    after = PersonKeys(FileKeyring(keyring_path), "consent", system_clock)
    found = await database.read(lambda connection: after.find(connection, persons))
    assert all(open_sealed(found[person], sealed[person], AAD) == b"content" for person in persons)


async def test_a_destroyed_key_stays_destroyed(database: Database, keyring_path: Path) -> None:
    keys = PersonKeys(FileKeyring(keyring_path), "consent", system_clock)
    person = uuid7()
    await database.write(lambda connection: keys.find_or_make(connection, [person]))
    await database.write(lambda connection: keys.destroy(connection, person))
    rotate(keyring_path)
    assert await rotate_person_keys(database, FileKeyring(keyring_path), "consent", lambda _: None) == 0
    alive = await database.read(
        lambda connection: connection.scalar(text("SELECT count(*) FROM person_key WHERE wrapped IS NOT NULL"))
    )
    assert alive == 0


def test_the_command_names_what_is_missing(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LIENTHONG_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none"}
    for keyring, problem in (("", "LIENTHONG_KEYRING: missing"), (str(tmp_path / "none"), "is not a keyring")):
        done = subprocess.run(
            [sys.executable, "-m", "services.consent", "rotate-keys"],
            env=environment | {"LIENTHONG_KEYRING": keyring},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert problem in done.stderr


async def test_processes_go_on_while_root_keys_rotate_around_them(database: Database, keyring_path: Path) -> None:
    """One that started before the new version was made reads what was wrapped under it meanwhile."""
    person = uuid7()
    old = PersonKeys(FileKeyring(keyring_path), "consent", system_clock)
    made = await database.write(lambda connection: old.find_or_make(connection, [person]))
    sealed = seal(made[person], b"content", AAD)
    own = seal(await old.own(database), b"content", AAD)
    rotate(keyring_path)
    await rotate_person_keys(database, FileKeyring(keyring_path), "consent", lambda _: None)
    found = await database.write(lambda connection: old.find_or_make(connection, [person]))
    assert open_sealed(found[person], sealed, AAD) == b"content"
    forget(keyring_path, 1)
    # What belongs to no person came along with the keys of persons.
    fresh = PersonKeys(FileKeyring(keyring_path), "consent", system_clock)
    assert open_sealed(await fresh.own(database), own, AAD) == b"content"
