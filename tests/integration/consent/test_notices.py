"""What the citizen is told of emergency access: at once, of every step, once, and whatever becomes of the app."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from lienthong.consent.v1 import emergency_access_service_pb2 as messages

from services.chassis.identifiers import uuid7
from services.chassis.principal import PrincipalKind
from tests.integration.consent.ward import (
    HOSPITAL,
    Ward,
    id_of,
    refused,
    until,
)


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
