"""A population in the person index: entries written through the store of the identity role, by several processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from uuid import UUID

import psycopg

from bench.identity.population import Population, generate
from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import open_keyring
from services.chassis.settings import DatabaseSettings
from services.identity.model import (
    Assurance,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
)
from services.identity.ports import Transaction
from services.identity.postgres import PostgresStore

PART = 1000
WORKERS = 4
"""Processes: each waits for the database half of its time."""
_NUMBERED = 0.9
"""Share of the entries that have a citizen number."""
_A_MILLION = 1_000_000


@dataclass(frozen=True)
class Loaded:
    """`ids` are the entries by number of the person."""

    ids: list[UUID]
    seconds: float


def citizen_number(population: Population, at: int) -> str | None:
    """A citizen number: place, century and sex, year, and six digits (Decree 137/2015, art. 13)."""
    if at % 10 >= _NUMBERED * 10 or population.country[at]:
        return None
    year = int(population.year[at])
    century = (year // 100 - 19) * 2 + int(population.female[at])
    # Instead of the province the million, so that no two have one number.
    return f"{at // _A_MILLION + 1:03}{century}{year % 100:02}{at % _A_MILLION:06}"


def load(persons: int, seed: int, url: str, keyring: Path) -> Loaded:
    """Writes a population of this seed. The processes make it anew each, which is faster than sending it."""
    begin = time.perf_counter()
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        shares = [pool.submit(_share, persons, seed, url, keyring, number) for number in range(WORKERS)]
        found = dict(pair for share in shares for pair in share.result())
    return Loaded([found[at] for at in range(persons)], time.perf_counter() - begin)


def analyse(superuser_url: str) -> None:
    """What autovacuum would do in the hours after a load."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _share(persons: int, seed: int, url: str, keyring: Path, number: int) -> list[tuple[int, UUID]]:
    population = generate(persons, seed)
    mine = range(number, persons, WORKERS)
    return asyncio.run(
        _write(population, [mine[start : start + PART] for start in range(0, len(mine), PART)], url, keyring)
    )


async def _write(population: Population, parts: list[range], url: str, keyring: Path) -> list[tuple[int, UUID]]:
    made: list[tuple[int, UUID]] = []
    async with Database(DatabaseSettings(url=url, statement_timeout_ms=60_000)) as database:
        store = PostgresStore(database, open_keyring(keyring), system_clock)
        for part in parts:
            persons = [_person(population, at) for at in part]
            events = [PersonEvent(one.id, uuid7(), "PERSON_REGISTERED", one.created_at, "bench", {}) for one in persons]
            await store.write(partial(_add, persons, events))
            made += zip(part, (one.id for one in persons), strict=True)
    return made


async def _add(persons: Sequence[Person], events: Sequence[PersonEvent], transaction: Transaction) -> None:
    await transaction.add_persons(persons, events)


def _person(population: Population, at: int) -> Person:
    now = datetime.now(UTC)
    number = citizen_number(population, at)
    held: tuple[PersonIdentifier, ...] = ()
    if number is not None:
        key = IdentifierKey(IdentifierType.CITIZEN_ID.value, number)
        held = (PersonIdentifier(Identifier(IdentifierType.CITIZEN_ID, number), key, Assurance.TYPED, now),)
    return Person(uuid7(), PersonState.ACTIVE, population.demographics(at), held, None, now)
