"""Emergency access over mTLS and PostgreSQL: opening, confirming, widening, its end, its review, and what is told and counted of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import emergency_access_service_pb2 as messages
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from services.chassis.clock import FrozenClock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.chassis.principal import PrincipalKind
from services.consent import jobs
from services.consent.emergency_store import MULTI_FACTOR, EmergencySettings
from services.consent.facts import EmergencyGrant
from services.consent.notices import APP_UNREACHABLE, Delivery, NoticeSettings
from services.consent.postgres import PostgresStore
from services.consent.postgres.emergency_grants import grants_of
from services.consent.service.emergency import EmergencyService
from services.consent.service.notices import NoticeService
from services.consent.telemetry import ATTRIBUTE_BUCKET, METRIC_UNREVIEWED, EmergencyInstruments
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, StartRole
from tests.integration.consent.ward import (
    DOCTOR,
    HOSPITAL,
    OTHER,
    SECOND,
    WHY,
    Ward,
    id_of,
    opened_ward,
)

UNCONFIRMED, CONFIRMED, ENDED = (
    messages.EMERGENCY_ACCESS_STATE_UNCONFIRMED,
    messages.EMERGENCY_ACCESS_STATE_CONFIRMED,
    messages.EMERGENCY_ACCESS_STATE_ENDED,
)
THIRD = "000003/BYT-CCHN"


@pytest.fixture
async def ward(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    frozen_clock: FrozenClock,
) -> AsyncIterator[Ward]:
    database = database_for("consent")
    async with opened_ward(start_role, identities, database, keyring_file, tmp_path, frozen_clock) as ward:
        yield ward


class _NoApp:
    """Nothing is delivered here."""

    async def tell(self, delivery: Delivery) -> str:
        return APP_UNREACHABLE


async def refused(call: Awaitable[object]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value).reason


async def until(look: Callable[[], object], wanted: object) -> None:
    async with asyncio.timeout(20):
        while look() != wanted:
            await asyncio.sleep(0.02)


async def test_from_opening_to_the_end_after_four_hours(ward: Ward) -> None:
    person = ward.app.enrol()
    opened = (await ward.open(person)).emergency_access
    assert (opened.state, opened.person, opened.organization) == (UNCONFIRMED, person, f"organizations/{HOSPITAL}")
    assert (opened.practitioner_licence, opened.reason_text) == (DOCTOR, WHY)
    assert await refused(ward.widen(opened.name)) == "EMERGENCY_ACCESS_UNCONFIRMED"
    ward.clock.advance(timedelta(minutes=29, seconds=59))
    confirmed = await ward.confirm(opened.name)
    assert (confirmed.state, confirmed.confirming_licence) == (CONFIRMED, SECOND)
    assert await refused(ward.widen(opened.name, SECOND)) == "PRINCIPAL_NOT_ALLOWED"
    widened = await ward.widen(opened.name)
    assert widened.HasField("widen_time")
    assert not widened.life_saving
    # Only later it turns out that life depends on what the widening left out.
    assert (await ward.widen(opened.name, life_saving=True)).life_saving
    ward.clock.advance(timedelta(hours=3, minutes=30))
    assert (await ward.get(opened.name)).state == CONFIRMED
    ward.clock.advance(timedelta(seconds=1))
    last = await ward.get(opened.name)
    assert (last.state, last.HasField("end_time")) == (ENDED, False)
    assert await refused(ward.widen(opened.name)) == "EMERGENCY_ACCESS_ENDED"
    # Every step has another etag.
    assert len({one.etag for one in (opened, confirmed, widened, last)}) == 4


async def test_what_nobody_confirms_ends_after_half_an_hour(ward: Ward) -> None:
    opened = (await ward.open(ward.app.enrol())).emergency_access
    ward.clock.advance(timedelta(minutes=30))
    assert (await ward.get(opened.name)).state == ENDED
    assert await refused(ward.confirm(opened.name)) == "EMERGENCY_ACCESS_ENDED"


async def test_the_same_practitioner_needs_a_fresh_second_factor(ward: Ward) -> None:
    name = (await ward.open(ward.app.enrol())).emergency_access.name
    now = ward.clock()
    weak = [
        {},
        {"acr": MULTI_FACTOR},
        {"auth_time": now},
        {"acr": "urn:password", "auth_time": now},
        {"acr": MULTI_FACTOR, "auth_time": now - timedelta(minutes=5, seconds=1)},
    ]
    for said in weak:
        assert await refused(ward.confirm(name, DOCTOR, **said)) == "SECOND_FACTOR_REQUIRED"  # type: ignore[arg-type] # a list of keywords
    confirmed = await ward.confirm(name, DOCTOR, acr=MULTI_FACTOR, auth_time=now - timedelta(minutes=5))
    assert (confirmed.state, confirmed.confirming_licence) == (CONFIRMED, DOCTOR)


async def test_other_facilities_neither_confirm_nor_see_it(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    assert await refused(ward.confirm(name, SECOND, OTHER)) == "EMERGENCY_ACCESS_NOT_FOUND"
    assert await refused(ward.end(name, SECOND, OTHER)) == "EMERGENCY_ACCESS_NOT_FOUND"
    request = messages.GetEmergencyAccessRequest(name=name)
    listing = messages.ListEmergencyAccessesRequest()
    for kind, who, sees in (
        (PrincipalKind.FACILITY, {"facility": OTHER}, False),
        (PrincipalKind.FACILITY, {"facility": HOSPITAL}, True),
        (PrincipalKind.CITIZEN, {"person": ward.app.enrol()}, False),
        (PrincipalKind.CITIZEN, {"person": person}, True),
        (PrincipalKind.AUDITOR, {}, True),
    ):
        async with ward.other(kind, **who) as stub:
            listed = await stub.ListEmergencyAccesses(listing, timeout=5)
            assert [one.name for one in listed.emergency_accesses] == [name] * sees
            if sees:
                assert (await stub.GetEmergencyAccess(request, timeout=5)).emergency_access.reason_text == WHY
            else:
                assert await refused(stub.GetEmergencyAccess(request, timeout=5)) == "EMERGENCY_ACCESS_NOT_FOUND"


async def test_two_who_confirm_at_once_are_one_confirmation(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    answers = await asyncio.gather(*(ward.confirm(name, licence) for licence in (SECOND, THIRD) * 4))
    assert len({one.confirming_licence for one in answers}) == 1
    assert len({one.etag for one in answers}) == 1
    told = [one.type for one in await ward.notices(person)]
    assert sorted(told) == ["EMERGENCY_ACCESS_CONFIRMED", "EMERGENCY_ACCESS_OPENED"]


async def test_the_same_request_is_one_access_and_another_under_its_id_is_refused(ward: Ward) -> None:
    person, request_id = ward.app.enrol(), str(uuid4())
    answers = await asyncio.gather(*(ward.open(person, request_id=request_id) for _ in range(4)))
    assert len({one.emergency_access.name for one in answers}) == 1
    assert len(await ward.notices(person)) == 1
    assert await refused(ward.open(ward.app.enrol(), request_id=request_id)) == "REQUEST_ID_REUSED"
    assert await refused(ward.open(person, request_id=request_id, text="Another text")) == "REQUEST_ID_REUSED"
    # The same id of somebody else is another request.
    assert (await ward.open(person, SECOND, request_id=request_id)).emergency_access.name != answers[
        0
    ].emergency_access.name


async def test_bad_input_names_every_wrong_field(ward: Ward) -> None:
    request = messages.RequestEmergencyAccessRequest(
        request_id=str(uuid4()),
        person="people/1",
        reason=99,  # type: ignore[arg-type] # unknown
        reason_text="too short",
    )
    async with ward.doctor() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RequestEmergencyAccess(request, timeout=5)
    found = {(one.field, one.reason) for one in from_rpc_error(caught.value).violations}
    assert found == {
        ("person", "NAME_INVALID"),
        ("reason", "REASON_UNKNOWN"),
        ("reason_text", "LENGTH_OUT_OF_RANGE"),
    }
    name = (await ward.open(ward.app.enrol())).emergency_access.name
    assert await refused(ward.review(name, outcome=7, finding="x")) == "FIELD_INVALID"
    assert await refused(ward.statistics(days=367)) == "FIELD_INVALID"
    assert await refused(ward.queue(organization="hospital")) == "FIELD_INVALID"


async def test_texts_are_sealed_at_rest(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    await ward.confirm(name)
    await ward.widen(name, text="Operation at once, blood group and medicines needed")
    await ward.review(name)
    for table in ("emergency_access", "emergency_access_event"):
        stored = str(ward.rows(f"SELECT t::text FROM {table} AS t WHERE person_id = %s", id_of(person)))  # noqa: S608 - names of our own
        raw = b"".join(
            bytes(row[0])  # type: ignore[call-overload] # bytes
            for row in ward.rows(
                f"SELECT text_sealed FROM {table} WHERE person_id = %s AND text_sealed IS NOT NULL", id_of(person)
            )  # noqa: S608 - names of our own
        )
        assert raw
        for word in ("Unconscious", "Operation", "ambulance"):
            assert word not in stored
            assert word.encode() not in raw


async def test_an_end_by_hand_holds_and_is_kept_once(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    first = await ward.end(name, SECOND)
    ward.clock.advance(timedelta(minutes=1))
    again = await ward.end(name)
    assert (first.state, again.end_time) == (ENDED, first.end_time)
    assert await refused(ward.confirm(name)) == "EMERGENCY_ACCESS_ENDED"
    assert [one.type for one in await ward.notices(person)].count("EMERGENCY_ACCESS_ENDED") == 1


async def test_the_citizen_is_told_at_once_and_of_every_step(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    await until(lambda: ward.app.told(person), ["EMERGENCY_ACCESS_OPENED"])
    await ward.confirm(name)
    await ward.widen(name)
    await ward.widen(name, life_saving=True)
    await ward.end(name)
    await ward.review(name)
    steps = ["OPENED", "CONFIRMED", "WIDENED", "LIFE_SAVING", "ENDED", "REVIEWED"]
    await until(lambda: sorted(ward.app.told(person)), sorted(f"EMERGENCY_ACCESS_{step}" for step in steps))
    (inbox,) = (list(inbox.values()) for inbox in ward.app.api.inboxes.values())
    assert {(one["resource"], one["organization"], one["person"]) for one in inbox} == {
        (name, f"organizations/{HOSPITAL}", person)
    }
    assert (await ward.get(name)).HasField("notify_time")


async def test_a_notice_waits_for_the_app_and_comes_once(ward: Ward) -> None:
    await ward.app.down()
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name

    def attempts() -> object:
        return ward.rows("SELECT max(attempts) FROM notice_delivery WHERE person_id = %s", id_of(person))[0][0]

    for failed in (1, 2, 3):
        await until(attempts, failed)
        await until(
            lambda: ward.rows(
                "SELECT last_reason FROM notice_delivery WHERE person_id = %s AND due_at <= %s",
                id_of(person),
                ward.clock() + timedelta(seconds=8),
            ),
            [("APP_UNREACHABLE",)],
        )
        assert not (await ward.get(name)).HasField("notify_time")
        ward.clock.advance(timedelta(seconds=2**failed))
    await until(attempts, 4)
    await ward.app.up()
    ward.clock.advance(timedelta(minutes=10))
    await until(lambda: ward.app.told(person), ["EMERGENCY_ACCESS_OPENED"])
    async with asyncio.timeout(20):
        while not (await ward.get(name)).HasField("notify_time"):
            await asyncio.sleep(0.02)
    (shown,) = await ward.notices(person)
    assert shown.HasField("deliver_time")


async def test_a_notice_that_was_taken_while_the_role_died_is_not_shown_twice(ward: Ward) -> None:
    person = ward.app.enrol()
    name = (await ward.open(person)).emergency_access.name
    await until(lambda: ward.app.told(person), ["EMERGENCY_ACCESS_OPENED"])
    settled = "SELECT count(*) FROM notice_delivery WHERE person_id = %s AND delivered_at IS NOT NULL"
    await until(lambda: ward.rows(settled, id_of(person)), [(1,)])
    ward.rows("UPDATE notice_delivery SET delivered_at = NULL, due_at = %s", ward.clock())
    await until(lambda: ward.rows(settled, id_of(person)), [(1,)])
    assert ward.app.told(person) == ["EMERGENCY_ACCESS_OPENED"]
    assert (await ward.get(name)).HasField("notify_time")


async def test_one_whom_the_app_does_not_know_keeps_nobody_waiting(ward: Ward) -> None:
    stranger, person = f"persons/{uuid7()}", ward.app.enrol()
    await ward.open(stranger)
    await ward.open(person)
    await until(lambda: ward.app.told(person), ["EMERGENCY_ACCESS_OPENED"])
    await until(
        lambda: ward.rows("SELECT last_reason FROM notice_delivery WHERE person_id = %s", id_of(stranger)),
        [("RECIPIENT_UNKNOWN",)],
    )


async def test_guardians_are_told_too_and_see_the_notices(ward: Ward) -> None:
    child, mother, stranger = ward.app.enrol(), ward.app.enrol(), ward.app.enrol()
    ward.guardian(child, mother)
    ward.clock.advance(timedelta(seconds=1))
    name = (await ward.open(child)).emergency_access.name
    await until(lambda: (ward.app.told(child), ward.app.told(mother)), (["EMERGENCY_ACCESS_OPENED"],) * 2)
    assert [one.resource for one in await ward.notices(child, caller=mother)] == [name]
    assert await refused(ward.notices(child, caller=stranger)) == "NOT_THE_PERSON"
    async with ward.other(PrincipalKind.CITIZEN, person=mother) as stub:
        seen = await stub.GetEmergencyAccess(messages.GetEmergencyAccessRequest(name=name), timeout=5)
    assert seen.emergency_access.person == child
    ward.rows(
        "INSERT INTO guardianship_end (person_id, guardianship_id, at, reason, actor)"
        " SELECT person_id, id, %s, 'COURT', 'steward' FROM guardianship WHERE person_id = %s",
        ward.clock(),
        id_of(child),
    )
    assert await refused(ward.notices(child, caller=mother)) == "NOT_THE_PERSON"
    await ward.end(name)
    await until(lambda: len(ward.app.told(child)), 2)
    assert ward.app.told(mother) == ["EMERGENCY_ACCESS_OPENED"]


async def test_notices_come_in_pages(ward: Ward) -> None:
    person = ward.app.enrol()
    names = []
    for _ in range(5):
        names.append((await ward.open(person)).emergency_access.name)
        ward.clock.advance(timedelta(seconds=1))
    assert [one.resource for one in await ward.notices(person, page_size=2)] == names[::-1]


async def test_the_queue_holds_every_access_longest_due_first_until_it_is_reviewed(ward: Ward) -> None:
    names = []
    for facility in (HOSPITAL, OTHER, HOSPITAL, OTHER, HOSPITAL):
        names.append((await ward.open(ward.app.enrol(), DOCTOR, facility)).emergency_access.name)
        ward.clock.advance(timedelta(minutes=1))
    assert [one.name for one in await ward.queue(page_size=2)] == names
    assert [one.name for one in await ward.queue(organization=f"organizations/{OTHER}")] == [names[1], names[3]]
    # Nobody judges the place where they work.
    assert [one.name for one in await ward.queue(employer=HOSPITAL)] == [names[1], names[3]]
    assert await refused(ward.review(names[0], employer=HOSPITAL)) == "PRINCIPAL_NOT_ALLOWED"
    reviewed = await ward.review(names[0], messages.REVIEW_OUTCOME_UNJUSTIFIED)
    assert reviewed.review_outcome == messages.REVIEW_OUTCOME_UNJUSTIFIED
    assert (await ward.review(names[0], messages.REVIEW_OUTCOME_UNJUSTIFIED)).review_time == reviewed.review_time
    assert await refused(ward.review(names[0], messages.REVIEW_OUTCOME_JUSTIFIED)) == "REVIEW_CLOSED"
    assert [one.name for one in await ward.queue()] == names[1:]
    assert [one.name for one in await ward.queue(unreviewed=False)] == names


async def test_reviews_that_are_overdue_raise_an_alarm(ward: Ward, capfd: pytest.CaptureFixture[str]) -> None:
    names = []
    for _ in range(3):
        names.append((await ward.open(ward.app.enrol())).emergency_access.name)
        ward.clock.advance(timedelta(hours=1))
    reader = InMemoryMetricReader()
    instruments = EmergencyInstruments(MeterProvider([reader]).get_meter("test"))

    async def watched() -> tuple[list[dict[str, object]], dict[object, float]]:
        capfd.readouterr()
        async with Database(ward.database) as database:
            store = PostgresStore(database, FileKeyring(ward.keyring), ward.clock)
            emergencies = EmergencyService(store, EmergencySettings(), instruments, ward.clock)
            notices = NoticeService(store, _NoApp(), NoticeSettings(), ward.clock)
            await jobs.say_what_waits(emergencies, notices, instruments)
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "reviews_overdue" in line]
        shown = json.loads(reader.get_metrics_data().to_json())  # type: ignore[union-attr] # there are some
        (scope,) = shown["resource_metrics"][0]["scope_metrics"]
        (metric,) = [one for one in scope["metrics"] if one["name"] == METRIC_UNREVIEWED]
        return lines, {one["attributes"][ATTRIBUTE_BUCKET]: one["value"] for one in metric["data"]["data_points"]}

    # The first is due 72 hours after it was opened, not a moment before.
    ward.clock.advance(timedelta(hours=69) - timedelta(microseconds=1))
    assert await watched() == ([], {"WAITING": 3, "OVERDUE": 0})
    ward.clock.advance(timedelta(microseconds=1))
    ((alarm,), gauges) = await watched()
    assert (alarm["overdue"], alarm["waiting"], gauges) == (1, 2, {"WAITING": 2, "OVERDUE": 1})
    assert [one.name for one in await ward.queue()] == names
    await ward.review(names[0])
    assert await watched() == ([], {"WAITING": 2, "OVERDUE": 0})


async def test_what_was_taken_out_of_the_queue_by_hand_comes_back(ward: Ward) -> None:
    names = [(await ward.open(ward.app.enrol())).emergency_access.name for _ in range(3)]
    await ward.review(names[0])
    ward.rows("DELETE FROM emergency_review_due")
    assert await ward.queue() == []
    async with Database(ward.database) as database:
        store = PostgresStore(database, FileKeyring(ward.keyring), ward.clock)
        assert [await store.restore_reviews() for _ in range(2)] == [2, 0]
    assert {one.name for one in await ward.queue()} == set(names[1:])


async def test_a_practitioner_who_opens_fifty_is_seen(ward: Ward, capfd: pytest.CaptureFixture[str]) -> None:
    people = [ward.app.enrol() for _ in range(50)]
    answers = [await ward.open(person) for person in people[:49]]
    request_id = str(uuid4())
    # The same request again is the same alarm.
    answers += [await ward.open(people[49], request_id=request_id) for _ in range(2)][:1]
    # Care is never blocked; from the sixth of the day on it is unusual.
    assert [one.unusual for one in answers] == [False] * 5 + [True] * 45
    for number in range(2):
        await ward.open(ward.app.enrol(), f"00001{number}/BYT-CCHN", OTHER)
    await ward.open(ward.app.enrol(), "000020/BYT-CCHN", "48001")
    alarms = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "emergency_access_unusual" in line]
    by_scope = {scope: [one for one in alarms if one["scope"] == scope] for scope in ("PRACTITIONER", "FACILITY")}
    assert [one["opened"] for one in by_scope["PRACTITIONER"]] == list(range(6, 51))
    assert [one["opened"] for one in by_scope["FACILITY"]] == list(range(41, 51))
    assert {one["organization"] for one in alarms} == {HOSPITAL}
    # An alarm names a place, nobody in it.
    assert DOCTOR not in json.dumps(alarms)
    assert not any(id_of(person).hex in json.dumps(alarms).replace("-", "") for person in people)
    await until(lambda: sum(ward.app.told(person) == ["EMERGENCY_ACCESS_OPENED"] for person in people), 50)
    assert len(await ward.queue(page_size=20)) == 53
    ward.clock.advance(timedelta(hours=72))
    facilities = await ward.statistics(page_size=2)
    assert [
        (one.organization[-5:], one.opened, one.overdue, one.unconfirmed, one.over_median) for one in facilities
    ] == [
        (HOSPITAL, 50, 50, 50, 25.0),
        (OTHER, 2, 2, 2, 1.0),
        ("48001", 1, 1, 1, 0.5),
    ]
    # The limit counts the last day only.
    assert not (await ward.open(people[0])).unusual


async def test_statistics_tell_practitioners_apart(ward: Ward) -> None:
    async def one(licence: str, *, confirm: bool = False, widen: bool = False, outcome: int = 0) -> None:
        name = (await ward.open(ward.app.enrol(), licence)).emergency_access.name
        if confirm:
            await ward.confirm(name, THIRD)
        if widen:
            await ward.widen(name, licence)
        if outcome:
            await ward.review(name, outcome)

    for _ in range(2):
        await one(DOCTOR, confirm=True, widen=True, outcome=messages.REVIEW_OUTCOME_UNJUSTIFIED)
    await one(DOCTOR, confirm=True, outcome=messages.REVIEW_OUTCOME_JUSTIFIED)
    await one(DOCTOR)
    await one(SECOND, confirm=True)
    # Open still: not counted as never confirmed.
    found = await ward.statistics(f"organizations/{HOSPITAL}")
    assert [one.unconfirmed for one in found] == [0, 0, 0]
    ward.clock.advance(timedelta(minutes=30))
    found = await ward.statistics(f"organizations/{HOSPITAL}", page_size=1)
    assert [
        (one.practitioner_licence, one.opened, one.unconfirmed, one.widened, one.reviewed, one.unjustified, one.overdue)
        for one in found
    ] == [("", 5, 1, 2, 3, 2, 0), (DOCTOR, 4, 1, 2, 3, 2, 0), (SECOND, 1, 0, 0, 0, 0, 0)]
    assert [one.over_median for one in found] == [1.0, 1.6, 0.4]
    ward.clock.advance(timedelta(hours=72))
    assert [one.overdue for one in await ward.statistics(f"organizations/{HOSPITAL}")] == [2, 1, 1]
    assert [one.opened for one in await ward.statistics(days=1)] == []


async def test_a_decision_looks_at_the_widest_open_access_of_who_asks(ward: Ward) -> None:
    person = ward.app.enrol()
    entry = id_of(person)
    first = (await ward.open(person)).emergency_access.name

    async def grant(licence: str | None = DOCTOR, organization: str = HOSPITAL) -> EmergencyGrant | None:
        async with Database(ward.database) as database:
            found = await database.read(
                lambda connection: grants_of(connection, {entry: entry}, licence, organization, ward.clock())
            )
        return found.get(entry)

    async def rests_on() -> tuple[str, bool, bool, bool]:
        found = await grant()
        assert found is not None
        return (
            f"emergencyAccesses/{found.id}",
            found.confirmed_at is not None,
            found.widened_at is not None,
            found.life_saving,
        )

    assert await rests_on() == (first, False, False, False)
    assert await grant(SECOND) is None
    assert await grant(DOCTOR, OTHER) is None
    assert await grant(None) is None
    await ward.confirm(first)
    assert await grant(SECOND) is not None
    await ward.widen(first)
    second = (await ward.open(person)).emergency_access.name
    assert await rests_on() == (first, True, True, False)
    await ward.widen(first, life_saving=True)
    assert await rests_on() == (first, True, True, True)
    await ward.end(first)
    assert await rests_on() == (second, False, False, False)
    ward.clock.advance(timedelta(hours=23))
    assert await rests_on() == (second, False, False, False)
    ward.clock.advance(timedelta(hours=1))
    assert await grant() is None
