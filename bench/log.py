"""The transparency log on its own: appends into the store and over gRPC on a PostgreSQL that waits for its disk, and bytes per entry."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
from lienthong.signing.v1 import log_service_pb2, log_service_pb2_grpc
from sqlalchemy.engine import make_url

from deploy.local.pki import Pki
from deploy.local.postgres import PostgresServer
from services.chassis.database import Database
from services.chassis.lifecycle import Lifecycle
from services.chassis.migrations import upgrade
from services.chassis.server import Server
from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings
from services.signing.__main__ import compose
from services.signing.config import Settings
from services.signing.postgres import PostgresLogStore

BATCH, WRITERS = 500, 8
_MIGRATIONS = Path(__file__).resolve().parents[1] / "services/signing/migrations"
Append = Callable[[Sequence[bytes]], Awaitable[object]]


def entry(number: int, salt: str) -> bytes:
    """An entry as records writes it."""
    value = {
        "v": 1,
        "kind": "INSURANCE_RECORD",
        "facility": f"{number % 50:05}",
        "sequence": number // 50 + 1,
        "submission": f"0190a000-0000-7000-8000-{number:012}",
        "commitment": hashlib.sha256(f"{salt}{number}".encode()).hexdigest(),
        "signer_certificate_sha256": "ab" * 32,
        "indication": "TOTAL_PASSED",
        "received_at": "2026-11-23T04:05:06.789012Z",
    }
    return json.dumps(value, separators=(",", ":")).encode()


async def rate(append: Append, entries: Sequence[bytes]) -> float:
    """Entries/s with WRITERS callers, each with one batch in flight."""
    batches = [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]

    async def writer(share: Sequence[Sequence[bytes]]) -> None:
        for batch in share:
            await append(batch)

    started = time.perf_counter()
    await asyncio.gather(*(writer(batches[number::WRITERS]) for number in range(WRITERS)))
    return len(entries) / (time.perf_counter() - started)


async def measure(folder: Path, server: PostgresServer, size: int, repeats: int) -> dict[str, list[float]]:
    """Entries/s through the store and over gRPC, and bytes on disk per entry with its indexes and nodes."""
    urls = server.create_role_database("signing")
    await asyncio.to_thread(upgrade, _MIGRATIONS, urls.owner_url)
    database = DatabaseSettings(url=urls.app_url)
    raw: dict[str, list[float]] = {"store": [], "grpc": [], "bytes": []}
    async with Database(database) as opened:
        store = PostgresLogStore(opened)
        await rate(store.append, [entry(number, "warm") for number in range(size // 4)])
        for repeat in range(repeats):
            raw["store"].append(await rate(store.append, [entry(number, f"s{repeat}") for number in range(size)]))
    async with Lifecycle() as life:
        append = await _over_grpc(folder, database, life)
        await rate(append, [entry(number, "warm grpc") for number in range(size // 4)])
        for repeat in range(repeats):
            raw["grpc"].append(await rate(append, [entry(number, f"g{repeat}") for number in range(size)]))
    total = 2 * repeats * size + size // 4 * 2
    tables = ("log_entry", "log_node")
    owner = make_url(urls.owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(owner) as connection:
        sizes = [
            connection.execute("SELECT pg_total_relation_size(%s::regclass)", [table]).fetchone() for table in tables
        ]
    raw["bytes"].append(sum(row[0] for row in sizes if row) / total)
    return raw


async def _over_grpc(folder: Path, database: DatabaseSettings, life: Lifecycle) -> Append:
    """The role in this process and a channel to it as records has one."""
    pki = Pki(folder / "pki")
    (folder / "issuers.json").write_text("{}", "utf-8")
    pair, records = pki.workload("signing"), pki.workload("records")
    served = ServerSettings(
        certificate=pair.certificate,
        private_key=pair.private_key,
        authority=pki.authority,
        token_issuers=folder / "issuers.json",
        drain_seconds=0.0,
    )
    settings = Settings(
        server=served,
        database=replace(database),
        telemetry=TelemetrySettings(log_level="error"),
        log_key=pki.ed25519("log"),
        log_origin="log.example/bench",
        checkpoint_interval=timedelta(seconds=1),
    )
    address = await life.enter(_serving(await compose(settings, life)))
    credentials = grpc.ssl_channel_credentials(
        pki.authority.read_bytes(), records.private_key.read_bytes(), records.certificate.read_bytes()
    )
    options = [("grpc.ssl_target_name_override", "signing.lienthong.internal")]
    channel = await life.enter(grpc.aio.secure_channel(address, credentials, options=options))
    stub = log_service_pb2_grpc.LogAppendServiceStub(channel)

    async def append(entries: Sequence[bytes]) -> object:
        return await stub.AppendEntries(log_service_pb2.AppendEntriesRequest(entries=entries), timeout=30)

    return append


@asynccontextmanager
async def _serving(server: Server) -> AsyncIterator[str]:
    address = await server.start()
    try:
        yield address
    finally:
        await server.stop()


def log_figures(full: bool, figure: Callable[[Sequence[float], str, int], dict[str, Any]]) -> dict[str, Any]:
    """The log's figures; `figure` makes one from its raw values, unit and size."""
    size, repeats = (100_000, 5) if full else (20_000, 3)
    server = PostgresServer(durable=True)
    try:
        server.start()
        with tempfile.TemporaryDirectory() as folder:
            raw = asyncio.run(measure(Path(folder), server, size, repeats))
    finally:
        server.stop()
    return {
        "signing.log.entries_per_s": figure(raw["store"], "1/s", size),
        "signing.log.grpc_entries_per_s": figure(raw["grpc"], "1/s", size),
        "signing.log.bytes_per_entry": figure(raw["bytes"], "B", size) | {"entry_bytes": len(entry(1, ""))},
    }
