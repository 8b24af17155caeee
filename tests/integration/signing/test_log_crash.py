"""The log after a crash of its database in the middle of appends: whatever was answered is there, and the tree is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from lienthong.client.tlog.checkpoint import Checkpoint, sign_checkpoint
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from sqlalchemy.engine import make_url

from deploy.local.postgres import PostgresServer
from services.chassis.database import Database
from services.chassis.errors import DatabaseUnavailable
from services.chassis.migrations import upgrade
from services.chassis.settings import DatabaseSettings
from services.signing.fsck import Fsck
from services.signing.postgres import PostgresLogStore
from tests.fixtures.database import SERVICES
from tests.integration.signing.test_fsck import entry

LOG = NoteSigner.generate("log.example/2026")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server of the test's own, which it may kill."""
    server = PostgresServer(durable=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


async def test_a_crash_in_the_middle_of_appends(own: PostgresServer) -> None:
    urls = own.create_role_database("signing")
    upgrade(SERVICES / "signing/migrations", urls.owner_url)
    answered: dict[bytes, int] = {}
    number = 0

    def sign(size: int, root: bytes) -> str:
        return sign_checkpoint(Checkpoint(LOG.name, size, root), LOG)

    async def writer(store: PostgresLogStore) -> None:
        nonlocal number
        while True:
            batch = [entry("01001", number + offset + 1) for offset in range(20)]
            number += len(batch)
            try:
                answered.update(zip(batch, await store.append(batch), strict=True))
            except DatabaseUnavailable:
                return

    async with Database(DatabaseSettings(url=urls.app_url)) as database:
        store = PostgresLogStore(database)
        writers = [asyncio.create_task(writer(store)) for _ in range(4)]
        while len(answered) < 1000:
            await asyncio.sleep(0.01)
        assert await store.publish(sign, datetime.now(UTC))
        while len(answered) < 1500:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own.crash)
        await asyncio.gather(*writers)
        await asyncio.to_thread(own.restart)
        kept = await store.entries(0, 1_000_000)
        assert {one: kept[index] for one, index in answered.items()} == {one: one for one in answered}
        # What was in flight when it crashed may be sent again; nothing is there twice.
        await store.append([entry("01001", one + 1) for one in range(number)])
        assert len(await store.entries(0, 1_000_000)) == number
        assert await store.publish(sign, datetime.now(UTC))
    url = make_url(urls.app_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        check = Fsck(connection, TrustPolicy(logs=(LOG.verifier_key,)), [], datetime.now(UTC))
        assert list(check.run()) == []
        assert (check.summary.entries, check.summary.checkpoints) == (number, 2)
