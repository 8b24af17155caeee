"""Rights of data subjects against a running consent role whose clock the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import (
    breach_service_pb2,
    breach_service_pb2_grpc,
    decision_pb2,
    subject_request_service_pb2_grpc,
)
from lienthong.consent.v1 import subject_request_service_pb2 as pb
from lienthong.type.v1 import access_context_pb2
from sqlalchemy.engine import make_url

from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import open_keyring
from services.chassis.principal import Principal, PrincipalKind
from services.chassis.settings import DatabaseSettings
from services.consent.legal_clocks import legal_clocks
from services.consent.postgres import PostgresStore
from services.consent.service.subjects import SubjectRequestService
from services.consent.subjects import Kind, Part
from services.consent.telemetry import SubjectInstruments
from tests.integration.consent.test_flow import decide, grant, terms
from tests.integration.consent.ward import HOSPITAL, OTHER, Ward, until

Stub = subject_request_service_pb2_grpc.SubjectRequestServiceStub
RESTRICT = pb.SUBJECT_REQUEST_KIND_RESTRICT
OBJECT = pb.SUBJECT_REQUEST_KIND_OBJECT
CORRECT = pb.SUBJECT_REQUEST_KIND_CORRECT
ACCESS = pb.SUBJECT_REQUEST_KIND_ACCESS


@asynccontextmanager
async def stub_of(ward: Ward, who: str) -> AsyncIterator[Stub]:
    """As the administrator (`admin`), a facility by code, or a citizen, with a token of the ward's time."""
    kind = PrincipalKind.CITIZEN if who.startswith("persons/") else PrincipalKind.FACILITY
    async with channel_of(ward, PrincipalKind.ADMIN if who == "admin" else kind, who) as channel:
        yield Stub(channel)


@asynccontextmanager
async def channel_of(ward: Ward, kind: PrincipalKind, who: str = "") -> AsyncIterator[grpc.aio.Channel]:
    identities, facility = ward.running.identities, who if kind is PrincipalKind.FACILITY else None
    token = identities.token(kind, facility=facility or HOSPITAL, person=who, at=ward.clock())
    metadata = identities.metadata(token, facility)
    async with identities.channel(ward.running.address, "consent", "gateway", metadata) as channel:
        yield channel


async def create(
    ward: Ward, person: str, kind: int, *, caller: str = "", request_id: str = "", text: str = "", purpose: int = 0
) -> pb.SubjectRequest:
    wanted = pb.SubjectRequest(person=person, kind=kind, text=text, purpose=purpose)  # type: ignore[arg-type] # numbers
    async with stub_of(ward, caller or person) as stub:
        request = pb.CreateSubjectRequestRequest(request_id=request_id or str(uuid4()), subject_request=wanted)
        return (await stub.CreateSubjectRequest(request, timeout=5)).subject_request


async def fulfil(ward: Ward, name: str, who: str = "admin", documents: Sequence[str] = ()) -> pb.SubjectRequest:
    async with stub_of(ward, who) as stub:
        request = pb.FulfilSubjectRequestRequest(request_id=str(uuid4()), name=name, documents=documents)
        return (await stub.FulfilSubjectRequest(request, timeout=5)).subject_request


async def queue(
    ward: Ward, who: str = "admin", *, overdue: bool = False, page_size: int = 0
) -> list[pb.SubjectRequest]:
    found: list[pb.SubjectRequest] = []
    token = ""
    async with stub_of(ward, who) as stub:
        while True:
            request = pb.ListSubjectRequestsRequest(open=True, overdue=overdue, page_size=page_size, page_token=token)
            answer = await stub.ListSubjectRequests(request, timeout=5)
            found += answer.subject_requests
            token = answer.next_page_token
            if not token:
                return found


async def reason(call: Awaitable[object]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value).reason


async def test_a_restriction_stops_reading_from_its_fulfilment_until_it_is_lifted(ward: Ward) -> None:
    person = ward.app.enrol()
    await grant(ward.running, person, terms())
    assert (await decide(ward.running, person)).effect == decision_pb2.EFFECT_PERMIT
    made = await create(ward, person, RESTRICT, text="I want nobody to read")
    assert (await decide(ward.running, person)).effect == decision_pb2.EFFECT_PERMIT
    done = await fulfil(ward, made.name)
    assert done.state == pb.SUBJECT_REQUEST_STATE_FULFILLED
    assert (await decide(ward.running, person)).effect == decision_pb2.EFFECT_DENY
    async with stub_of(ward, person) as stub:
        request = pb.LiftSubjectRequestRequest(request_id=str(uuid4()), name=made.name)
        lifted = (await stub.LiftSubjectRequest(request, timeout=5)).subject_request
        again = (await stub.LiftSubjectRequest(request, timeout=5)).subject_request
    assert lifted.state == again.state == pb.SUBJECT_REQUEST_STATE_LIFTED
    assert (await decide(ward.running, person)).effect == decision_pb2.EFFECT_PERMIT
    await until(lambda: ward.app.told(person), ["SUBJECT_REQUEST_FULFILLED", "SUBJECT_REQUEST_LIFTED"])


async def test_an_objection_stops_its_purpose_only(ward: Ward) -> None:
    person = ward.app.enrol()
    await grant(ward.running, person, terms())
    for purpose, effect in (
        (access_context_pb2.PURPOSE_OF_USE_PAYMENT, decision_pb2.EFFECT_PERMIT),
        (access_context_pb2.PURPOSE_OF_USE_TREATMENT, decision_pb2.EFFECT_DENY),
    ):
        made = await create(ward, person, OBJECT, purpose=purpose)
        await fulfil(ward, made.name)
        assert (await decide(ward.running, person)).effect == effect


async def test_the_clocks_of_the_day_count_and_a_request_is_overdue_at_their_end(ward: Ward) -> None:
    person = ward.app.enrol()
    made = await create(ward, person, ACCESS)
    clocks = legal_clocks().of_request("ACCESS", ward.clock())
    assert made.regime == clocks.regime
    assert made.due_time.ToDatetime(UTC) == clocks.due_at
    assert made.acknowledge_due_time.ToDatetime(UTC) == clocks.acknowledge_due_at
    assert not made.overdue
    assert await queue(ward, overdue=True) == []
    assert clocks.acknowledge_due_at is not None
    ward.clock.advance(clocks.acknowledge_due_at - ward.clock() - timedelta(seconds=1))
    assert await queue(ward, overdue=True) == []
    ward.clock.advance(timedelta(seconds=1))
    (late,) = await queue(ward, overdue=True)
    assert late.overdue
    async with stub_of(ward, "admin") as stub:
        request = pb.AcknowledgeSubjectRequestRequest(request_id=str(uuid4()), name=made.name)
        told = (await stub.AcknowledgeSubjectRequest(request, timeout=5)).subject_request
    assert (told.state, told.overdue) == (pb.SUBJECT_REQUEST_STATE_ACKNOWLEDGED, False)
    ward.clock.advance(clocks.due_at - ward.clock())
    assert [one.name for one in await queue(ward, overdue=True)] == [made.name]


async def test_a_correction_passes_to_the_facility_that_made_the_document(ward: Ward) -> None:
    person = ward.app.enrol()
    made = await create(ward, person, CORRECT, text="The allergy is to penicillin")
    assert await reason(fulfil(ward, made.name, HOSPITAL)) == "SUBJECT_REQUEST_NOT_FOUND"
    async with stub_of(ward, "admin") as stub:
        request = pb.PassSubjectRequestRequest(
            request_id=str(uuid4()), name=made.name, organization=f"organizations/{HOSPITAL}"
        )
        passed = (await stub.PassSubjectRequest(request, timeout=5)).subject_request
        assert (await stub.PassSubjectRequest(request, timeout=5)).subject_request == passed
        request.organization = f"organizations/{OTHER}"
        assert await reason(stub.PassSubjectRequest(request, timeout=5)) == "SUBJECT_REQUEST_STATE"
    assert passed.due_time.ToDatetime(UTC) == legal_clocks().of_request("CORRECT", ward.clock()).third_party_due_at
    assert [one.name for one in await queue(ward, HOSPITAL)] == [made.name]
    assert await queue(ward, OTHER) == []
    (seen,) = await queue(ward, HOSPITAL)
    assert seen.text == "The allergy is to penicillin"
    assert await reason(fulfil(ward, made.name, HOSPITAL)) == "FIELD_INVALID"
    done = await fulfil(ward, made.name, HOSPITAL, [f"documents/{uuid7()}"])
    assert done.state == pb.SUBJECT_REQUEST_STATE_FULFILLED
    assert await queue(ward, HOSPITAL) == []


async def test_a_guardian_acts_for_the_ward_and_a_stranger_for_nobody(ward: Ward) -> None:
    child, mother, stranger = ward.app.enrol(), ward.app.enrol(), ward.app.enrol()
    ward.guardian(child, mother)
    made = await create(ward, child, RESTRICT, caller=mother)
    assert made.person == child
    assert await reason(create(ward, child, RESTRICT, caller=stranger)) == "NOT_THE_PERSON"
    async with stub_of(ward, stranger) as stub:
        get = pb.GetSubjectRequestRequest(name=made.name)
        assert await reason(stub.GetSubjectRequest(get, timeout=5)) == "SUBJECT_REQUEST_NOT_FOUND"


async def test_a_retry_is_one_request_and_another_with_its_id_is_refused(ward: Ward) -> None:
    person, id = ward.app.enrol(), str(uuid4())
    first = await create(ward, person, ACCESS, request_id=id)
    assert (await create(ward, person, ACCESS, request_id=id)).name == first.name
    assert await reason(create(ward, person, RESTRICT, request_id=id)) == "REQUEST_ID_REUSED"
    assert len(await queue(ward)) == 1


async def test_wrong_requests_name_every_field(ward: Ward) -> None:
    person = ward.app.enrol()
    wrong = pb.SubjectRequest(
        person="persons/x", kind=OBJECT, text="x" * 2001, documents=["documents/1", f"documents/{uuid7()}"]
    )
    request = pb.CreateSubjectRequestRequest(request_id=str(uuid4()), subject_request=wrong)
    async with stub_of(ward, person) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateSubjectRequest(request, timeout=5)
    assert {one.field for one in from_rpc_error(caught.value).violations} == {
        f"subject_request.{name}" for name in ("person", "purpose", "text", "documents[0]", "documents")
    }


async def test_a_work_list_pages_what_is_due_soonest_first(ward: Ward) -> None:
    person = ward.app.enrol()
    kinds = [pb.SUBJECT_REQUEST_KIND_DELETE, ACCESS, RESTRICT]
    for number in range(6):
        made = await create(ward, person, kinds[number % 3])
        async with stub_of(ward, "admin") as stub:
            request = pb.AcknowledgeSubjectRequestRequest(request_id=str(uuid4()), name=made.name)
            await stub.AcknowledgeSubjectRequest(request, timeout=5)
    found = await queue(ward, page_size=2)
    assert len({one.name for one in found}) == 6
    assert [one.kind for one in found] == [ACCESS, ACCESS, RESTRICT, RESTRICT, kinds[0], kinds[0]]


class Erases:
    """The records role as the service sees it, for what only a running one could be asked: it says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[UUID], Sequence[UUID], UUID]] = []

    async def erase(self, persons: Sequence[UUID], documents: Sequence[UUID], request: UUID) -> Part:
        self.asked.append((persons, documents, request))
        return Part("documents", 3, 1, "Law 15/2023/QH15 art. 69", datetime(2036, 1, 1, tzinfo=UTC))


async def test_a_deletion_says_what_is_erased_and_what_the_law_keeps(ward: Ward, keyring_file: Path) -> None:
    person = ward.app.enrol()
    await grant(ward.running, person, terms())
    await decide(ward.running, person)
    answered = await create(ward, person, RESTRICT, text="words of an older request")
    await fulfil(ward, answered.name)
    made = await create(ward, person, pb.SUBJECT_REQUEST_KIND_DELETE, text="delete all of mine")
    eraser = Erases()
    async with Database(DatabaseSettings(ward.database.url)) as database:
        store = PostgresStore(database, open_keyring(keyring_file), ward.clock)
        service = SubjectRequestService(store, eraser, legal_clocks(), _Silent(), ward.clock)
        admin = Principal(PrincipalKind.ADMIN, "officer")
        id = UUID(made.name.removeprefix("subjectRequests/"))
        done = await service.fulfil(admin, id, ())
        assert await service.fulfil(admin, id, ()) == done
    assert [one[2] for one in eraser.asked] == [id]
    assert done.answer is not None
    parts = {part.category: (part.erased, part.retained) for part in done.answer.parts}
    assert parts == {"documents": (3, 1), "evidence": (0, 1), "ledger": (0, 1)}
    assert all(part.article and part.retain_until for part in done.answer.parts)
    assert done.text == ""
    assert ward.rows("SELECT count(*) FROM subject_request WHERE text_sealed IS NOT NULL") == [(0,)]


class _Silent(SubjectInstruments):
    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def overdue(self, by_kind: object) -> None:
        self.seen = dict(by_kind)  # type: ignore[call-overload] # a mapping


async def test_without_the_records_role_a_deletion_stays_open(ward: Ward) -> None:
    person = ward.app.enrol()
    made = await create(ward, person, pb.SUBJECT_REQUEST_KIND_DELETE)
    assert await reason(fulfil(ward, made.name)) == "PEER_UNAVAILABLE"
    assert [one.name for one in await queue(ward)] == [made.name]


async def test_each_clock_that_runs_out_raises_one_alarm(
    ward: Ward, keyring_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    person = ward.app.enrol()
    made = await create(ward, person, ACCESS, text="secret words")
    async with Database(DatabaseSettings(ward.database.url)) as database:
        store = PostgresStore(database, open_keyring(keyring_file), ward.clock)
        instruments = _Silent()
        service = SubjectRequestService(store, Erases(), legal_clocks(), instruments, ward.clock)

        async def alarms() -> int:
            capfd.readouterr()
            await service.watch()
            said = capfd.readouterr()
            lines = [line for line in (said.out + said.err).splitlines() if "subject_request_overdue" in line]
            assert all("secret" not in line and person not in line for line in lines)
            return len(lines)

        assert await alarms() == 0
        ward.clock.advance(timedelta(days=60))
        assert [await alarms(), await alarms()] == [1, 0]
        assert instruments.seen["ACCESS"] == 1
        async with stub_of(ward, "admin") as stub:
            request = pb.AcknowledgeSubjectRequestRequest(request_id=str(uuid4()), name=made.name)
            await stub.AcknowledgeSubjectRequest(request, timeout=5)
        assert [await alarms(), await alarms()] == [1, 0]


async def test_words_lie_sealed_and_rows_are_only_added(ward: Ward) -> None:
    person = ward.app.enrol()
    await create(ward, person, ACCESS, text="very private words")
    assert ward.rows("SELECT position('private'::bytea IN text_sealed) FROM subject_request") == [(0,)]
    url = make_url(ward.database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (b"UPDATE subject_request SET kind = 'x'", b"DELETE FROM subject_request_event"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


async def breach_call(
    ward: Ward,
    work: Callable[[breach_service_pb2_grpc.BreachServiceStub], Awaitable[object]],
    kind: PrincipalKind = PrincipalKind.ADMIN,
) -> object:
    async with channel_of(ward, kind) as channel:
        return await work(breach_service_pb2_grpc.BreachServiceStub(channel))


async def register(ward: Ward, discovered: datetime, request_id: str = "") -> breach_service_pb2.Breach:
    at = Timestamp()
    at.FromDatetime(discovered)
    wanted = breach_service_pb2.Breach(
        discover_time=at,
        nature="CONFIDENTIALITY",
        text="A disk was sold unwiped",
        organization=f"organizations/{HOSPITAL}",
    )
    request = breach_service_pb2.RegisterBreachRequest(request_id=request_id or str(uuid4()), breach=wanted)
    answer = await breach_call(ward, lambda stub: stub.RegisterBreach(request, timeout=5))
    assert isinstance(answer, breach_service_pb2.RegisterBreachResponse)
    return answer.breach


async def event(ward: Ward, name: str, type: str, text: str = "", request_id: str = "") -> breach_service_pb2.Breach:
    request = breach_service_pb2.AddBreachEventRequest(
        request_id=request_id or str(uuid4()), name=name, event=breach_service_pb2.BreachEvent(type=type, text=text)
    )
    answer = await breach_call(ward, lambda stub: stub.AddBreachEvent(request, timeout=5))
    assert isinstance(answer, breach_service_pb2.AddBreachEventResponse)
    return answer.breach


async def test_the_authority_is_to_be_told_within_72_hours_of_the_discovery(ward: Ward) -> None:
    id = str(uuid4())
    made = await register(ward, ward.clock() - timedelta(hours=2), id)
    assert (await register(ward, ward.clock() - timedelta(hours=2), id)).name == made.name
    assert made.notify_due_time.ToDatetime(UTC) == ward.clock() + timedelta(hours=70)
    assert (made.state, made.overdue) == (breach_service_pb2.BREACH_STATE_OPEN, False)
    ward.clock.advance(timedelta(hours=70))
    read = await breach_call(
        ward,
        lambda stub: stub.GetBreach(breach_service_pb2.GetBreachRequest(name=made.name), timeout=5),
        PrincipalKind.AUDITOR,
    )
    assert isinstance(read, breach_service_pb2.GetBreachResponse)
    assert read.breach.overdue
    assert await reason(event(ward, made.name, "CLOSED")) == "BREACH_NOT_NOTIFIED"
    again = str(uuid4())
    told = await event(ward, made.name, "AUTHORITY_NOTIFIED", "by letter", again)
    assert await event(ward, made.name, "AUTHORITY_NOTIFIED", "by letter", again) == told
    assert (told.state, told.overdue) == (breach_service_pb2.BREACH_STATE_NOTIFIED, False)
    ward.clock.advance(timedelta(minutes=1))
    closed = await event(ward, made.name, "CLOSED")
    assert [one.type for one in closed.events] == ["DISCOVERED", "AUTHORITY_NOTIFIED", "CLOSED"]
    assert await reason(event(ward, made.name, "ASSESSED")) == "BREACH_CLOSED"
    assert await reason(register(ward, ward.clock() + timedelta(seconds=1))) == "FIELD_INVALID"


async def test_persons_concerned_are_told_once(ward: Ward) -> None:
    made = await register(ward, ward.clock())
    persons = [ward.app.enrol() for _ in range(3)]
    for some in (persons[:2], persons[1:]):
        request = breach_service_pb2.AddBreachPersonsRequest(request_id=str(uuid4()), name=made.name, persons=some)
        for _ in range(2):
            answer = await breach_call(ward, lambda stub, request=request: stub.AddBreachPersons(request, timeout=5))  # type: ignore[misc] # bound at once
    assert isinstance(answer, breach_service_pb2.AddBreachPersonsResponse)
    assert answer.breach.person_count == 3
    await until(lambda: [ward.app.told(person) for person in persons], [["PERSONAL_DATA_BREACH"]] * 3)
    assert ward.rows("SELECT position('disk'::bytea IN text_sealed) FROM breach") == [(0,)]


def test_kinds_cover_the_contract() -> None:
    named = {name.removeprefix("SUBJECT_REQUEST_KIND_") for name, number in pb.SubjectRequestKind.items() if number}
    assert named == {kind.value for kind in Kind}
