"""Loading a population over gRPC, through a database that dies on the way; the index made anew afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import grpc
import psycopg
import pytest
from google.type import date_pb2
from lienthong.identity.v1 import (
    person_pb2,
    person_service_pb2,
    person_service_pb2_grpc,
    population_service_pb2,
    population_service_pb2_grpc,
)
from lienthong.type.v1 import human_name_pb2, identifier_pb2

from deploy.local.postgres import PostgresServer
from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.keyring import FileKeyring, PersonKeys
from services.chassis.principal import PrincipalKind
from services.chassis.settings import DatabaseSettings
from services.identity.config import Settings
from services.identity.postgres.vault import Vault
from services.identity.reindex import Reindex
from tests.fixtures.identities import Running
from tests.integration.identity.test_persons import TIMEOUT, reason

PARTS, SIZE = 8, 100
FAMILIES = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng")
GIVENS = ("An", "Bình", "Châu", "Dũng", "Giang", "Hà", "Khôi")


def entry(at: int) -> population_service_pb2.PopulationEntry:
    return population_service_pb2.PopulationEntry(
        row=at + 1,
        identifiers=[
            identifier_pb2.Identifier(type=identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID, value=f"001085{at + 1:06}")
        ],
        demographics=person_pb2.Demographics(
            human_name=human_name_pb2.HumanName(text=f"{FAMILIES[at % 5]} Văn {GIVENS[at % 7]} {GIVENS[at // 7 % 7]}"),
            birth_date=date_pb2.Date(year=1940 + at % 80, month=1 + at % 12, day=1 + at % 28),
            phone=f"09{12_345_000 + at:08}",
        ),
        assurance=person_pb2.IDENTIFIER_ASSURANCE_REGISTRY,
    )


def part(number: int) -> population_service_pb2.LoadPopulationPartRequest:
    start = number * SIZE
    return population_service_pb2.LoadPopulationPartRequest(
        name="populationLoads/registry", part=number, entries=[entry(start + at) for at in range(SIZE)]
    )


async def test_a_load_goes_on_after_the_database_died_and_loads_everybody_once(
    identity: Running, postgres: PostgresServer, settings: Settings
) -> None:
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = population_service_pb2_grpc.PopulationServiceStub(channel)
        begin = population_service_pb2.CreatePopulationLoadRequest(request_id=str(uuid4()), source="registry")
        await stub.CreatePopulationLoad(begin, timeout=TIMEOUT)

        async def load() -> population_service_pb2.PopulationLoad:
            wanted = population_service_pb2.GetPopulationLoadRequest(name="populationLoads/registry")
            for _ in range(200):
                try:
                    at = (await stub.GetPopulationLoad(wanted, timeout=TIMEOUT)).load
                    while at.next_part < PARTS:
                        at = (await stub.LoadPopulationPart(part(at.next_part), timeout=TIMEOUT)).load
                    return at
                except grpc.aio.AioRpcError as error:
                    # An answer that was lost is asked for again: the load says what is next.
                    assert reason(error) == "DATABASE_UNAVAILABLE"
                    await asyncio.sleep(0.05)
            raise AssertionError("the database does not come back")

        async def die() -> None:
            await asyncio.sleep(0.3)
            # The test server does not flush at every commit; what was written must be on disk before it is cut off.
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
                connection.execute("CHECKPOINT")
            postgres.crash()
            await asyncio.to_thread(postgres.restart)

        done, _ = await asyncio.gather(load(), die())
        again = (await stub.LoadPopulationPart(part(PARTS - 1), timeout=TIMEOUT)).load
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.LoadPopulationPart(part(3), timeout=TIMEOUT)
    assert (done.entry_count, done.created_count, done.parts_loaded) == (PARTS * SIZE, PARTS * SIZE, PARTS)
    assert again == done
    assert reason(refused.value) == "POPULATION_PART_OUT_OF_ORDER"
    url = settings.database.url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        for table in ("person", "person_feature"):
            assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (PARTS * SIZE,)  # noqa: S608 - names of our own


async def test_bad_rows_are_listed_without_their_values(identity: Running) -> None:
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = population_service_pb2_grpc.PopulationServiceStub(channel)
        begin = population_service_pb2.CreatePopulationLoadRequest(request_id=str(uuid4()), source="registry")
        await stub.CreatePopulationLoad(begin, timeout=TIMEOUT)
        request = part(0)
        del request.entries[4:]
        request.entries[1].ClearField("identifiers")
        request.entries[2].demographics.birth_date.month = 13
        request.entries[3].ClearField("demographics")
        done = await stub.LoadPopulationPart(request, timeout=TIMEOUT)
        rows, token = [], ""
        while True:
            page = await stub.ListPopulationLoadErrors(
                population_service_pb2.ListPopulationLoadErrorsRequest(
                    name="populationLoads/registry", page_size=2, page_token=token
                ),
                timeout=TIMEOUT,
            )
            rows += [(one.row, one.field, one.reason) for one in page.errors]
            token = page.next_page_token
            if not token:
                break
    assert (done.load.created_count, done.load.rejected_count) == (1, 3)
    assert rows == [
        (2, "identifiers", "NATIONAL_IDENTIFIER_MISSING"),
        (3, "demographics.birth_date", "DATE_INVALID"),
        (4, "demographics.birth_date", "BIRTH_DATE_MISSING"),
        (4, "demographics.human_name", "NAME_MISSING"),
    ]


async def test_what_persons_are_found_by_is_made_anew(
    identity: Running, settings: Settings, keyring_file: Path
) -> None:
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = population_service_pb2_grpc.PopulationServiceStub(channel)
        begin = population_service_pb2.CreatePopulationLoadRequest(request_id=str(uuid4()), source="registry")
        await stub.CreatePopulationLoad(begin, timeout=TIMEOUT)
        await stub.LoadPopulationPart(part(0), timeout=TIMEOUT)
    query = person_service_pb2.PersonQuery(demographics=entry(7).demographics)

    async def outcome() -> int:
        async with identity.as_facility() as channel:
            resolving = person_service_pb2_grpc.PersonServiceStub(channel)
            request = person_service_pb2.ResolvePersonsRequest(queries=[query])
            return int((await resolving.ResolvePersons(request, timeout=TIMEOUT)).resolutions[0].outcome)

    before = await outcome()
    owner = settings.database.owner_url or ""
    with psycopg.connect(owner.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DELETE FROM block_key")
        connection.execute("UPDATE person_feature SET normaliser = 'names-1'")
    assert await outcome() == person_service_pb2.RESOLUTION_OUTCOME_NONE
    keyring = FileKeyring(keyring_file)
    async with Database(DatabaseSettings(owner)) as database:
        index = Reindex(database, Vault(keyring), PersonKeys(keyring, "identity", system_clock))
        done = await index.run(lambda _: None, batch=30)
        assert done.features == SIZE
        again = await Reindex(database, Vault(keyring), PersonKeys(keyring, "identity", system_clock)).run(
            lambda _: None
        )
        assert again.features == 0
    assert await outcome() == before == person_service_pb2.RESOLUTION_OUTCOME_MATCH
