"""The review of every emergency access, its alarms and its statistics."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from lienthong.consent.v1 import emergency_access_service_pb2 as messages
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from services.chassis.database import Database
from services.chassis.keyring import FileKeyring
from services.consent import jobs
from services.consent.emergency_store import EmergencySettings
from services.consent.notices import APP_UNREACHABLE, Delivery, NoticeSettings
from services.consent.postgres import PostgresStore
from services.consent.service.emergency import EmergencyService
from services.consent.service.notices import NoticeService
from services.consent.telemetry import ATTRIBUTE_BUCKET, METRIC_UNREVIEWED, EmergencyInstruments
from tests.integration.consent.ward import (
    DOCTOR,
    HOSPITAL,
    OTHER,
    SECOND,
    Ward,
    id_of,
    refused,
    until,
)

THIRD = "000003/BYT-CCHN"


class _NoApp:
    """Nothing is delivered here."""

    async def tell(self, delivery: Delivery) -> str:
        return APP_UNREACHABLE


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
