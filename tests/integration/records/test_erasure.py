"""Erasure: what the law no longer keeps goes with its keys, and nobody else's is touched."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from lienthong.client.errors import LienthongError
from lienthong.records.v1 import document_service_pb2, erasure_service_pb2, erasure_service_pb2_grpc
from sqlalchemy.engine import make_url

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.keyring import FileKeyring, PersonKeys
from services.records.config import Settings
from services.records.formats.document import ContentKind
from services.records.postgres import PostgresStore
from services.records.retention import retention
from services.records.sensitivity import SensitivityClass
from tests.fakes.records_samples import episode
from tests.integration.records.conftest import CONSENT, EVERYTHING, Records, document, reason, said

READER = "79001"


async def destroy(settings: Settings, person: str) -> int:
    keys = PersonKeys(FileKeyring(settings.keyring), "records", system_clock)
    async with Database(settings.database) as database:
        return await database.write(lambda connection: keys.destroy(connection, UUID(person.removeprefix("persons/"))))


async def test_documents_and_health_book_of_an_erased_person_cannot_be_read(
    records: Records, settings: Settings
) -> None:
    records.consent.permissions = EVERYTHING
    erased, other = [await records.submit(document(episode(number), f"d{number}")) for number in (1, 2)]
    assert erased.person != other.person
    assert await destroy(settings, erased.person) == 1
    with pytest.raises(LienthongError) as refused:
        await records.get(erased.document, READER)
    assert reason(refused.value) == ("NOT_FOUND", "DATA_ERASED")
    book = document_service_pb2.GetHealthBookRequest(person=erased.person, context=CONSENT)
    with pytest.raises(LienthongError) as refused:
        await records.read("GetHealthBook", book, READER)
    assert refused.value.reason == "DATA_ERASED"
    assert (await records.get(other.document, READER)).signed_content.content == episode(2).content


async def test_the_facility_keeps_its_receipt_and_sends_anew_under_a_new_key(
    records: Records, settings: Settings
) -> None:
    records.consent.permissions = EVERYTHING
    first = await records.submit(document(episode(1), "d1"))
    await destroy(settings, first.person)
    again = await records.submit(document(episode(1), "d1"))
    assert again.receipt.promise == first.receipt.promise
    fresh = await records.submit(document(episode(1), "d2"))
    assert fresh.person == first.person
    assert (await records.get(fresh.document, READER)).signed_content.content == episode(1).content
    with pytest.raises(LienthongError) as refused:
        await records.get(first.document, READER)
    assert refused.value.reason == "DATA_ERASED"


async def erase(
    records: Records, persons: list[str], documents: tuple[str, ...] = ()
) -> erasure_service_pb2.EraseDocumentsResponse:
    request = erasure_service_pb2.EraseDocumentsRequest(
        persons=persons, documents=documents, subject_request=f"subjectRequests/{uuid4()}"
    )
    async with records.running.as_role("consent") as channel:
        stub = erasure_service_pb2_grpc.ErasureServiceStub(channel)
        answer: erasure_service_pb2.EraseDocumentsResponse = await said(stub.EraseDocuments(request, timeout=10))
        return answer


def rows(settings: Settings, statement: str, *values: object) -> list[tuple[object, ...]]:
    """As the owner of the database."""
    url = make_url(settings.database.owner_url or "").set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        done = connection.execute(statement.encode(), values)
        return done.fetchall() if done.description else []


def long_ago(settings: Settings, document: str, years: int) -> None:
    """The care lies so many years further back."""
    statement = (
        "UPDATE document SET care_start = care_start - make_interval(years => %s),"
        " care_end = care_end - make_interval(years => %s) WHERE id = %s"
    )
    rows(settings, statement, years, years, UUID(document.removeprefix("documents/")))


async def test_what_the_law_keeps_is_kept_and_said_and_what_it_does_not_is_gone(
    records: Records, settings: Settings
) -> None:
    records.consent.permissions = EVERYTHING
    old, young = [await records.submit(document(episode(1), name)) for name in ("d1", "d2")]
    (other,) = [await records.submit(document(episode(2), "d3"))]
    assert old.person == young.person != other.person
    long_ago(settings, old.document, 40)
    before = await erase(records, [other.person])
    assert (before.erased, before.retained) == (0, 1)
    assert before.article.startswith("Circular 33/2025/TT-BYT")
    done = await erase(records, [old.person])
    assert (done.erased, done.retained) == (1, 1)
    assert done.retain_until.ToDatetime(UTC) > system_clock()
    assert await erase(records, [old.person]) == done
    with pytest.raises(LienthongError) as refused:
        await records.get(old.document, READER)
    assert reason(refused.value) == ("NOT_FOUND", "DATA_ERASED")
    listing = document_service_pb2.ListDocumentsRequest(person=old.person, context=CONSENT)
    listed = await records.read("ListDocuments", listing, READER)
    assert [one.name for one in listed.documents] == [young.document]
    book = document_service_pb2.GetHealthBookRequest(person=old.person, context=CONSENT)
    assert len((await records.read("GetHealthBook", book, READER)).health_book.encounters) == 1
    assert (await records.get(young.document, READER)).signed_content.content == episode(1).content
    # Nothing of it lies anywhere, and the receipt holds all the same.
    id = UUID(old.document.removeprefix("documents/"))
    assert rows(settings, "SELECT length(content_sealed), signatures_sealed FROM document_body WHERE id = %s", id) == [
        (0, None)
    ]
    assert rows(settings, "SELECT count(*) FROM health_book WHERE document_id = %s", id) == [(0,)]
    again = await records.submit(document(episode(1), "d1"))
    assert again.receipt.promise == old.receipt.promise


async def test_only_those_named_go_and_the_key_goes_with_the_last(records: Records, settings: Settings) -> None:
    first, second = [await records.submit(document(episode(1), name)) for name in ("d1", "d2")]
    for one in (first, second):
        long_ago(settings, one.document, 40)
    person = UUID(first.person.removeprefix("persons/"))
    living = "SELECT count(*) FROM person_key WHERE person_id = %s AND wrapped IS NOT NULL"
    done = await erase(records, [first.person], (first.document,))
    assert (done.erased, done.retained, done.HasField("retain_until")) == (1, 0, False)
    assert rows(settings, living, person) == [(1,)]
    done = await erase(records, [first.person])
    assert (done.erased, done.retained) == (2, 0)
    assert rows(settings, living, person) == [(0,)]
    # What comes in later lies under a new key.
    records.consent.permissions = EVERYTHING
    fresh = await records.submit(document(episode(1), "d3"))
    assert (await records.get(fresh.document, READER)).signed_content.content == episode(1).content


async def test_a_key_does_not_go_while_a_document_comes_in(records: Records, settings: Settings) -> None:
    young = await records.submit(document(episode(1), "d1"))
    person = UUID(young.person.removeprefix("persons/"))
    async with Database(settings.database) as database:
        store = PostgresStore(database, FileKeyring(settings.keyring), system_clock)
        assert await store.destroy_empty_keys([person]) == 0
    assert (await erase(records, [young.person])).retained == 1
    records.consent.permissions = EVERYTHING
    assert (await records.get(young.document, READER)).signed_content.content == episode(1).content


async def test_requests_that_name_nobody_or_nothing_are_refused(records: Records) -> None:
    for persons, documents in (([], ()), (["persons/x"], ()), ([f"persons/{uuid4()}"], ("documents/x",))):
        with pytest.raises(LienthongError) as refused:
            await erase(records, persons, documents)
        assert refused.value.reason == "FIELD_INVALID"


@pytest.mark.parametrize(
    ("kinds", "classes", "years"),
    [
        ({ContentKind.PRESCRIPTION}, set(), 10),
        ({ContentKind.PRESCRIPTION, ContentKind.SERVICE}, set(), 20),
        ({ContentKind.PRESCRIPTION}, {SensitivityClass.PSYCHIATRIC}, 20),
        ({ContentKind.PRESCRIPTION}, {SensitivityClass.HIV}, 10),
        ({ContentKind.ENCOUNTER_SUMMARY, ContentKind.PRESCRIPTION}, set(), 30),
        ({ContentKind.DISCHARGE_PAPER}, set(), 30),
        (set(), set(), 30),
    ],
)
def test_the_longest_term_of_all_that_is_in_a_document_counts(
    kinds: set[ContentKind], classes: set[SensitivityClass], years: int
) -> None:
    end = datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert retention().until(kinds, classes, end) == end.replace(year=2026 + years)
    leap = datetime(2024, 2, 29, tzinfo=UTC)
    expected = datetime(2024 + years, 3, 1, tzinfo=UTC) if years % 4 else datetime(2024 + years, 2, 29, tzinfo=UTC)
    assert retention().until(kinds, classes, leap) == expected
