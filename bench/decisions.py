"""Decisions through gRPC with mTLS: the consent role in a process of its own, a PostgreSQL that waits for its disk, and the callers.

Load is open: calls start when they are due, whether or not earlier ones were answered, and their time counts from then, so that waiting is part of
what is measured. Every decision is on the ledger, durable, before its answer leaves.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc
from joserfc.jwk import ECKey
from lienthong.consent.v1 import decision_service_pb2, decision_service_pb2_grpc
from lienthong.type.v1 import access_context_pb2, document_kind_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.role import FACILITY, NOBODY, ROOT, Role
from deploy.local.postgres import PostgresServer
from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.feed import entries_of
from services.chassis.identifiers import uuid7
from services.chassis.keyring import create_keyring, open_keyring
from services.chassis.migrations import upgrade
from services.chassis.principal import Principal, PrincipalKind
from services.chassis.settings import DatabaseSettings
from services.consent import record
from services.consent.decision import Asked
from services.consent.model import ALWAYS, Basis, Kind, Purpose, Query
from services.consent.policy import rule_on
from services.consent.postgres import PostgresStore
from services.consent.postgres.gathering import gather
from services.consent.registry import NAME as REGISTRY
from services.consent.service.decisions import DecisionService, requester_of

_TOGETHER = 10
"""Queries of a call that asks for several persons."""
_WARM = 300
_APPENDS = 400
_SEED = 11
_PERSON = "lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000001'"
# One consent each, for the facility that asks or for another; ledgers that have begun.
_FILL = (
    f"""
    INSERT INTO consent (person_id, id, purpose, kinds, duration_seconds, organization, channel, text_version, text_sha256, acr, granted_at)
    SELECT CAST({_PERSON} AS uuid), gen_random_uuid(), 'TREATMENT', '{{ENCOUNTER_SUMMARY,PRESCRIPTION}}', 30 * 86400,
           CASE WHEN n %% 10 < 8 THEN '{FACILITY}' ELSE '79001' END, 'NATIONAL_ID_APP', '2026-11', repeat('0', 64), 'loa3', now() - interval '1 day'
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
    """,  # noqa: S608 - constants
    f"""
    INSERT INTO ledger_head (person_id, sequence, hash, anchored_sequence)
    SELECT CAST({_PERSON} AS uuid), 3, decode(repeat('ab', 32), 'hex'), 3 FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
    """,  # noqa: S608 - constants
)
_PIECE = 100_000
_CALLERS = 16
_KINDS = frozenset({Kind.ENCOUNTER_SUMMARY, Kind.PRESCRIPTION})
_METHOD = "lienthong.records.v1.DocumentService/GetDocument"


def decision_figures(full: bool, figure: Callable[[Sequence[float], str, int], dict[str, Any]]) -> dict[str, Any]:
    """Figures over a million consents, or 100,000."""
    server = PostgresServer(shared_buffers="1GB", durable=True)
    try:
        server.start()
        with tempfile.TemporaryDirectory() as folder:
            return _figures(server, Path(folder), 1_000_000 if full else 100_000, 20.0 if full else 6.0, figure)
    finally:
        server.stop()


def _figures(
    server: PostgresServer,
    folder: Path,
    persons: int,
    seconds: float,
    figure: Callable[[Sequence[float], str, int], dict[str, Any]],
) -> dict[str, Any]:
    urls = server.create_role_database("consent")
    upgrade(ROOT / "services/consent/migrations", urls.owner_url)
    keyring, key, jwks = folder / "keyring.json", folder / "client.jwk", folder / "jwks.json"
    create_keyring(keyring)
    provider = ECKey.generate_key("P-256")
    key.write_text(json.dumps(provider.as_dict(private=True)), "utf-8")
    jwks.write_text(json.dumps({"keys": [provider.as_dict(private=False)]}), "utf-8")
    _fill(server.url("consent"), persons)
    drawn = random.Random(_SEED)
    people = [UUID(f"{drawn.randint(1, persons):08x}-0000-7000-8000-000000000001") for _ in range(200_000)]
    appended = asyncio.run(_append(urls.app_url, keyring, people[-_APPENDS * 3 :]))
    settings = {
        "IDENTITY_ADDRESS": NOBODY,
        "SIGNING_ADDRESS": NOBODY,
        "RECORDS_ADDRESS": NOBODY,
        "CIBA_ISSUER": f"https://{NOBODY}",
        "CIBA_JWKS": str(jwks),
        "CIBA_AUTHORITY": str(folder / "pki" / "ca.pem"),
        "CIBA_CLIENT_ID": "bench",
        "CIBA_CLIENT_KEY": str(key),
    }
    with Role("consent", folder, urls.app_url, keyring, 1, settings) as role:
        measured = asyncio.run(_measure(role, people, seconds))
    return {
        name: figure(raw, "1/s" if name.endswith("per_s") else "ms", persons)
        for name, raw in (appended | measured).items()
    }


def _fill(url: str, persons: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for first in range(1, persons + 1, _PIECE):
            for statement in _FILL:
                connection.execute(statement.encode(), {"first": first, "last": min(first + _PIECE - 1, persons)})
        connection.execute(
            "INSERT INTO registered_organization (organization, state, care_level, changed_at) VALUES (%s, 'ACTIVE', 'BASIC', now())",
            (FACILITY,),
        )
        until = datetime.now(UTC) + timedelta(days=1)
        connection.execute(
            "INSERT INTO feed_cursor (name, cursor, holder, holds_until, fresh_until)"
            " VALUES (%s, '', '00000000-0000-0000-0000-000000000000', now(), %s)",
            (REGISTRY, until),
        )
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


async def _append(url: str, keyring: Path, people: Sequence[UUID]) -> dict[str, list[float]]:
    """Milliseconds of a decision without any RPC, and of the same where nothing is kept: the difference is the ledger."""
    async with Database(DatabaseSettings(url)) as database:
        service = DecisionService(PostgresStore(database, open_keyring(keyring), system_clock), system_clock, uuid7)
        principal = Principal(kind=PrincipalKind.FACILITY, subject="bench", facility=FACILITY)

        async def kept(person: UUID) -> None:
            await service.decide(principal, [_query(person)], "")

        async def looked(person: UUID) -> None:
            asked = Asked(_query(person), requester_of(principal), "")

            async def work(connection: AsyncConnection) -> Mapping[str, Any]:
                entries = await entries_of(connection, [person])
                return (await gather(connection, [asked], entries, system_clock()))[0]

            rule_on(record.facts_of(asked.query, asked.requester, system_clock(), await database.read(work)))

        whole: list[float] = []
        bare: list[float] = []
        for number, person in enumerate(people):
            timed, into = (kept, whole) if number % 2 else (looked, bare)
            begin = time.perf_counter()
            await timed(person)
            into.append((time.perf_counter() - begin) * 1e3)
    warm = len(whole) // 6
    ledger = percentile(whole[warm:], 0.5) - percentile(bare[warm:], 0.5)
    return {
        "consent.ledger_append.p50_ms": [ledger],
        "consent.decision_without_ledger.p50_ms": [percentile(bare[warm:], 0.5)],
    }


async def _measure(role: Role, people: Sequence[UUID], seconds: float) -> dict[str, list[float]]:
    metadata = role.metadata(PrincipalKind.FACILITY)
    rest = iter(people)
    figures: dict[str, list[float]] = {}
    async with role.channel(0, "records") as channel:
        stub = decision_service_pb2_grpc.DecisionServiceStub(channel)
        health = health_pb2_grpc.HealthStub(channel)

        async def decide(queries: Sequence[decision_service_pb2.DecisionQuery]) -> None:
            request = decision_service_pb2.DecideRequest(queries=queries)
            answer = await stub.Decide(request, timeout=10, metadata=metadata)
            if len(answer.decisions) != len(queries):
                raise SystemExit("a decision is missing")

        async def check(_: Sequence[decision_service_pb2.DecisionQuery]) -> None:
            await health.Check(health_pb2.HealthCheckRequest(), timeout=10)

        for _ in range(_WARM):
            await decide([_message(next(rest))])
        # The caller's own objects are not what is measured.
        gc.collect()
        gc.freeze()
        floor = await _open_loop(check, [[] for _ in range(int(500 * seconds))], 500)
        figures["consent.floor_health_check_500_per_s.p99_ms"] = [percentile(floor, 0.99)]
        for together, rate in ((1, 100), (_TOGETHER, 500), (_TOGETHER, 1000)):
            count = int(rate * seconds)
            queries = [_message(next(rest)) for _ in range(count)]
            calls = [queries[start : start + together] for start in range(0, count, together)]
            taken = await _open_loop(decide, calls, rate / together)
            name = f"consent.decide_{rate}_per_s_by_{together}"
            figures[f"{name}.p50_ms"] = [percentile(taken, 0.5)]
            figures[f"{name}.p99_ms"] = [percentile(taken, 0.99)]
        figures |= await _closed_loop(decide, rest, int(2000 * seconds / 6))
    return figures


async def _open_loop(
    call: Callable[[Sequence[decision_service_pb2.DecisionQuery]], Awaitable[None]],
    calls: Sequence[Sequence[decision_service_pb2.DecisionQuery]],
    per_second: float,
) -> list[float]:
    """Milliseconds of each call from when it was due."""
    taken: list[float] = []
    start = time.perf_counter() + 0.05

    async def one(queries: Sequence[decision_service_pb2.DecisionQuery], due: float) -> None:
        await call(queries)
        taken.append((time.perf_counter() - due) * 1e3)

    # A Poisson process: callers don't wait for one another. The group ends when all have answered.
    drawn, due = random.Random(_SEED), start
    async with asyncio.TaskGroup() as group:
        for queries in calls:
            due += drawn.expovariate(per_second)
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(one(queries, due))
    return taken


async def _closed_loop(
    decide: Callable[[Sequence[decision_service_pb2.DecisionQuery]], Awaitable[None]],
    people: Iterator[UUID],
    count: int,
) -> dict[str, list[float]]:
    """Decisions/s with 16 callers, each with one call in flight: of one query, and of ten."""
    figures = {}
    for together in (1, _TOGETHER):
        queries = [_message(next(people)) for _ in range(count)]
        calls = iter([queries[start : start + together] for start in range(0, count, together)])

        async def caller(calls: Iterator[Sequence[decision_service_pb2.DecisionQuery]] = calls) -> None:
            for one in calls:
                await decide(one)

        begin = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(_CALLERS)))
        figures[f"consent.decide_closed_by_{together}.per_s"] = [count / (time.perf_counter() - begin)]
    return figures


def _query(person: UUID) -> Query:
    return Query(person, Purpose.TREATMENT, Basis.CONSENT, _KINDS, ALWAYS, _METHOD)


def _message(person: UUID) -> decision_service_pb2.DecisionQuery:
    return decision_service_pb2.DecisionQuery(
        person=f"persons/{person}",
        context=access_context_pb2.AccessContext(
            purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_CONSENT
        ),
        kinds=[document_kind_pb2.DOCUMENT_KIND_ENCOUNTER_SUMMARY, document_kind_pb2.DOCUMENT_KIND_PRESCRIPTION],
        method=_METHOD,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile of measured values, no interpolation."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
