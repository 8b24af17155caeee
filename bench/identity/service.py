"""Resolving through gRPC with mTLS: the identity role in processes of its own, PostgreSQL, and the caller, on the cores of this machine.

Latencies are those of single queries, one after the other, at one process of the role; rates are those of eight callers at once at two of them,
single and in batches.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import numpy as np
from lienthong.identity.v1 import (
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_service_pb2,
    person_service_pb2_grpc,
)
from lienthong.type.v1 import administrative_area_pb2, identifier_pb2

from bench.identity.load import Loaded, analyse, citizen_number, load
from bench.identity.population import Population, generate
from bench.identity.queries import JUDGE, NO_IDENTIFIER, Query, queries
from bench.role import FACILITY, NOBODY, ROOT, Role
from deploy.local.postgres import PostgresServer
from services.chassis.keyring import create_keyring
from services.chassis.migrations import upgrade
from services.chassis.principal import PrincipalKind
from services.identity.convert.scalars import demographics_message
from services.identity.matching.model import load_model

CALLERS, BATCH, PROCESSES = 8, 20, 2
_WARM = 400
Message = person_service_pb2.PersonQuery


def judge_service(persons: int, count: int, seed: int) -> dict[str, Any]:
    """All figures of one run: `count` queries by demographics, as many by a number, and as many of the whole mix."""
    server = PostgresServer(shared_buffers="2GB")
    try:
        server.start()
        with tempfile.TemporaryDirectory() as folder:
            return _judge(server, Path(folder), persons, count, seed)
    finally:
        server.stop()


def _judge(server: PostgresServer, folder: Path, persons: int, count: int, seed: int) -> dict[str, Any]:
    urls = server.create_role_database("identity")
    upgrade(ROOT / "services/identity/migrations", urls.owner_url)
    keyring = folder / "keyring.json"
    create_keyring(keyring)
    loaded = load(persons, seed, urls.app_url, keyring)
    analyse(server.url("identity"))
    population = generate(persons, seed)
    asked = list(queries(population, seed + 1, count + _WARM, JUDGE))
    plain = [one for one in asked if one.scenario in NO_IDENTIFIER]
    peers = {"CONSENT_ADDRESS": NOBODY, "REFERRALS_ADDRESS": NOBODY}
    with Role("identity", folder, urls.app_url, keyring, PROCESSES, peers) as role:
        figures = asyncio.run(_measure(role, population, loaded, plain, asked))
    return {
        "machine": {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()},
        "persons": persons,
        "seed": seed,
        "model": load_model().version,
        "load": {"seconds": round(loaded.seconds, 1), "per_s": round(persons / loaded.seconds)},
        **figures,
    }


def _message(query: Query, number: str | None) -> Message:
    message = Message(demographics=demographics_message(query.demographics))
    if query.estimated_age is not None:
        message.estimated_age = query.estimated_age
    if query.scenario == "emergency":
        message.context = person_service_pb2.QUERY_CONTEXT_EMERGENCY
    if number:
        message.identifiers.append(
            identifier_pb2.Identifier(type=identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID, value=number)
        )
    return message


async def _measure(
    role: Role, population: Population, loaded: Loaded, plain: Sequence[Query], asked: Sequence[Query]
) -> dict[str, Any]:
    by_demographics = [(_message(one, None), one.truth) for one in plain]
    numbered = [at for at in range(population.count) if citizen_number(population, at)]
    chosen = np.random.default_rng(5).choice(np.array(numbered), len(plain))
    by_number = [
        (_message(Query("number", population.demographics(at), at), citizen_number(population, at)), at)
        for at in map(int, chosen)
    ]
    whole = [
        (_message(one, None if one.number_of is None else citizen_number(population, one.number_of)), one.truth)
        for one in asked
    ]
    metadata = role.metadata(PrincipalKind.FACILITY)

    def resolver(channel: grpc.aio.Channel) -> Resolve:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)

        async def resolve(some: Sequence[Message]) -> Sequence[person_service_pb2.PersonResolution]:
            request = person_service_pb2.ResolvePersonsRequest(queries=some)
            answer = await stub.ResolvePersons(request, timeout=30, metadata=metadata)
            resolutions: Sequence[person_service_pb2.PersonResolution] = answer.resolutions
            return resolutions

        return resolve

    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(role.channel(number)) for number in range(PROCESSES)]
        await _create_facility(channels[0], role)
        names = {f"persons/{id}": at for at, id in enumerate(loaded.ids)}
        # The caller's own millions of objects are not what is measured.
        gc.collect()
        gc.freeze()
        processes = [resolver(channel) for channel in channels]
        figures: dict[str, Any] = {}
        for name, given in (("by_demographics", by_demographics), ("by_number", by_number), ("whole_mix", whole)):
            figures[name] = await _figures(processes, given, names)
    return figures


Resolve = Callable[[Sequence[Message]], Awaitable[Sequence[person_service_pb2.PersonResolution]]]


async def _figures(
    processes: Sequence[Resolve], given: Sequence[tuple[Message, int | None]], names: Mapping[str, int]
) -> dict[str, Any]:
    for message, _ in given[:_WARM]:
        for resolve in processes:
            await resolve([message])
    measured = given[_WARM:]
    milliseconds, right, wrong, review = [], 0, 0, 0
    for message, truth in measured:
        begin = time.perf_counter()
        (answer,) = await processes[0]([message])
        milliseconds.append((time.perf_counter() - begin) * 1e3)
        matched = answer.outcome == person_service_pb2.RESOLUTION_OUTCOME_MATCH
        right += matched and names[answer.person] == truth
        wrong += matched and names[answer.person] != truth
        review += answer.outcome == person_service_pb2.RESOLUTION_OUTCOME_REVIEW
    messages = [message for message, _ in measured]
    batches = [messages[start : start + BATCH] for start in range(0, len(messages), BATCH)]
    return {
        "queries": len(measured),
        "ms": {f"p{share:g}": round(float(np.percentile(milliseconds, share)), 2) for share in (50, 99, 99.9)},
        "singles_per_s": round(await _rate(processes, [[one] for one in messages])),
        "batched_per_s": round(await _rate(processes, batches)),
        "matched_right": right,
        "matched_wrong": wrong,
        "review": review,
    }


async def _rate(processes: Sequence[Resolve], batches: Sequence[Sequence[Message]]) -> float:
    """Queries/s with CALLERS callers, each with one call in flight."""

    async def caller(number: int) -> None:
        for batch in batches[number::CALLERS]:
            await processes[number % len(processes)](batch)

    begin = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    return sum(map(len, batches)) / (time.perf_counter() - begin)


async def _create_facility(channel: grpc.aio.Channel, role: Role) -> None:
    organization = organization_pb2.Organization(
        code=FACILITY,
        display_name="Bệnh viện",
        care_level=organization_pb2.CARE_LEVEL_BASIC,
        province=administrative_area_pb2.AdministrativeArea(
            province_code="01", era=administrative_area_pb2.AREA_ERA_PROVINCES_63
        ),
    )
    await organization_service_pb2_grpc.OrganizationServiceStub(channel).CreateOrganization(
        organization_service_pb2.CreateOrganizationRequest(request_id=str(uuid4()), organization=organization),
        timeout=10,
        metadata=role.metadata(PrincipalKind.ADMIN),
    )
