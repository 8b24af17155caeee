"""The stewards' desk over the wire: linking, parting, refusing, moving, and looking back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.identity.v1 import (
    person_link_pb2,
    person_link_service_pb2,
    person_link_service_pb2_grpc,
    person_service_pb2_grpc,
    source_record_service_pb2_grpc,
)

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.chassis.principal import PrincipalKind
from services.identity.config import Settings
from services.identity.links import LinkMethod, PersonLink
from services.identity.ports import Transaction
from services.identity.postgres import PostgresStore
from services.identity.service.links import LinkService
from tests.fixtures.identities import Running
from tests.integration.identity.stewards import Steward, link_request, own, steward, wrong_fields
from tests.integration.identity.test_persons import MATCH, TIMEOUT, batch, query, reason

ONE, TWO, THREE, FOUR = "001185000001", "001185000002", "001185000003", "001185000004"
ACTIVE = person_link_pb2.PERSON_LINK_STATE_ACTIVE
PROPOSED = person_link_pb2.PERSON_LINK_STATE_PROPOSED
UNLINKED = person_link_pb2.PERSON_LINK_STATE_UNLINKED
DECLINED = person_link_pb2.PERSON_LINK_STATE_DECLINED
NOBODY = f"persons/{UUID(int=1)}"


@pytest.fixture
def consent_address(decision_point: Running) -> str:
    """Persons are read here, and each read rests on a decision."""
    return decision_point.address


async def found(identity: Running, number: str) -> str:
    """Who a facility finds by a number."""
    async with identity.as_facility("79002") as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        (answer,) = (await stub.ResolvePersons(query(value=number), timeout=TIMEOUT)).resolutions
    assert answer.outcome == MATCH
    return answer.person


async def test_linked_and_parted_as_everybody_sees_it(identity: Running) -> None:
    async with steward(identity) as desk:
        one, two, three = [await desk.register(number) for number in (ONE, TWO, THREE)]
        before = {name: await own(identity, name) for name in (one, two, three)}
        first = await desk.link(one, two)
        second = await desk.link(one, three)
        assert (first.person, first.target, first.state) == (one, two, ACTIVE)
        # The one that answers for it is linked, so that a name redirects in one step whatever comes later.
        assert (second.person, second.target) == (two, three)
        for name, number in ((one, ONE), (two, TWO), (three, THREE)):
            seen = (await desk.person(name)).person
            assert (seen.name, seen.redirected_from) == (three, "" if name == three else name)
            assert set(seen.superseded) == {one, two}
            assert {held.identifier.value for held in seen.identifiers} == {ONE, TWO, THREE}
            assert await found(identity, number) == three
        ended = await desk.unlink(second.name, second.etag)
        assert (ended.link.state, list(ended.review_tasks)) == (UNLINKED, [])
        assert (await desk.person(one)).person.name == two
        assert await found(identity, THREE) == three
        await desk.unlink(first.name)
        assert {name: await own(identity, name) for name in (one, two, three)} == before
        for name, number in ((one, ONE), (two, TWO), (three, THREE)):
            assert await found(identity, number) == name


async def test_a_citizen_and_a_facility_keep_the_name_they_know(identity: Running) -> None:
    async with steward(identity) as desk:
        one, two = await desk.register(ONE), await desk.register(TWO)
        await desk.link(one, two)
    async with identity.as_citizen(one) as channel:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        for name in (one, two):
            seen = (await Steward(desk.links, stub).person(name)).person
            assert (seen.name, list(seen.superseded)) == (two, [one])


async def test_retries_etags_and_what_is_refused(identity: Running) -> None:
    async with steward(identity) as desk:
        one, two, three = [await desk.register(number) for number in (ONE, TWO, THREE)]
        wish = link_request(one, two)
        wish.target_etag = (await own(identity, two)).etag
        made = await desk.links.LinkPersons(wish, timeout=TIMEOUT)
        assert await desk.links.LinkPersons(wish, timeout=TIMEOUT) == made
        stale = link_request(three, two)
        stale.target_etag = wish.target_etag
        reused = link_request(three, two)
        reused.request_id = wish.request_id
        part = person_link_service_pb2.UnlinkPersonsRequest(
            request_id=str(uuid4()), name=made.link.name, etag='"9"', reason="TWINS"
        )
        for request, code, why in (
            (stale, "ABORTED", "ETAG_MISMATCH"),
            (reused, "ALREADY_EXISTS", "REQUEST_ID_REUSED"),
            (link_request(two, one), "ALREADY_EXISTS", "ALREADY_LINKED"),
            (link_request(one, NOBODY), "NOT_FOUND", "PERSON_NOT_FOUND"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await desk.links.LinkPersons(request, timeout=TIMEOUT)
            assert (refused.value.code().name, reason(refused.value)) == (code, why)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.UnlinkPersons(part, timeout=TIMEOUT)
        assert reason(refused.value) == "ETAG_MISMATCH"
        part.etag, part.request_id = made.link.etag, str(uuid4())
        ended = await desk.links.UnlinkPersons(part, timeout=TIMEOUT)
        assert await desk.links.UnlinkPersons(part, timeout=TIMEOUT) == ended
        assert (await desk.links.GetPersonLink(_get(made.link.name), timeout=TIMEOUT)).link == ended.link
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.unlink(made.link.name)
        assert reason(refused.value) == "PERSON_LINK_STATE"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.GetPersonLink(_get(f"personLinks/{UUID(int=1)}"), timeout=TIMEOUT)
        assert (refused.value.code().name, reason(refused.value)) == ("NOT_FOUND", "PERSON_LINK_NOT_FOUND")


def _get(name: str) -> person_link_service_pb2.GetPersonLinkRequest:
    return person_link_service_pb2.GetPersonLinkRequest(name=name)


async def test_every_wrong_field_is_named_at_once(identity: Running) -> None:
    async with steward(identity) as desk:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.LinkPersons(
                person_link_service_pb2.LinkPersonsRequest(
                    request_id="1", person="Nguyễn Thị Hoà", target="organizations/01001", reason="because"
                ),
                timeout=TIMEOUT,
            )
        assert wrong_fields(refused.value).keys() == {"request_id", "person", "target", "reason"}
        assert wrong_fields(refused.value)["reason"] == "REASON_INVALID"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.RefuseLink(person_link_service_pb2.RefuseLinkRequest(), timeout=TIMEOUT)
        assert wrong_fields(refused.value).keys() == {"request_id", "person", "other_person", "reason"}
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.GetPersonAsOf(person_link_service_pb2.GetPersonAsOfRequest(), timeout=TIMEOUT)
        assert wrong_fields(refused.value).keys() == {"name", "as_of_time"}


@pytest.mark.parametrize("kind", [PrincipalKind.ADMIN, PrincipalKind.AUDITOR, PrincipalKind.MINISTRY])
async def test_nobody_but_a_steward_links(identity: Running, kind: PrincipalKind) -> None:
    async with identity.as_officer(kind) as channel:
        stub = person_link_service_pb2_grpc.PersonLinkServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.LinkPersons(link_request(NOBODY, NOBODY), timeout=TIMEOUT)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_verified_numbers_that_differ_take_two_stewards(identity: Running) -> None:
    async with steward(identity) as desk, steward(identity, "steward-2") as second:
        one, two = [await desk.register(number, verified=True) for number in (ONE, TWO)]
        proposed = await desk.link(one, two)
        assert proposed.state == PROPOSED
        assert (await desk.person(one)).person.name == one
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.link(one, two)
        assert reason(refused.value) == "SECOND_STEWARD_REQUIRED"
        agreed = await second.link(one, two)
        assert (agreed.name, agreed.state) == (proposed.name, ACTIVE)
        assert (await desk.person(one)).person.name == two
        three, four = [await desk.register(number, verified=True) for number in (THREE, FOUR)]
        declined = await second.unlink((await desk.link(three, four)).name)
        assert declined.link.state == DECLINED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await second.link(three, four)
        assert reason(refused.value) == "LINK_REFUSED"


@pytest.fixture
def machine(settings: Settings, keyring_file: Path) -> Machine:
    return Machine(settings, keyring_file)


class Machine:
    """What links by rule and by model within the role, on the same database."""

    def __init__(self, settings: Settings, keyring: Path) -> None:
        self._settings = settings
        self._keyring = keyring

    async def link(self, person: str, target: str) -> PersonLink:
        async with Database(self._settings.database) as database:
            store = PostgresStore(database, FileKeyring(self._keyring), system_clock)
            links = LinkService(store, system_clock, uuid7)

            async def work(transaction: Transaction) -> PersonLink:
                return await links.link(
                    transaction,
                    person=UUID(person.removeprefix("persons/")),
                    target=UUID(target.removeprefix("persons/")),
                    method=LinkMethod.MODEL,
                    evidence=None,
                    actor="WORKLOAD/records",
                    reason="SCORE",
                    score=31.5,
                    model_version="fs-2026-11",
                )

            return await store.write(work)


async def test_a_steward_outranks_the_machine_and_what_was_refused_it_links_no_more(
    identity: Running, machine: Machine
) -> None:
    async with steward(identity) as desk:
        one, two, three = [await desk.register(number) for number in (ONE, TWO, THREE)]
        made = await machine.link(one, two)
        await desk.unlink(made.name)
        await desk.refuse(two, three)
        for pair in ((one, two), (two, one), (three, two)):
            with pytest.raises(Exception, match="different persons"):
                await machine.link(*pair)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.link(one, two)
        assert reason(refused.value) == "LINK_REFUSED"
        again = await desk.link(one, two, override=True)
        # A refusal between any two of two trees holds for all of them.
        with pytest.raises(Exception, match="different persons"):
            await machine.link(one, three)
        await desk.refuse(two, three, withdraw=True)
        assert (await machine.link(one, three)).person == UUID(two.removeprefix("persons/"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.refuse(two, three, withdraw=True)
        assert reason(refused.value) == "PERSON_LINK_STATE"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.refuse(one, one)
        assert wrong_fields(refused.value) == {"other_person": "SAME_PERSON"}
        told = await desk.events(one)
    kinds = [person_link_pb2.LinkEventKind.Name(event.kind).removeprefix("LINK_EVENT_KIND_") for event in told]
    assert kinds == ["LINKED", "UNLINKED", "REFUSED", "LINKED", "REFUSAL_WITHDRAWN", "LINKED"]
    assert [event.method for event in told[:2]] == [
        person_link_pb2.LINK_METHOD_MODEL,
        person_link_pb2.LINK_METHOD_STEWARD,
    ]
    assert (told[0].score, told[0].model_version, told[0].actor) == (31.5, "fs-2026-11", "WORKLOAD/records")
    assert (told[3].link, told[1].actor, told[1].reason) == (again.name, "STEWARD/steward-1", "DIFFERENT_PERSONS")
    assert [event.event_time.ToNanoseconds() for event in told] == sorted(
        event.event_time.ToNanoseconds() for event in told
    )


async def test_a_source_record_is_moved_and_followers_can_tell(identity: Running) -> None:
    async with identity.as_role("records") as channel:
        stub = source_record_service_pb2_grpc.SourceRecordServiceStub(channel)
        request = batch(1, 3)
        request.records[2].demographics.human_name.text = "Trần Văn Tám"
        one, _, two = [one.person for one in (await stub.FileSourceRecords(request, timeout=TIMEOUT)).filings]
    async with steward(identity) as desk:
        (item,) = await records(desk, one)
        assert (item.organization, item.person, item.outcome) == ("organizations/01001", one, "REGISTERED")
        move = person_link_service_pb2.MoveSourceRecordRequest(
            request_id=str(uuid4()), name=item.name, target=two, reason="BORROWED_CARD"
        )
        moved = await desk.links.MoveSourceRecord(move, timeout=TIMEOUT)
        assert await desk.links.MoveSourceRecord(move, timeout=TIMEOUT) == moved
        assert moved.source_record.person == two
        assert await records(desk, one) == []
        assert {each.name for each in await records(desk, two)} > {item.name}
        (event,) = await desk.events(one)
        assert (event.kind, event.source_record) == (person_link_pb2.LINK_EVENT_KIND_SOURCE_MOVED, item.name)
        move.request_id, move.name = str(uuid4()), f"sourceRecords/{UUID(int=1)}"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.MoveSourceRecord(move, timeout=TIMEOUT)
        assert reason(refused.value) == "SOURCE_RECORD_NOT_FOUND"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await records(desk, NOBODY)
        assert reason(refused.value) == "PERSON_NOT_FOUND"


async def records(desk: Steward, person: str) -> list[person_link_service_pb2.SourceRecordItem]:
    """What is filed under an entry, one at a time."""
    request = person_link_service_pb2.ListSourceRecordsRequest(person=person, page_size=1)
    items: list[person_link_service_pb2.SourceRecordItem] = []
    while True:
        page = await desk.links.ListSourceRecords(request, timeout=TIMEOUT)
        items += page.source_records
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return items


async def test_a_person_as_it_was_known(identity: Running) -> None:
    async with steward(identity) as desk:
        one, two = await desk.register(ONE), await desk.register(TWO)
        link = await desk.link(one, two)
        linked = (await desk.person(one)).person
        ended = await desk.unlink(link.name)
        times = [event.event_time.ToDatetime(tzinfo=UTC) for event in await desk.events(one)]
        assert ended.link.state == UNLINKED
        tick = timedelta(microseconds=1)
        before, between, after = [
            (await desk.links.GetPersonAsOf(as_of(one, at), timeout=TIMEOUT)).person
            for at in (times[0] - tick, times[1] - tick, times[1] + tick)
        ]
        now = (await desk.person(one)).person
        for seen, wanted in ((before, now), (between, linked), (after, now)):
            wanted.etag = ""
            assert seen == wanted
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.GetPersonAsOf(as_of(one, times[0] - timedelta(days=1)), timeout=TIMEOUT)
        assert reason(refused.value) == "PERSON_NOT_FOUND"
    async with identity.as_officer(PrincipalKind.AUDITOR) as channel:
        stub = person_link_service_pb2_grpc.PersonLinkServiceStub(channel)
        masked = (await stub.GetPersonAsOf(as_of(one, times[1] - tick), timeout=TIMEOUT)).person
    assert {held.identifier.value for held in masked.identifiers} == {"********0001", "********0002"}


def as_of(person: str, at: datetime) -> person_link_service_pb2.GetPersonAsOfRequest:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return person_link_service_pb2.GetPersonAsOfRequest(name=person, as_of_time=stamp)
