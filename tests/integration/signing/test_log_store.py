"""The log's store: appends that share a transaction, one writer among several processes, and tables that only grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from lienthong.client.tlog.merkle import CompactRange, frontier, leaf_hash, root_of
from lienthong.client.tlog.proof import TlogProof
from sqlalchemy.engine import make_url

from services.chassis.clock import FrozenClock
from services.chassis.database import Database
from services.chassis.errors import DatabaseUnavailable
from services.chassis.settings import DatabaseSettings
from services.signing.errors import CheckpointNotFound, LogForked
from services.signing.model import WitnessCosignature
from services.signing.postgres import PostgresCheckpointStore, PostgresLogStore
from services.signing.postgres import log as module
from services.signing.service.log import LogService
from tests.fixtures.database import DatabaseFor

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def settings(database_for: DatabaseFor) -> DatabaseSettings:
    return database_for("signing")


@pytest.fixture
async def database(settings: DatabaseSettings) -> AsyncIterator[Database]:
    async with Database(settings) as database:
        yield database


def plain(url: str | None) -> str:
    """The same address for psycopg alone."""
    return make_url(url or "").set(drivername="postgresql").render_as_string(hide_password=False)


def entries(prefix: str, count: int) -> list[bytes]:
    return [f"{prefix} {number}".encode() for number in range(count)]


async def root(store: PostgresLogStore, size: int) -> bytes:
    return root_of(size, await store.nodes(frontier(size)))


async def stored(store: PostgresLogStore, size: int) -> bytes:
    """Root over the entries as they are in the table."""
    edge = CompactRange()
    for entry in await store.entries(0, size):
        edge.append(leaf_hash(entry))
    assert edge.size == size
    return edge.root()


async def test_waiting_appends_share_transactions(database: Database, settings: DatabaseSettings) -> None:
    store = PostgresLogStore(database)
    batches = [entries(f"batch {number}", 7) for number in range(40)]
    placed = await asyncio.gather(*(store.append(batch) for batch in batches))
    assert sorted(index for indexes in placed for index in indexes) == list(range(280))
    for batch, indexes in zip(batches, placed, strict=True):
        assert indexes == list(range(indexes[0], indexes[0] + 7))
        found = await store.entries_at(indexes)
        assert [found[index] for index in indexes] == batch
    assert await root(store, 280) == await stored(store, 280)
    with psycopg.connect(plain(settings.owner_url)) as connection:
        writers = connection.execute("SELECT count(DISTINCT xmin::text) FROM log_entry").fetchone()
    # All of them waited before the writer came to its turn.
    assert writers == (1,)


async def test_the_same_entry_has_one_index_whoever_brings_it(database: Database) -> None:
    store = PostgresLogStore(database)
    first = await store.append(entries("e", 5))
    again = await asyncio.gather(*(store.append(entries("e", count)) for count in (5, 8, 8, 3)), store.append([b"e 7"]))
    assert [list(indexes) for indexes in again[:4]] == [first, list(range(8)), list(range(8)), first[:3]]
    assert again[4] == [7]
    assert len(await store.entries(0, 100)) == 8


async def test_several_processes_write_one_sequence(database: Database, settings: DatabaseSettings) -> None:
    async with Database(settings) as other:
        stores = [PostgresLogStore(database), PostgresLogStore(other)]
        batches = [entries(f"{number % 5}", 1 + number % 9) for number in range(30)]
        await asyncio.gather(*(stores[number % 2].append(batch) for number, batch in enumerate(batches)))
        kept = await stores[0].entries(0, 1000)
        assert sorted(kept) == sorted({entry for batch in batches for entry in batch})
        assert await root(stores[1], len(kept)) == await stored(stores[0], len(kept))


async def test_transactions_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARED_ENTRIES", 10)
    monkeypatch.setattr(module, "WAITING_ENTRIES", 12)
    store = PostgresLogStore(database)
    sizes: list[int] = []
    original = store._append

    async def counted(group: Sequence[module._Waiting]) -> Mapping[bytes, int]:
        sizes.append(sum(len(one.entries) for one in group))
        assert store._queued <= 12 or len(group) == 1
        return await original(group)

    monkeypatch.setattr(store, "_append", counted)
    await asyncio.gather(
        *(store.append(entries(f"{number}", 4)) for number in range(12)), store.append(entries("x", 30))
    )
    assert max(sizes) == 30
    assert all(size <= 10 or size == 30 for size in sizes)
    assert sum(sizes) == 78
    assert store._queued == 0


async def test_one_that_gives_up_does_not_hold_up_the_others(database: Database) -> None:
    store = PostgresLogStore(database)
    tasks = [asyncio.create_task(store.append(entries(f"{number}", 3))) for number in range(6)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[2], asyncio.CancelledError)
    assert all(isinstance(one, list) for place, one in enumerate(done) if place != 2)
    assert await store.append(entries("later", 1))


async def test_a_lost_database_is_told_to_everyone_who_waits(database: Database, settings: DatabaseSettings) -> None:
    store = PostgresLogStore(database)
    await store.append(entries("a", 3))
    holder, killer = psycopg.connect(plain(settings.owner_url)), psycopg.connect(plain(settings.url), autocommit=True)
    with holder, killer:
        holder.execute("LOCK TABLE log_state IN ACCESS EXCLUSIVE MODE")
        waiting = [asyncio.create_task(store.append(entries(f"{number}", 2))) for number in range(3)]
        while not all(task.done() for task in waiting):
            # The session that waits for the lock ends, and the one in which it is tried anew.
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND usename = current_user AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.02)
        done = await asyncio.gather(*waiting, return_exceptions=True)
        holder.rollback()
    assert all(isinstance(one, DatabaseUnavailable) for one in done)
    placed = await asyncio.gather(*(store.append(entries(f"{number}", 2)) for number in range(3)))
    assert sorted(index for indexes in placed for index in indexes) == list(range(3, 9))
    assert await root(store, 9) == await stored(store, 9)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_entry SET entry = entry",
        "DELETE FROM log_entry",
        "TRUNCATE log_entry",
        "UPDATE log_node SET hash = hash",
        "DELETE FROM log_node",
        "UPDATE log_checkpoint SET note = note",
        "DELETE FROM log_checkpoint",
        "UPDATE log_cosignature SET line = line",
        "DELETE FROM log_cosignature",
        "UPDATE log_witnessed SET size = size",
        "DELETE FROM log_timestamp",
        "DELETE FROM log_state",
    ],
)
async def test_the_application_can_only_add(settings: DatabaseSettings, statement: str) -> None:
    with psycopg.connect(plain(settings.url)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE log_entry SET leaf_hash = sha256(leaf_hash) WHERE leaf_index = 16",
        "UPDATE log_node SET hash = sha256(hash) WHERE level = 4",
        "DELETE FROM log_node WHERE level = 4",
    ],
)
async def test_nothing_is_signed_over_a_tree_that_does_not_extend_the_last(
    database: Database, settings: DatabaseSettings, tamper: str
) -> None:
    store, signed = PostgresLogStore(database), list[int]()

    def sign(size: int, root: bytes) -> str:
        signed.append(size)
        return "note"

    await store.append(entries("a", 17))
    assert await store.publish(sign, NOW)
    await store.append(entries("b", 1))
    with psycopg.connect(plain(settings.owner_url)) as connection:
        connection.execute(tamper)
    with pytest.raises(LogForked):
        await store.publish(sign, NOW)
    assert signed == [17]


async def test_a_tree_keeps_its_origin(database: Database) -> None:
    store = PostgresLogStore(database)
    await store.append(entries("a", 3))
    assert await store.publish(lambda size, root: "log.example/2026\n...", NOW)
    await store.append(entries("b", 1))
    with pytest.raises(LogForked):
        await store.publish(lambda size, root: "log.example/2027\n...", NOW)
    assert await store.publish(lambda size, root: "log.example/2026\n...", NOW)


async def test_receipts_wait_for_the_quorum_as_long_as_the_patience_and_no_longer(database: Database) -> None:
    store, checkpoints, clock = PostgresLogStore(database), PostgresCheckpointStore(database), FrozenClock(NOW)
    given: list[int] = []

    def sign(size: int, root: bytes) -> str:
        return f"log.example/2026\n{size}\n\n"

    service = LogService(store, checkpoints, sign, clock, timedelta(hours=4), given.append)
    await service.append(entries("a", 2))
    assert await service.publish()
    line = WitnessCosignature("witness.example/w1", "— witness\n", NOW)
    await checkpoints.cosign(2, [line], NOW)
    await service.append(entries("b", 2))
    clock.advance(timedelta(hours=1))
    assert await service.publish()

    async def under() -> list[str]:
        """By entry, the size of the checkpoint of its proof."""
        return [text and TlogProof.parse(text).checkpoint.split("\n")[1] for text in await service.proofs([1, 3])]

    assert (await service.checkpoint()).witnessed is False
    for wait in (timedelta(0), timedelta(hours=4)):
        clock.advance(wait)
        assert await under() == ["2", ""]
    assert given == []
    clock.advance(timedelta(seconds=1))
    assert await under() == ["4", "4"]
    assert given == [2]
    # Back at last: what is new waits again.
    await checkpoints.cosign(4, [replace(line, seen_at=clock())], clock())
    await service.append(entries("c", 1))
    assert await service.publish()
    assert await under() == ["4", "4"]
    assert list(await service.proofs([4])) == [""]
    assert given == [2]
    with pytest.raises(CheckpointNotFound):
        await service.proofs([0], 3)
    assert TlogProof.parse((await service.proofs([0], 2))[0]).checkpoint.endswith("— witness\n")
    # Where no witness is asked for, the newest will do.
    alone = LogService(store, checkpoints, sign, clock)
    assert (await alone.checkpoint()).witnessed
    assert list(await alone.proofs([4])) != [""]
