"""The schema on a real PostgreSQL: what migrations make, what the app user may do, and life without a database."""

from __future__ import annotations

import asyncio

import grpc
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from lienthong.identity.v1 import person_service_pb2_grpc
from sqlalchemy import Index, UniqueConstraint, create_engine

from deploy.local.postgres import PostgresServer
from services.identity.config import Settings
from services.identity.schema import METADATA
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import registration
from tests.integration.identity.test_persons import TIMEOUT, query, reason

DISTRIBUTION = {
    "person": "person_id",
    "person_identifier": "person_id",
    "person_event": "person_id",
    "identifier_lookup": "blind",
    "source_record": "facility_id",
}
APPEND_ONLY = ("person_identifier", "identifier_lookup", "person_event", "source_record", "registry_event")


def test_migrations_make_the_schema(settings: Settings) -> None:
    engine = create_engine(settings.database.owner_url or "")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert differences == []


@pytest.mark.parametrize("table", list(DISTRIBUTION))
def test_the_distribution_column_is_in_every_key(table: str) -> None:
    known = METADATA.tables[table]
    keys = [set(known.primary_key.columns.keys())]
    keys += [{column.name for column in one.columns} for one in known.constraints if isinstance(one, UniqueConstraint)]
    keys += [set(one.columns.keys()) for one in known.indexes if isinstance(one, Index) and one.unique]
    assert all(DISTRIBUTION[table] in key for key in keys)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_app_user_cannot_rewrite_history(settings: Settings, table: str) -> None:
    with psycopg.connect(settings.database.url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in (f'DELETE FROM "{table}"', f'TRUNCATE "{table}"', f'DROP TABLE "{table}"'):  # noqa: S608 - names of our own
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        column = METADATA.tables[table].primary_key.columns.keys()[0]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f'UPDATE "{table}" SET "{column}" = NULL'.encode())  # noqa: S608 - names of our own


async def test_a_database_that_is_down_is_unavailable_and_comes_back(
    identity: Running, postgres: PostgresServer
) -> None:
    async with identity.as_facility() as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        made = await stub.RegisterPerson(registration(), timeout=TIMEOUT)
        # The test server does not flush at every commit; what was written must be on disk before it is cut off.
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        postgres.crash()
        try:
            for refused_call in (
                stub.RegisterPerson(registration("001185000002"), timeout=TIMEOUT),
                stub.ResolvePersons(query(), timeout=TIMEOUT),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await refused_call
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
                assert reason(refused.value) == "DATABASE_UNAVAILABLE"
        finally:
            await asyncio.to_thread(postgres.restart)
        found = await stub.ResolvePersons(query(), timeout=TIMEOUT)
        assert [one.person for one in found.resolutions] == [made.person.name]
        assert (await stub.RegisterPerson(registration("001185000002"), timeout=TIMEOUT)).created
