"""The review desk over the wire: claims, findings of one, two or three stewards, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from lienthong.identity.v1 import (
    person_link_pb2,
    person_link_service_pb2,
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.identity.config import Settings
from services.identity.links import NewReviewTask, ReviewCandidate, ReviewReason
from services.identity.model import Agreement, FieldEvidence
from services.identity.postgres import PostgresStore
from services.identity.service.reviews import DOUBLE_SHARE
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import NAME, demographics
from tests.integration.identity.stewards import Steward, own, steward, wrong_fields
from tests.integration.identity.test_persons import TIMEOUT, reason

ONE, TWO, THREE = "001185000001", "001185000002", "001185000003"
SAME = person_link_pb2.REVIEW_DECISION_SAME
DIFFERENT = person_link_pb2.REVIEW_DECISION_DIFFERENT
UNCLEAR = person_link_pb2.REVIEW_DECISION_UNCLEAR
OPEN = person_link_pb2.REVIEW_TASK_STATE_OPEN
CLAIMED = person_link_pb2.REVIEW_TASK_STATE_CLAIMED
SECOND = person_link_pb2.REVIEW_TASK_STATE_SECOND_REVIEW
DECIDED = person_link_pb2.REVIEW_TASK_STATE_DECIDED
DISPUTED = person_link_pb2.REVIEW_TASK_STATE_DISPUTED


@pytest.fixture
def consent_address(decision_point: Running) -> str:
    """Persons are read here, and each read rests on a decision."""
    return decision_point.address


@dataclass(frozen=True)
class Raiser:
    """Raises tasks as filing does, on the same database."""

    store: PostgresStore

    async def task(self, person: str, *candidates: str, documents: int = 1, drawn: bool = False) -> str:
        """A task; `drawn` says whether it is one of those that two look at to measure agreement."""
        id = uuid7()
        while await self._drawn(id) is not drawn:
            id = uuid7()
        evidence = (
            FieldEvidence("human_name", Agreement.AGREES, 12.25),
            FieldEvidence("birth_date", Agreement.PARTIAL, 3.5),
            FieldEvidence("phone", Agreement.DISAGREES, -1.75),
        )
        new = NewReviewTask(
            _id(person),
            ReviewReason.SCORE_BAND,
            tuple(ReviewCandidate(_id(one), 14.0, evidence) for one in candidates),
            "01001",
            "fs-2026-11",
            documents,
        )
        await self.store.write(lambda transaction: transaction.add_review_tasks({id: new}, system_clock()))
        return f"reviewTasks/{id}"

    async def _drawn(self, id: UUID) -> bool:
        return await self.store.read(lambda transaction: transaction.drawn(id)) < DOUBLE_SHARE


def _id(name: str) -> UUID:
    return UUID(name.partition("/")[2])


@pytest.fixture
async def raiser(identity: Running, settings: Settings, keyring_file: Path) -> AsyncIterator[Raiser]:
    async with Database(settings.database) as database:
        yield Raiser(PostgresStore(database, FileKeyring(keyring_file), system_clock))


async def claim(desk: Steward, name: str = "", request_id: str = "") -> person_link_pb2.ReviewTask:
    request = person_link_service_pb2.ClaimReviewTaskRequest(request_id=request_id or str(uuid4()), name=name)
    return (await desk.links.ClaimReviewTask(request, timeout=TIMEOUT)).task


async def decide(
    desk: Steward, task: person_link_pb2.ReviewTask, decision: int, person: str = "", request_id: str = ""
) -> person_link_service_pb2.DecideReviewTaskResponse:
    request = person_link_service_pb2.DecideReviewTaskRequest(
        request_id=request_id or str(uuid4()),
        name=task.name,
        etag=task.etag,
        decision=decision,  # type: ignore[arg-type] # an enum's number
        person=person,
        reason="SEEN_BOTH",
    )
    answer: person_link_service_pb2.DecideReviewTaskResponse = await desk.links.DecideReviewTask(
        request, timeout=TIMEOUT
    )
    return answer


async def listed(desk: Steward, state: int = 0, organization: str = "") -> list[person_link_pb2.ReviewTask]:
    request = person_link_service_pb2.ListReviewTasksRequest(
        state=state,  # type: ignore[arg-type] # an enum's number
        organization=organization,
        page_size=1,
    )
    tasks: list[person_link_pb2.ReviewTask] = []
    while True:
        page = await desk.links.ListReviewTasks(request, timeout=TIMEOUT)
        tasks += page.tasks
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return tasks


async def statistics(desk: Steward) -> person_link_service_pb2.GetReviewStatisticsResponse:
    answer: person_link_service_pb2.GetReviewStatisticsResponse = await desk.links.GetReviewStatistics(
        person_link_service_pb2.GetReviewStatisticsRequest(), timeout=TIMEOUT
    )
    return answer


async def refusal(call: object) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call  # type: ignore[misc] # any awaitable
    return reason(refused.value)


async def test_claimed_with_both_sides_and_decided(identity: Running, raiser: Raiser) -> None:
    async with steward(identity) as desk, steward(identity, "steward-2") as other:
        one, two = await desk.register(ONE), await desk.register(TWO, "Nguyễn Thị Hoa")
        name = await raiser.task(one, two)
        (waiting,) = await listed(desk)
        assert (waiting.name, waiting.state, len(waiting.candidates[0].fields)) == (name, OPEN, 0)
        request_id = str(uuid4())
        task = await claim(desk, request_id=request_id)
        assert await claim(desk, request_id=request_id) == task
        assert task.name == name
        assert task.HasField("claim_expire_time")
        (candidate,) = task.candidates
        # The waterfall adds up to the score.
        assert sum(step.bits for step in candidate.evidence) == pytest.approx(candidate.score, abs=0.2)
        fields = {field.field: (field.subject_value, field.candidate_value) for field in candidate.fields}
        assert fields["demographics.human_name"] == (NAME, "Nguyễn Thị Hoa")
        assert fields["identifiers.CITIZEN_ID"] == (f"{ONE} [TYPED]", f"{TWO} [TYPED]")
        assert [each.state for each in await listed(other)] == [CLAIMED]
        assert not (await claim(other)).name
        assert await refusal(claim(other, name)) == "REVIEW_TASK_STATE"
        assert await refusal(decide(other, task, SAME, two)) == "REVIEW_TASK_STATE"
        assert await refusal(claim(other, f"reviewTasks/{UUID(int=1)}")) == "REVIEW_TASK_NOT_FOUND"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await decide(desk, task, SAME, one)
        assert wrong_fields(refused.value) == {"person": "CANDIDATE_UNKNOWN"}
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await decide(desk, task, DIFFERENT, two)
        assert wrong_fields(refused.value) == {"person": "CANDIDATE_UNEXPECTED"}
        stale = person_link_pb2.ReviewTask(name=name, etag='"1"')
        assert await refusal(decide(desk, stale, SAME, two)) == "ETAG_MISMATCH"
        request_id = str(uuid4())
        decided = await decide(desk, task, SAME, two, request_id)
        assert await decide(desk, task, SAME, two, request_id) == decided
        assert decided.task.state == DECIDED
        # The younger entry answers with the older.
        assert (await desk.person(two)).person.name == one
        (event,) = await desk.events(one)
        assert (event.link, event.score, event.model_version) == (decided.link, 14.0, "fs-2026-11")
        assert await refusal(decide(desk, decided.task, SAME, two)) == "REVIEW_TASK_STATE"
        assert await listed(desk) == []
        assert [each.name for each in await listed(desk, DECIDED)] == [name]


async def test_every_wrong_field_is_named_at_once(identity: Running) -> None:
    async with steward(identity) as desk:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.links.DecideReviewTask(person_link_service_pb2.DecideReviewTaskRequest(), timeout=TIMEOUT)
        assert wrong_fields(refused.value).keys() == {"request_id", "name", "decision", "reason"}
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await claim(desk, "persons/1", "no uuid")
        assert wrong_fields(refused.value).keys() == {"request_id", "name"}


async def test_different_is_remembered_for_every_candidate(identity: Running, raiser: Raiser) -> None:
    async with steward(identity) as desk:
        one, two, three = [await desk.register(number) for number in (ONE, TWO, THREE)]
        await raiser.task(one, two, three)
        answer = await decide(desk, await claim(desk), DIFFERENT)
        assert (answer.task.state, answer.link) == (DECIDED, "")
        for other in (two, three):
            assert await refusal(desk.link(one, other)) == "LINK_REFUSED"


async def test_those_with_most_documents_come_first_and_a_page_at_a_time(identity: Running, raiser: Raiser) -> None:
    async with steward(identity) as desk:
        one, two, three = [await desk.register(number) for number in (ONE, TWO, THREE)]
        names = [await raiser.task(one, three), await raiser.task(two, three, documents=4)]
        assert [each.name for each in await listed(desk, OPEN, "organizations/01001")] == [names[1], names[0]]
        assert await listed(desk, OPEN, "organizations/79002") == []
        # Asked again about the same entry, the task grows instead of becoming two.
        assert await raiser.task(one, two, documents=9) not in {each.name for each in await listed(desk)}
        first = await claim(desk)
        assert (first.name, first.documents_waiting) == (names[0], 10)
        assert {candidate.person for candidate in first.candidates} == {two, three}


async def test_a_claim_runs_out(identity: Running, raiser: Raiser, settings: Settings) -> None:
    async with steward(identity) as desk, steward(identity, "steward-2") as other:
        one, two = await desk.register(ONE), await desk.register(TWO)
        await raiser.task(one, two)
        request_id = str(uuid4())
        task = await claim(desk, request_id=request_id)
        half_an_hour_later(settings)
        assert await refusal(decide(desk, task, SAME, two)) == "REVIEW_TASK_STATE"
        assert await refusal(claim(desk, request_id=request_id)) == "REVIEW_TASK_STATE"
        assert [each.state for each in await listed(other)] == [OPEN]
        again = await claim(other)
        assert again.name == task.name
        assert (await decide(other, again, UNCLEAR)).task.state == DECIDED


def half_an_hour_later(settings: Settings) -> None:
    """For claims: they began half an hour earlier."""
    owner = (settings.database.owner_url or "").replace("+psycopg", "")
    with psycopg.connect(owner) as connection:
        connection.execute("UPDATE review_task SET claim_ends_at = claim_ends_at - interval '30 minutes'")


async def test_verified_numbers_are_looked_at_twice_and_the_first_finding_is_hidden(
    identity: Running, raiser: Raiser
) -> None:
    async with steward(identity) as desk, steward(identity, "steward-2") as second:
        one, two = [await desk.register(number, verified=True) for number in (ONE, TWO)]
        name = await raiser.task(one, two)
        first = await claim(desk)
        assert first.double_review
        half = await decide(desk, first, SAME, two)
        assert (half.task.state, half.link) == (SECOND, "")
        # Nothing is linked, and who holds no claim any more has no business with the persons.
        assert (await own(identity, two)).name == two
        assert await refusal(desk.person(two)) == "READ_NOT_PERMITTED"
        # Who has decided once is not asked again, and does not see the task waiting for the other.
        assert not (await claim(desk)).name
        assert await refusal(claim(desk, name)) == "REVIEW_TASK_NOT_FOUND"
        seen = await claim(second)
        assert "SEEN_BOTH" not in str(seen)
        assert "steward-1" not in str(seen)
        answer = await decide(second, seen, SAME, two)
        assert answer.task.state == DECIDED
        assert answer.link
        assert (await desk.person(two)).person.name == one
        figures = await statistics(desk)
    assert (figures.open_count, figures.decided_count) == (0, 1)
    assert (figures.double_review_count, figures.agreed_count) == (1, 1)


async def test_where_two_differ_a_third_decides(identity: Running, raiser: Raiser) -> None:
    async with (
        steward(identity) as desk,
        steward(identity, "steward-2") as second,
        steward(identity, "steward-3") as third,
    ):
        one, two = await desk.register(ONE), await desk.register(TWO)
        name = await raiser.task(one, two, drawn=True)
        first = await claim(desk)
        # Nobody can tell that it was drawn before it was decided.
        assert not first.double_review
        assert (await decide(desk, first, SAME, two)).task.state == SECOND
        assert (await decide(second, await claim(second), DIFFERENT)).task.state == DISPUTED
        assert await refusal(claim(second, name)) == "REVIEW_TASK_NOT_FOUND"
        assert [each.state for each in await listed(third, DISPUTED)] == [DISPUTED]
        answer = await decide(third, await claim(third), DIFFERENT)
        assert (answer.task.state, answer.link) == (DECIDED, "")
        assert await refusal(third.link(one, two)) == "LINK_REFUSED"
        figures = await statistics(desk)
    assert (figures.double_review_count, figures.agreed_count) == (1, 0)


async def test_what_is_already_one_person_is_decided_without_another_link(identity: Running, raiser: Raiser) -> None:
    async with steward(identity) as desk:
        one, two = await desk.register(ONE), await desk.register(TWO)
        await raiser.task(one, two)
        task = await claim(desk)
        await desk.link(two, one)
        answer = await decide(desk, task, SAME, two)
    assert (answer.task.state, answer.link) == (DECIDED, "")


async def test_many_stewards_at_once_get_a_task_each_and_do_not_wait_for_each_other_in_a_circle(
    identity: Running, raiser: Raiser
) -> None:
    async with AsyncExitStack() as opened:
        desks = [await opened.enter_async_context(steward(identity, f"steward-{number}")) for number in range(5)]
        persons = [await desks[0].register(f"00118500000{number + 1}") for number in range(5)]
        for person in persons:
            # Every task is about all entries, each time in another order.
            await raiser.task(person, *sorted(set(persons) - {person}, reverse=person > persons[2]))
        tasks = await asyncio.gather(*(claim(desk) for desk in desks))
        assert len({task.name for task in tasks}) == len(desks)
        refusing = asyncio.gather(desks[0].refuse(persons[0], persons[4]), desks[1].refuse(persons[3], persons[1]))
        answers = await asyncio.gather(
            *(decide(desk, task, DIFFERENT) for desk, task in zip(desks, tasks, strict=True))
        )
        await refusing
        assert {answer.task.state for answer in answers} == {DECIDED}
        told = await desks[0].events(persons[0])
        assert {event.kind for event in told} == {person_link_pb2.LINK_EVENT_KIND_REFUSED}
        # Each pair was refused once, whoever was first.
        assert len({frozenset((event.person, event.target)) for event in told}) == len(told) == 4


async def test_who_was_erased_meanwhile_does_not_hold_a_task_up(
    identity: Running, raiser: Raiser, settings: Settings
) -> None:
    async with steward(identity) as desk:
        one, two, three = [await desk.register(number) for number in (ONE, TWO, THREE)]
        await raiser.task(one, two, three)
        task = await claim(desk)
        owner = (settings.database.owner_url or "").replace("+psycopg", "")
        with psycopg.connect(owner) as connection:
            connection.execute(
                "UPDATE person_key SET wrapped = NULL, destroyed_at = now() WHERE person_id = %s", [_id(two)]
            )
        answer = await decide(desk, task, DIFFERENT)
        assert answer.task.state == DECIDED
        assert await refusal(desk.link(one, three)) == "LINK_REFUSED"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.person(two)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_documents_that_no_number_settles_wait_for_the_desk(identity: Running) -> None:
    async with steward(identity) as desk:
        known = await desk.register(ONE)
        said = source_record_service_pb2.SourceRecord(
            facility="01001", local_mrn="BN1", demographics=demographics("NGUYEN THI HOA")
        )
        said.demographics.phone = ""
        async with identity.as_role("records") as channel:
            stub = source_record_service_pb2_grpc.SourceRecordServiceStub(channel)
            request = source_record_service_pb2.FileSourceRecordsRequest(records=[said])
            (filing,) = (await stub.FileSourceRecords(request, timeout=TIMEOUT)).filings
        task = await claim(desk)
        (candidate,) = task.candidates
        assert (task.person, candidate.person, task.organization) == (filing.person, known, "organizations/01001")
        # What the steward sees adds up: the odds before anything was compared, and the bits of each field.
        assert candidate.evidence[0].field == "prior"
        assert candidate.evidence[0].bits < 0
        assert sum(step.bits for step in candidate.evidence) == pytest.approx(candidate.score, abs=0.1)
        await decide(desk, task, SAME, known)
        assert (await desk.person(filing.person)).person.name == known
