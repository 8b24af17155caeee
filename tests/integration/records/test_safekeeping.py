"""At rest and under faults: nothing readable in the database or the log, swaps are noticed, and outages lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from lienthong.client.errors import LienthongError, from_status
from lienthong.records.v1 import intake_service_pb2

from deploy.local.postgres import PostgresServer
from services.records.config import Settings
from services.records.schema import METADATA
from tests.fakes.records_samples import episode, parsed, unidentified
from tests.integration.records.conftest import EVERYTHING, Records, document, reason

READER = "79001"


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    url = (settings.database.owner_url or "").replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def test_no_row_holds_anything_of_a_person(records: Records, owner: psycopg.AsyncConnection[Any]) -> None:
    samples = [episode(5, referral_to="79001", follow_up=True), unidentified(2)]
    records.signing.covered = 0
    for at, sample in enumerate(samples):
        await records.submit(document(sample, f"d{at}"))
    with pytest.raises(LienthongError):
        await records.submit(document(samples[0].content.replace(b"GIAMDINHHS", b"GIAMDINHHX"), "refused"))
    dump = b""
    for table in METADATA.sorted_tables:
        async for row in await owner.execute(f'SELECT * FROM "{table.name}"'.encode()):
            dump += b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    assert b"refused" in dump
    for sample in samples:
        patient = parsed(sample).patient
        secrets = [patient.full_name, patient.address, *(one.value for one in patient.identifiers)]
        for secret in filter(lambda text: len(text) > 6, secrets):
            assert secret.encode() not in dump


async def test_no_log_line_names_a_person(records: Records, capfd: pytest.CaptureFixture[str]) -> None:
    sample = episode(1)
    records.consent.permissions = EVERYTHING
    answer = await records.submit(document(sample))
    await records.get(answer.document, READER)
    with pytest.raises(LienthongError):
        await records.submit(document(sample.content[:-20], "cut"))
    patient = parsed(sample).patient
    seen = capfd.readouterr()
    for secret in (patient.full_name, *(one.value for one in patient.identifiers)):
        assert secret not in seen.out + seen.err


async def test_swapped_rows_are_noticed(records: Records, owner: psycopg.AsyncConnection[Any]) -> None:
    one, two = await records.submit(document(episode(1))), await records.submit(document(episode(2), "b"))
    records.consent.permissions = EVERYTHING
    await owner.execute(
        "UPDATE document_body a SET content_sealed = b.content_sealed FROM document_body b WHERE a.id <> b.id"
    )
    for answer in (one, two):
        with pytest.raises(LienthongError) as refused:
            await records.get(answer.document, READER)
        assert reason(refused.value) == ("INTERNAL", "INTERNAL")
        assert refused.value.metadata["incident"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE submission SET sequence = 9",
        "DELETE FROM submission",
        "DELETE FROM state_change",
        "DELETE FROM document_body",
        "UPDATE document SET held = false",
        "DELETE FROM evidence",
        "UPDATE verdict SET occasion = 'RECEIVED'",
        "DELETE FROM verdict",
        "DELETE FROM signer",
        "DELETE FROM disclosure",
    ],
)
async def test_the_application_may_not_rewrite_what_happened(
    records: Records, settings: Settings, statement: str
) -> None:
    await records.submit(document(episode(1)))
    async with await psycopg.AsyncConnection.connect(settings.database.url.replace("+psycopg", "")) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())


async def test_a_database_that_goes_away_and_comes_back(records: Records, postgres: PostgresServer) -> None:
    first = await records.submit(document(episode(1)))
    records.consent.permissions = EVERYTHING
    postgres.crash()
    try:
        with pytest.raises(LienthongError) as refused:
            await records.submit(document(episode(2), "b"))
        assert reason(refused.value) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
        (result,) = await records.stream([document(episode(2), "b")])
        assert from_status(result.error).reason == "DATABASE_UNAVAILABLE"
        with pytest.raises(LienthongError) as refused:
            await records.get(first.document, READER)
        assert refused.value.reason == "DATABASE_UNAVAILABLE"
    finally:
        postgres.restart()
    for _ in range(50):
        try:
            second = await records.submit(document(episode(2), "b"))
            break
        except LienthongError:
            await asyncio.sleep(0.1)
    # What failed left no gap: numbers stay dense.
    assert second.sequence == 2
    assert (await records.get(first.document, READER)).signed_content.content == episode(1).content


async def test_every_growing_table_is_keyed_by_its_distribution_column() -> None:
    for table in METADATA.sorted_tables:
        # The outbox is the role's own queue: emptied as it is delivered, it does not grow with the nation.
        # Compromised keys are few, whatever the nation's documents; a followed feed has one cursor.
        if table.name.startswith("outbox") or table.name in {"key_compromise", "feed_cursor"}:
            continue
        keys = {column.name for column in table.primary_key.columns}
        column = "facility_id" if "facility_id" in keys else "person_id"
        assert column in keys, table.name
        for index in table.indexes:
            if index.unique:
                assert column in {one.name for one in index.columns}, index.name


async def test_the_migration_makes_what_the_schema_says(owner: psycopg.AsyncConnection[Any]) -> None:
    rows = await (
        await owner.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
    ).fetchall()
    made: dict[str, set[str]] = {}
    for table, column in rows:
        made.setdefault(table, set()).add(column)
    made.pop("alembic_version")
    assert made == {table.name: {column.name for column in table.columns} for table in METADATA.sorted_tables}
    rows = await (await owner.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")).fetchall()
    wanted = {str(index.name) for table in METADATA.sorted_tables for index in table.indexes}
    assert wanted <= {name for (name,) in rows}


async def test_many_documents_of_many_facilities(records: Records) -> None:
    batches = {
        code: [document(episode(seed, code), f"{code}-{seed}") for seed in range(30)] for code in ("01001", "79001")
    }
    results = await asyncio.gather(*(records.stream(batch, facility=code) for code, batch in batches.items()))
    for (code, batch), answered in zip(batches.items(), results, strict=True):
        assert {one.document_id for one in answered} == {one.document_id for one in batch}
        assert sorted(one.submission.sequence for one in answered) == list(range(1, 31)), code
    await asyncio.gather(*(records.until_logged(one.submission.name) for one in results[0][:5]))
    assert len(await _listed(records)) == 30


async def _listed(records: Records) -> list[Any]:
    request = intake_service_pb2.ListSubmissionsRequest(page_size=500)
    return list((await records.intake("ListSubmissions", request)).submissions)
