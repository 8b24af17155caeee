"""Keys of persons on a real database: made once, destroyed for good, bound to their person, never cached before they are committed."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import FrozenClock, system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import (
    DataErased,
    FileKeyring,
    PersonKey,
    PersonKeys,
    SealBroken,
    WrappedKey,
    Wrapping,
    open_sealed,
    rewrap,
    seal,
)
from services.chassis.keyring.persons import CACHE_LIFE, ROLE
from services.chassis.settings import DatabaseSettings

AAD = b"service|table.column|1"


class Counted:
    """Keys of persons with a count of the statements they cost."""

    def __init__(self, keyring: FileKeyring, *, capacity: int = 100) -> None:
        self.clock = FrozenClock(datetime.now(UTC))
        self.keys = PersonKeys(keyring, "service", self.clock, capacity=capacity)


@pytest.fixture
def counted(keyring: FileKeyring) -> Counted:
    return Counted(keyring)


async def make(database: Database, keys: PersonKeys, *persons: UUID) -> dict[UUID, PersonKey]:
    return await database.write(lambda connection: keys.find_or_make(connection, persons))


async def find(database: Database, keys: PersonKeys, *persons: UUID) -> dict[UUID, PersonKey]:
    return await database.read(lambda connection: keys.find(connection, persons))


async def rows(database: Database) -> list[tuple[UUID, int, bool]]:
    async def work(connection: AsyncConnection) -> list[tuple[UUID, int, bool]]:
        found = await connection.execute(
            text("SELECT person_id, version, wrapped IS NOT NULL AS lives FROM person_key ORDER BY 1, 2")
        )
        return [(row.person_id, row.version, row.lives) for row in found]

    return await database.read(work)


async def test_a_key_is_made_once_and_found_again_by_another_process(
    database: Database, counted: Counted, keyring: FileKeyring
) -> None:
    persons = [uuid7() for _ in range(3)]
    made = await make(database, counted.keys, *persons)
    sealed = {person: seal(key, b"content", AAD) for person, key in made.items()}
    again = await make(database, counted.keys, *persons, uuid7())
    assert len(again) == 4
    other = PersonKeys(keyring, "service", system_clock)
    found = await find(database, other, *persons)
    for person in persons:
        assert open_sealed(found[person], sealed[person], AAD) == b"content"
    assert [(version, lives) for _, version, lives in await rows(database)] == [(1, True)] * 4


async def test_many_writers_at_once_agree_on_one_key(database: Database, keyring: FileKeyring) -> None:
    persons = [uuid7() for _ in range(20)]
    makers = [PersonKeys(keyring, "service", system_clock) for _ in range(8)]
    results = await asyncio.gather(*(make(database, keys, *persons) for keys in makers))
    for person in persons:
        sealed = seal(results[0][person], b"content", AAD)
        assert all(open_sealed(result[person], sealed, AAD) == b"content" for result in results)
    assert len(await rows(database)) == len(persons)


async def test_a_key_that_was_rolled_back_is_never_used_again(database: Database, counted: Counted) -> None:
    person = uuid7()

    async def broken(connection: AsyncConnection) -> None:
        await counted.keys.find_or_make(connection, [person])
        await counted.keys.find(connection, [person])
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(broken)
    assert await find(database, counted.keys, person) == {}
    sealed = seal((await make(database, counted.keys, person))[person], b"content", AAD)
    assert open_sealed((await find(database, counted.keys, person))[person], sealed, AAD) == b"content"


async def test_a_destroyed_key_opens_nothing_and_new_data_get_a_new_one(database: Database, counted: Counted) -> None:
    person, neighbour = uuid7(), uuid7()
    keys = await make(database, counted.keys, person, neighbour)
    old, kept = seal(keys[person], b"old", AAD), seal(keys[neighbour], b"kept", AAD)
    await find(database, counted.keys, person)
    assert await database.write(lambda connection: counted.keys.destroy(connection, person)) == 1
    with pytest.raises(DataErased):
        _ = (await find(database, counted.keys, person))[person]
    fresh = (await make(database, counted.keys, person))[person]
    assert fresh.current == 2
    with pytest.raises(DataErased):
        open_sealed(fresh, old, AAD)
    assert open_sealed(fresh, seal(fresh, b"new", AAD), AAD) == b"new"
    assert open_sealed((await find(database, counted.keys, neighbour))[neighbour], kept, AAD) == b"kept"
    assert await database.write(lambda connection: counted.keys.destroy(connection, uuid7())) == 0


async def test_a_dump_after_destruction_holds_nothing_that_opens(
    database: Database, settings: DatabaseSettings, counted: Counted
) -> None:
    person = uuid7()
    await make(database, counted.keys, person)
    await database.write(lambda connection: counted.keys.destroy(connection, person))
    url = (settings.owner_url or "").replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await (await connection.execute("SELECT wrapped, destroyed_at FROM person_key")).fetchall()
    assert [(wrapped, at is not None) for wrapped, at in found] == [(None, True)]


async def test_the_application_can_delete_no_key(database: Database, counted: Counted) -> None:
    await make(database, counted.keys, uuid7())
    with pytest.raises(Exception, match="permission denied"):
        await database.write(lambda connection: connection.execute(text("DELETE FROM person_key")))


async def test_another_process_forgets_a_destroyed_key_within_the_cache_life(
    database: Database, counted: Counted, keyring: FileKeyring
) -> None:
    person = uuid7()
    await make(database, counted.keys, person)
    await find(database, counted.keys, person)
    elsewhere = PersonKeys(keyring, "service", system_clock)
    await database.write(lambda connection: elsewhere.destroy(connection, person))
    assert person in await find(database, counted.keys, person)
    counted.clock.advance(CACHE_LIFE)
    assert person not in await find(database, counted.keys, person)


async def test_a_writer_never_seals_under_a_key_that_was_destroyed_elsewhere(
    database: Database, counted: Counted, keyring: FileKeyring
) -> None:
    person = uuid7()
    await make(database, counted.keys, person)
    await find(database, counted.keys, person)
    elsewhere = PersonKeys(keyring, "service", system_clock)
    await database.write(lambda connection: elsewhere.destroy(connection, person))
    assert (await make(database, counted.keys, person))[person].current == 2


async def test_the_cache_is_bounded(database: Database, keyring: FileKeyring) -> None:
    counted = Counted(keyring, capacity=3)
    persons = [uuid7() for _ in range(10)]
    await make(database, counted.keys, *persons)
    assert len(await find(database, counted.keys, *persons)) == 10
    assert len(counted.keys._cache) == 3  # noqa: SLF001 - the bound is what is tested


async def test_keys_that_are_too_old_leave_the_memory(database: Database, counted: Counted) -> None:
    persons = [uuid7() for _ in range(5)]
    await make(database, counted.keys, *persons)
    await find(database, counted.keys, *persons)
    counted.clock.advance(CACHE_LIFE)
    await make(database, counted.keys, persons[0])
    await find(database, counted.keys, persons[0])
    assert set(counted.keys._cache) == set(counted.keys._opened) == {persons[0]}  # noqa: SLF001 - the bound is what is tested


async def test_copies_of_an_erased_person_open_with_a_backup_of_the_key_table_alone(
    database: Database, settings: DatabaseSettings, counted: Counted, keyring: FileKeyring
) -> None:
    """Why its backups are made apart from the data, and kept 30 days at most."""
    person = uuid7()
    sealed = seal((await make(database, counted.keys, person))[person], b"content", AAD)
    url = (settings.owner_url or "").replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as owner:
        backup = await (await owner.execute("SELECT wrapped FROM person_key")).fetchone()
        assert backup is not None
        await database.write(lambda connection: counted.keys.destroy(connection, person))
        later = PersonKeys(keyring, "service", system_clock)
        assert person not in await find(database, later, person)
        # Anything else that was kept, root keys included, opens nothing.
        wrappings: list[Wrapping] = [keyring, (await make(database, later, person))[person]]
        for wrapping in wrappings:
            with pytest.raises((SealBroken, DataErased)):
                open_sealed(wrapping, sealed, AAD)
        await owner.execute("UPDATE person_key SET wrapped = %s WHERE version = 1", [backup[0]])
    restored = await find(database, PersonKeys(keyring, "service", system_clock), person)
    assert open_sealed(restored[person], sealed, AAD) == b"content"


async def test_rows_cannot_be_swapped_between_persons(database: Database, counted: Counted) -> None:
    one, other = uuid7(), uuid7()
    keys = await make(database, counted.keys, one, other)
    sealed = seal(keys[one], b"content", AAD)
    with pytest.raises(SealBroken):
        open_sealed(keys[other], sealed, AAD)
    swap = "UPDATE person_key SET wrapped = (SELECT wrapped FROM person_key WHERE person_id = :other) WHERE person_id = :one"
    await database.write(lambda connection: connection.execute(text(swap), {"one": one, "other": other}))
    with pytest.raises(SealBroken):
        await make(database, counted.keys, one)


async def test_an_item_goes_to_another_person_with_its_ciphertext_untouched(
    database: Database, counted: Counted
) -> None:
    one, other = uuid7(), uuid7()
    keys = await make(database, counted.keys, one, other)
    sealed = seal(keys[one], b"content", AAD)
    moved = rewrap(sealed, keys[one], keys[other], AAD)
    assert moved.ciphertext == sealed.ciphertext
    assert open_sealed(keys[other], moved, AAD) == b"content"
    wrapping: Wrapping = keys[one]
    with pytest.raises(SealBroken):
        open_sealed(wrapping, moved, AAD)


class Asked:
    """Root keys that count what is asked of them."""

    remote = True

    def __init__(self, keyring: FileKeyring) -> None:
        self._keyring = keyring
        self.current_version, self.versions = keyring.current_version, keyring.versions
        self.blind_versions = keyring.blind_versions
        self.wrapped = self.unwrapped = 0
        self.threads: set[str] = set()

    def wrap(self, key: bytes, aad: bytes) -> WrappedKey:
        self.wrapped += 1
        self.threads.add(threading.current_thread().name)
        return self._keyring.wrap(key, aad)

    def unwrap(self, wrapped: WrappedKey, aad: bytes) -> bytes:
        self.unwrapped += 1
        self.threads.add(threading.current_thread().name)
        return self._keyring.unwrap(wrapped, aad)

    def blind(self, kind: str, value: str, version: int | None = None) -> bytes:
        return self._keyring.blind(kind, value, version)


async def test_a_batch_of_known_persons_costs_one_statement_and_asks_nothing_of_the_root_keys(
    database: Database, keyring: FileKeyring
) -> None:
    asked = Asked(keyring)
    keys = PersonKeys(asked, "service", system_clock)
    persons = [uuid7() for _ in range(50)]
    await make(database, keys, *persons)
    assert (asked.wrapped, asked.unwrapped) == (50, 50)

    async def counted(connection: AsyncConnection) -> int:
        statements: list[str] = []
        driver = connection.sync_connection
        assert driver is not None
        event.listen(driver, "before_cursor_execute", lambda *given: statements.append(given[2]))
        await keys.find_or_make(connection, persons)
        return len(statements)

    assert await database.write(counted) == 1
    assert (asked.wrapped, asked.unwrapped) == (50, 50)
    assert threading.main_thread().name not in asked.threads


async def test_what_is_remembered_of_a_key_is_not_used_once_its_row_is_another(
    database: Database, counted: Counted, keyring: FileKeyring
) -> None:
    person = uuid7()
    sealed = seal((await make(database, counted.keys, person))[person], b"content", AAD)
    spoil = "UPDATE person_key SET wrapped = substr(wrapped, 1, 20) || '\\x00'::bytea || substr(wrapped, 22)"
    await database.write(lambda connection: connection.execute(text(spoil)))
    with pytest.raises(SealBroken):
        await make(database, counted.keys, person)
    assert sealed.wrapped.version == 1


async def test_the_role_has_a_key_of_its_own_that_nobody_destroys(
    database: Database, counted: Counted, keyring: FileKeyring
) -> None:
    own = await counted.keys.own(database)
    sealed = seal(own, b"content", AAD)
    elsewhere = PersonKeys(keyring, "service", system_clock)
    assert open_sealed(await elsewhere.own(database), sealed, AAD) == b"content"
    with pytest.raises(ValueError, match="never destroyed"):
        await database.write(lambda connection: counted.keys.destroy(connection, ROLE))
