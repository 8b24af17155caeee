"""Reading after a link: every entry's documents under every entry's name, held ones too, until the link is taken back. Nothing stored changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg
import pytest
from lienthong.client.errors import LienthongError
from lienthong.records.v1 import document_service_pb2, document_service_pb2_grpc, intake_service_pb2, submission_pb2
from lienthong.type.v1 import access_context_pb2
from sqlalchemy.engine import make_url

from services.chassis.feed import FollowSettings, Redirect
from services.records.config import Settings
from tests.fakes.person_feed import ScriptedFeed
from tests.fakes.records_samples import FACILITY, episode, unidentified
from tests.integration.records.conftest import (
    BY_LAW,
    CONSENT,
    EVERYTHING,
    Records,
    StartRecords,
    document,
    reason,
    said,
)

pb = document_service_pb2
READER = "79001"
HELD, RETRIEVABLE = submission_pb2.SUBMISSION_STATE_HELD, submission_pb2.SUBMISSION_STATE_RETRIEVABLE


@pytest.fixture
def feed() -> ScriptedFeed:
    return ScriptedFeed()


@pytest.fixture
async def records(start_records: StartRecords, feed: ScriptedFeed) -> Records:
    return await _start(start_records, feed, FollowSettings(30.0, 0.2))


@pytest.fixture
async def hasty(start_records: StartRecords, feed: ScriptedFeed) -> Records:
    """For whom the index is silent soon."""
    return await _start(start_records, feed, FollowSettings(0.4, 0.2))


async def _start(start_records: StartRecords, feed: ScriptedFeed, settings: FollowSettings) -> Records:
    running = await start_records(feed=settings, persons=feed.open)
    running.consent.permissions = EVERYTHING
    return running


def person(name: str) -> UUID:
    return UUID(name.removeprefix("persons/"))


async def listed(records: Records, name: str, facility: str = READER) -> pb.ListDocumentsResponse:
    response: pb.ListDocumentsResponse = await records.read(
        "ListDocuments", pb.ListDocumentsRequest(person=name, context=CONSENT), facility
    )
    return response


async def names(records: Records, name: str) -> set[str]:
    return {one.name for one in (await listed(records, name)).documents}


async def until(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(10):
        while await look() != wanted:
            await asyncio.sleep(0.01)


async def submission(records: Records, name: str) -> submission_pb2.Submission:
    request = intake_service_pb2.GetSubmissionRequest(name=name)
    found: submission_pb2.Submission = (await records.intake("GetSubmission", request)).submission
    return found


async def test_a_held_document_is_everybodys_who_may_once_its_entry_is_linked_and_not_any_longer_after(
    records: Records, feed: ScriptedFeed
) -> None:
    known = await records.submit(document(episode(1)))
    held = await records.submit(document(unidentified(1), "b"))
    assert held.state == HELD
    assert await names(records, known.person) == {known.document}
    assert await names(records, held.person) == set()
    feed.linked(person(held.person), person(known.person))
    both = {known.document, held.document}
    await until(lambda: names(records, known.person), both)
    assert await names(records, held.person) == both
    assert {one.person for one in (await listed(records, held.person)).documents} == {known.person}
    given = await records.get(held.document, READER)
    assert given.signed_content.content == unidentified(1).content
    book = pb.GetHealthBookRequest(person=held.person, context=CONSENT)
    visits = (await records.read("GetHealthBook", book, READER)).health_book.encounters
    assert {one.document for one in visits} == both
    feed.stands(person(held.person), held=True)
    await until(lambda: names(records, known.person), {known.document})
    assert await names(records, held.person) == set()
    with pytest.raises(LienthongError) as refused:
        await records.get(held.document, READER)
    assert reason(refused.value) == ("NOT_FOUND", "DOCUMENT_NOT_FOUND")
    # The facility that made it always has it.
    assert (await records.get(held.document, FACILITY, BY_LAW)).signed_content.content == unidentified(1).content


async def test_the_submission_says_so_and_its_receipt_and_answer_stay(records: Records, feed: ScriptedFeed) -> None:
    held = await records.submit(document(unidentified(2)))
    before = await records.until_logged(held.name)
    assert before.state == HELD
    known = await records.submit(document(episode(2), "b"))
    feed.linked(person(held.person), person(known.person))

    async def state() -> int:
        return int((await submission(records, held.name)).state)

    await until(state, submission_pb2.SUBMISSION_STATE_LOGGED)
    linked = await submission(records, held.name)
    assert linked.receipt == before.receipt
    assert [(one.state, one.reason) for one in linked.history if one.reason] == [(RETRIEVABLE, "IDENTITY_CONFIRMED")]
    assert [one.state for one in before.history] == [
        one.state for one in linked.history if one.reason != "IDENTITY_CONFIRMED"
    ]
    times = [one.change_time.ToDatetime() for one in linked.history]
    assert times == sorted(times)
    request = intake_service_pb2.ListSubmissionsRequest(state=HELD)
    assert not (await records.intake("ListSubmissions", request)).submissions
    feed.stands(person(held.person), held=True)
    await until(state, HELD)
    parted = await submission(records, held.name)
    assert parted.receipt == before.receipt
    assert [(one.state, one.reason) for one in parted.history if one.reason] == [(HELD, "IDENTITY_UNCONFIRMED")]
    assert [one.name for one in (await records.intake("ListSubmissions", request)).submissions] == [held.name]
    # What the same bytes get again is the first answer, byte for byte.
    assert await records.submit(document(unidentified(2))) == held


async def test_an_entry_that_is_confirmed_lets_its_documents_go(hasty: Records, feed: ScriptedFeed) -> None:
    held = await hasty.submit(document(unidentified(3)))
    assert await names(hasty, held.person) == set()
    feed.stands(person(held.person))
    await until(lambda: names(hasty, held.person), {held.document})
    # A confirmation is never taken back, so it counts while nothing is heard.
    feed.away = True
    await asyncio.sleep(0.8)
    assert await names(hasty, held.person) == {held.document}


async def test_while_the_index_is_silent_linked_entries_are_left_out_and_the_answer_says_so(
    hasty: Records, feed: ScriptedFeed
) -> None:
    known, other = await hasty.submit(document(episode(4))), await hasty.submit(document(episode(5), "b"))
    alone = await hasty.submit(document(episode(6), "c"))
    feed.linked(person(other.person), person(known.person))
    both = {known.document, other.document}
    await until(lambda: names(hasty, known.person), both)
    assert not _unconfirmed(await listed(hasty, known.person))
    feed.silent = True
    await until(lambda: names(hasty, known.person), {known.document})
    assert await names(hasty, other.person) == {other.document}
    assert _unconfirmed(await listed(hasty, known.person))
    book = await hasty.read("GetHealthBook", pb.GetHealthBookRequest(person=other.person, context=CONSENT), READER)
    assert [one.document for one in book.health_book.encounters] == [other.document]
    assert _unconfirmed(book)
    assert not _unconfirmed(await listed(hasty, alone.person))
    feed.silent = False
    await until(lambda: names(hasty, known.person), both)


def _unconfirmed(response: pb.ListDocumentsResponse | pb.GetHealthBookResponse) -> bool:
    return "LINKED_ENTRIES_UNCONFIRMED" in {one.reason for one in response.disclosure.withheld}


async def test_pages_run_over_all_entries_in_one_order(records: Records, feed: ScriptedFeed) -> None:
    sent = [await records.submit(document(episode(10 + at), f"d{at}")) for at in range(6)]
    root = sent[0].person
    feed.say(*(_linked(one.person, root) for one in sent[1:]))
    await until(lambda: names(records, root), {one.document for one in sent})
    seen, token = [], ""
    while True:
        request = pb.ListDocumentsRequest(person=sent[3].person, context=CONSENT, page_size=2, page_token=token)
        response = await records.read("ListDocuments", request, READER)
        seen += list(response.documents)
        token = response.next_page_token
        if not token:
            break
    assert len(seen) == len({one.name for one in seen}) == 6
    ends = [one.period.end_time.seconds for one in seen]
    assert ends == sorted(ends, reverse=True)


def _linked(name: str, root: str) -> Redirect:
    feed = ScriptedFeed()
    feed.linked(person(name), person(root))
    return feed.said[0][0]


async def test_a_citizen_whose_document_lies_under_another_entry_is_not_a_stranger(
    records: Records, feed: ScriptedFeed
) -> None:
    mine, other = await records.submit(document(episode(7))), await records.submit(document(episode(8), "b"))
    own = access_context_pb2.AccessContext(
        purpose=access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST, legal_basis=access_context_pb2.LEGAL_BASIS_OWN_DATA
    )
    feed.linked(person(other.person), person(mine.person))
    await until(lambda: names(records, mine.person), {mine.document, other.document})
    records.consent.permissions = ()
    async with records.running.as_citizen(mine.person) as channel:
        stub = document_service_pb2_grpc.DocumentServiceStub(channel)
        with pytest.raises(LienthongError) as refused:
            await said(stub.GetDocument(pb.GetDocumentRequest(name=other.document, context=own), timeout=5))
    # Refused by the decision, and told so; to a stranger the document would not be there.
    assert reason(refused.value) == ("PERMISSION_DENIED", "READ_NOT_PERMITTED")


async def test_no_row_of_a_document_changes_by_a_link(records: Records, feed: ScriptedFeed, settings: Settings) -> None:
    known, held = await records.submit(document(episode(9))), await records.submit(document(unidentified(9), "b"))
    await records.until_logged(held.name)
    await records.until_logged(known.name)
    before = await _rows(settings)
    feed.linked(person(held.person), person(known.person))
    await until(lambda: names(records, known.person), {known.document, held.document})
    feed.stands(person(held.person), held=True)
    await until(lambda: names(records, known.person), {known.document})
    assert await _rows(settings) == before


async def _rows(settings: Settings) -> dict[str, list[object]]:
    dsn = make_url(settings.database.owner_url or "").set(drivername="postgresql")
    tables = ("submission", "progress", "state_change", "document", "document_body", "health_book", "verdict")
    async with await psycopg.AsyncConnection.connect(dsn.render_as_string(hide_password=False)) as connection:
        found: dict[str, list[object]] = {}
        for table in tables:
            cursor = await connection.execute(f"SELECT xmin::text, t::text FROM {table} t ORDER BY 2".encode())
            found[table] = list(await cursor.fetchall())
        return found
