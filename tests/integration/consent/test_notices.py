"""What the citizen is told of emergency access: at once, of every step, once, and whatever becomes of the app."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from lienthong.consent.v1 import emergency_access_service_pb2 as messages

from services.chassis.clock import FrozenClock
from services.chassis.identifiers import uuid7
from services.chassis.principal import PrincipalKind
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, StartRole
from tests.fixtures.person_index import PersonIndex
from tests.integration.consent.ward import (
    HOSPITAL,
    Ward,
    id_of,
    opened_ward,
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


async def test_somebody_unknown_is_told_when_it_turns_out_who_they_are(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    frozen_clock: FrozenClock,
    person_index: PersonIndex,
) -> None:
    database = database_for("consent")
    async with opened_ward(
        start_role, identities, database, keyring_file, tmp_path, frozen_clock, identity=person_index.running.address
    ) as ward:
        known, unknown = await person_index.person("001185000001"), await person_index.somebody()
        ward.app.accounts.pins[known] = "123456"
        name = (await ward.open(unknown)).emergency_access.name
        reason = "SELECT last_reason FROM notice_delivery WHERE person_id = %s"
        await until(lambda: ward.rows(reason, id_of(unknown)), [("RECIPIENT_UNKNOWN",)])
        await person_index.link(unknown, known)
        current = "SELECT current_id FROM person_redirect WHERE person_id = %s"
        await until(lambda: ward.rows(current, id_of(unknown)), [(id_of(known),)])
        ward.clock.advance(timedelta(hours=1))
        await until(lambda: ward.app.told(known), ["EMERGENCY_ACCESS_OPENED"])
        assert [one.resource for one in await ward.notices(known)] == [name]
        async with ward.other(PrincipalKind.CITIZEN, person=known) as stub:
            listed = await stub.ListEmergencyAccesses(messages.ListEmergencyAccessesRequest(), timeout=5)
        assert [(one.name, one.person) for one in listed.emergency_accesses] == [(name, unknown)]


async def test_a_notice_may_be_made_to_wait(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    frozen_clock: FrozenClock,
) -> None:
    database = database_for("consent")
    async with opened_ward(
        start_role, identities, database, keyring_file, tmp_path, frozen_clock, delay=timedelta(minutes=10)
    ) as ward:
        early, late = ward.app.enrol(), ward.app.enrol()
        await ward.open(early)
        ward.clock.advance(timedelta(minutes=5))
        await ward.open(late)
        ward.clock.advance(timedelta(minutes=5))
        await until(lambda: ward.app.told(early), ["EMERGENCY_ACCESS_OPENED"])
        assert ward.app.told(late) == []
