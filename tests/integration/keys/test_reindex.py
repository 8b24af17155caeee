"""The blind key of identity turned: every number is found and held by one person at every moment, also across a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.errors import RequestIdReused
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring, PersonKeys
from services.chassis.keyring.file import add_blind, forget_blind, turn_blind
from services.chassis.settings import DatabaseSettings
from services.identity.model import (
    Assurance,
    Demographics,
    Filing,
    FilingKey,
    FilingOutcome,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
)
from services.identity.ports import IdentifierTaken
from services.identity.postgres import PostgresStore

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PERSONS = 1_200


@pytest.fixture
def settings(database_for: Callable[[str], DatabaseSettings]) -> DatabaseSettings:
    """A fresh database of the identity role."""
    return database_for("identity")


def number(at: int) -> IdentifierKey:
    return IdentifierKey("CITIZEN_ID", f"{1_185_000_000 + at:012}")


def person(key: IdentifierKey) -> Person:
    identifier = PersonIdentifier(Identifier(IdentifierType.CITIZEN_ID, key.value), key, Assurance.TYPED, NOW)
    return Person(
        uuid7(), PersonState.ACTIVE, Demographics("Trần Văn A", None, None, "", None), (identifier,), None, NOW
    )


def record(at: int) -> FilingKey:
    return FilingKey("01001", f"BN{at}", f"said {at}".encode())


async def add(store: PostgresStore, *persons: Person) -> None:
    events = [PersonEvent(one.id, uuid7(), "PERSON_REGISTERED", NOW, "FACILITY/01001", {}) for one in persons]
    await store.write(lambda transaction: transaction.add_persons(persons, events))


async def file(store: PostgresStore, records: Collection[FilingKey], to: UUID) -> None:
    filings = {one: Filing(FilingOutcome.REVIEW, to, ()) for one in records}
    await store.write(lambda transaction: transaction.add_filings(filings, NOW))


async def found(store: PostgresStore, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, UUID]:
    holders = await store.read(lambda transaction: transaction.holders(keys))
    return {key: holder.person for holder in holders for key in holder.matched}


async def filed(store: PostgresStore, records: Collection[FilingKey]) -> int:
    return len(await store.read(lambda transaction: transaction.filings(records)))


def command(settings: DatabaseSettings, keyring: Path) -> subprocess.Popen[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"LIENTHONG_DATABASE_OWNER_URL": settings.owner_url or "", "LIENTHONG_KEYRING": str(keyring)}
    arguments = [sys.executable, "-m", "services.identity", "reindex"]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_every_number_is_found_at_every_moment_of_a_turn(
    database: Database, settings: DatabaseSettings, keyring_path: Path
) -> None:
    def store() -> PostgresStore:
        """A process that starts now."""
        return PostgresStore(database, FileKeyring(keyring_path), system_clock)

    numbers, records = [number(at) for at in range(PERSONS)], [record(at) for at in range(50)]
    persons = [person(key) for key in numbers]
    first = store()
    await add(first, *persons)
    await file(first, records, persons[0].id)
    wanted = {key: one.id for key, one in zip(numbers, persons, strict=True)}

    add_blind(keyring_path)
    searching = store()
    assert await found(searching, numbers) == wanted
    extra = person(number(PERSONS))
    await add(searching, extra)
    # Processes that started earlier find what this one wrote.
    assert await found(first, [number(PERSONS)]) == {number(PERSONS): extra.id}

    turn_blind(keyring_path)
    writing = store()
    with pytest.raises(IdentifierTaken):
        await add(writing, person(numbers[0]))
    with pytest.raises(IdentifierTaken):
        await file(writing, records[:1], persons[1].id)

    killed = command(settings, keyring_path)
    assert killed.stdout is not None
    assert (
        await asyncio.to_thread(killed.stdout.readline)
        == "500 identifiers, 0 source records and 0 persons' demographics indexed anew\n"
    )
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=30)

    finishing = command(settings, keyring_path)
    rounds = 0
    while finishing.poll() is None or rounds < 2:
        for one in (searching, writing):
            assert await found(one, numbers) == wanted
            assert await filed(one, records) == len(records)
        rounds += 1
    said, problems = finishing.communicate(timeout=30)
    assert finishing.returncode == 0, problems
    assert "50 source records" in said
    # What the killed run did was not done again.
    assert f"{PERSONS + 1} identifiers" not in said
    with pytest.raises(IdentifierTaken):
        await add(searching, person(numbers[0]))

    forget_blind(keyring_path)
    last = store()
    assert await found(last, numbers) == wanted
    assert await filed(last, records) == len(records)
    assert await found(first, numbers) == {}
    with pytest.raises(IdentifierTaken):
        await add(last, person(numbers[0]))
    seen = await last.read(lambda transaction: transaction.person(persons[0].id))
    assert seen is not None
    assert seen.identifiers[0].key == numbers[0]


async def test_processes_that_write_under_either_key_never_give_one_number_to_two(
    database: Database, keyring_path: Path
) -> None:
    add_blind(keyring_path)
    older = PostgresStore(database, FileKeyring(keyring_path), system_clock)
    turn_blind(keyring_path)
    newer = PostgresStore(database, FileKeyring(keyring_path), system_clock)

    async def tried(store: PostgresStore, at: int) -> int:
        try:
            await add(store, person(number(at)))
        except IdentifierTaken:
            return 0
        return 1

    async def filed_by(store: PostgresStore, at: int, to: UUID) -> int:
        try:
            await file(store, [record(at)], to)
        except IdentifierTaken:
            return 0
        return 1

    someone = person(number(999))
    await add(older, someone)
    for at in range(20):
        assert sum(await asyncio.gather(*(tried(store, at) for store in (older, newer)))) == 1
        assert sum(await asyncio.gather(*(filed_by(store, at, someone.id) for store in (older, newer)))) == 1


async def test_a_request_that_is_sent_again_after_the_turn_gets_its_answer(
    database: Database, keyring_path: Path
) -> None:
    async def sent(digest: bytes) -> bytes:
        async def work() -> bytes:
            return b"answer"

        store = PostgresStore(database, FileKeyring(keyring_path), system_clock)
        return await store.write(lambda transaction: transaction.once("scope", "request", digest, work))

    assert await sent(b"digest") == b"answer"
    add_blind(keyring_path)
    turn_blind(keyring_path)
    assert await sent(b"digest") == b"answer"
    with pytest.raises(RequestIdReused):
        await sent(b"other")


async def test_what_cannot_be_opened_is_counted_and_stays(
    database: Database, settings: DatabaseSettings, keyring_path: Path
) -> None:
    store = PostgresStore(database, FileKeyring(keyring_path), system_clock)
    erased, damaged, sound = (person(number(at)) for at in range(3))
    await add(store, erased, damaged, sound)
    keys = PersonKeys(FileKeyring(keyring_path), "identity", system_clock)
    await database.write(lambda connection: keys.destroy(connection, erased.id))
    url = (settings.owner_url or settings.url).replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "UPDATE person_identifier SET value_sealed = substr(value_sealed, 1, length(value_sealed) - 1) || '\\x00'::bytea"
            " WHERE person_id = %s",
            [damaged.id],
        )
    add_blind(keyring_path)
    turn_blind(keyring_path)
    done = command(settings, keyring_path)
    said, problems = done.communicate(timeout=60)
    assert done.returncode == 1, problems
    assert "1 identifiers, 0" in said
    assert "1 rows of erased persons" in said
    # The number, and what its person is found by.
    assert "2 rows do not open" in said
    left = await database.read(
        lambda connection: connection.scalar(text("SELECT count(*) FROM person_identifier WHERE blind_version = 1"))
    )
    assert left == 2
