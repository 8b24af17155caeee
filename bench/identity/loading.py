"""Loading a population as an operator does: numbered parts through gRPC with mTLS into the identity role and PostgreSQL, on the cores of this machine.

`one` is one list at one process of the role, a part after the other; `two` are two lists at two processes at once. While `one` is loading somebody
asks the same process for a load every 20 ms: how long such a call then takes says what a load costs those who are served meanwhile.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import numpy as np
from lienthong.identity.v1 import person_pb2, population_service_pb2, population_service_pb2_grpc
from lienthong.type.v1 import identifier_pb2

from bench.identity.load import citizen_number
from bench.identity.population import Population, generate
from bench.role import NOBODY, ROOT, Role
from deploy.local.postgres import PostgresServer
from services.chassis.keyring import create_keyring
from services.chassis.migrations import upgrade
from services.chassis.principal import PrincipalKind
from services.identity.convert.scalars import demographics_message

PART = 2_000
_SECONDS = 120.0
_BETWEEN = 0.02
Entry = population_service_pb2.PopulationEntry


def judge_loading(persons: int, seed: int) -> dict[str, Any]:
    """Rows/s of loading `persons` rows each way; every tenth is without a citizen number and so a bad row."""
    server = PostgresServer(shared_buffers="512MB")
    try:
        server.start()
        with tempfile.TemporaryDirectory() as folder:
            urls = server.create_role_database("identity")
            upgrade(ROOT / "services/identity/migrations", urls.owner_url)
            keyring = Path(folder) / "keyring.json"
            create_keyring(keyring)
            population = generate(3 * persons, seed)
            peers = {"CONSENT_ADDRESS": NOBODY, "REFERRALS_ADDRESS": NOBODY}
            with Role("identity", Path(folder), urls.app_url, keyring, 2, peers) as role:
                return asyncio.run(_measure(role, population, persons))
    finally:
        server.stop()


async def _measure(role: Role, population: Population, persons: int) -> dict[str, Any]:
    lists = [[_entry(population, at) for at in range(start, start + persons)] for start in (0, persons, 2 * persons)]
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(role.channel(number)) for number in range(2)]
        metadata = role.metadata(PrincipalKind.ADMIN)
        waits: list[float] = []
        await _load(first, metadata, "one", ())
        asking = asyncio.create_task(_ask(first, metadata, waits))
        one, seconds = await _load(first, metadata, "one", lists[0])
        asking.cancel()
        begin = time.perf_counter()
        await asyncio.gather(_load(first, metadata, "two", lists[1]), _load(second, metadata, "three", lists[2]))
        both = time.perf_counter() - begin
    return {
        "rows": one.entry_count,
        "created": one.created_count,
        "rejected": one.rejected_count,
        "one_rows_per_s": round(persons / seconds),
        "two_rows_per_s": round(2 * persons / both),
        "others_ms": {f"p{share}": round(float(np.percentile(waits, share)), 1) for share in (50, 99, 100)},
    }


async def _load(
    channel: grpc.aio.Channel, metadata: Sequence[tuple[str, str]], source: str, entries: Sequence[Entry]
) -> tuple[population_service_pb2.PopulationLoad, float]:
    stub = population_service_pb2_grpc.PopulationServiceStub(channel)
    begin = time.perf_counter()
    started = population_service_pb2.CreatePopulationLoadRequest(request_id=str(uuid4()), source=source)
    load = (await stub.CreatePopulationLoad(started, timeout=_SECONDS, metadata=metadata)).load
    for part, start in enumerate(range(0, len(entries), PART)):
        request = population_service_pb2.LoadPopulationPartRequest(
            name=load.name, part=part, entries=entries[start : start + PART]
        )
        load = (await stub.LoadPopulationPart(request, timeout=_SECONDS, metadata=metadata)).load
    return load, time.perf_counter() - begin


async def _ask(channel: grpc.aio.Channel, metadata: Sequence[tuple[str, str]], waits: list[float]) -> None:
    stub = population_service_pb2_grpc.PopulationServiceStub(channel)
    request = population_service_pb2.GetPopulationLoadRequest(name="populationLoads/one")
    while True:
        await asyncio.sleep(_BETWEEN)
        begin = time.perf_counter()
        await stub.GetPopulationLoad(request, timeout=_SECONDS, metadata=metadata)
        waits.append((time.perf_counter() - begin) * 1e3)


def _entry(population: Population, at: int) -> Entry:
    number = citizen_number(population, at)
    held = [identifier_pb2.Identifier(type=identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID, value=number)] if number else []
    return Entry(
        row=at + 1,
        identifiers=held,
        demographics=demographics_message(population.demographics(at)),
        assurance=person_pb2.IDENTIFIER_ASSURANCE_REGISTRY,
    )
