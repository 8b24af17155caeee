"""Guardianships over mTLS and PostgreSQL: on evidence, cut at coming of age, ended at once, shown to those concerned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from click.testing import CliRunner
from lienthong.agent.cli import main
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import (
    consent_service_pb2,
    consent_service_pb2_grpc,
    decision_pb2,
    decision_service_pb2,
    decision_service_pb2_grpc,
    guardianship_service_pb2,
    guardianship_service_pb2_grpc,
)
from lienthong.type.v1 import access_context_pb2, document_kind_pb2

from services.chassis.identifiers import uuid7
from services.chassis.principal import PrincipalKind
from tests.fixtures.person_facts import People
from tests.integration.consent.test_flow import terms
from tests.integration.consent.ward import Ward, refused

pb = guardianship_service_pb2
Stub = guardianship_service_pb2_grpc.GuardianshipServiceStub
PARENT, GUARDIAN = pb.GUARDIANSHIP_KIND_PARENT, pb.GUARDIANSHIP_KIND_GUARDIAN
PERMIT, DENY = decision_pb2.EFFECT_PERMIT, decision_pb2.EFFECT_DENY
TICK = timedelta(microseconds=1)


def somebody() -> str:
    return f"persons/{uuid7()}"


@asynccontextmanager
async def as_steward(ward: Ward) -> AsyncIterator[Stub]:
    identities = ward.running.identities
    metadata = identities.metadata(identities.token(PrincipalKind.STEWARD, at=ward.clock()))
    async with identities.channel(ward.running.address, "consent", "gateway", metadata) as channel:
        yield Stub(channel)


@asynccontextmanager
async def as_citizen(ward: Ward, person: str) -> AsyncIterator[grpc.aio.Channel]:
    identities = ward.running.identities
    metadata = identities.metadata(identities.token(PrincipalKind.CITIZEN, person=person, at=ward.clock()))
    async with identities.channel(ward.running.address, "consent", "gateway", metadata) as channel:
        yield channel


def wanted(child: str, guardian: str, kind: int = PARENT, **more: object) -> pb.RegisterGuardianshipRequest:
    return pb.RegisterGuardianshipRequest(
        request_id=str(uuid4()),
        guardianship=pb.Guardianship(
            ward=child,
            guardian=guardian,
            kind=kind,  # type: ignore[arg-type] # an enum number
            evidence="BIRTH_CERTIFICATE",
            **more,  # type: ignore[arg-type] # other fields
        ),
    )


async def register(ward: Ward, request: pb.RegisterGuardianshipRequest) -> pb.Guardianship:
    async with as_steward(ward) as stub:
        return (await stub.RegisterGuardianship(request, timeout=5)).guardianship


async def end(ward: Ward, name: str) -> pb.Guardianship:
    async with as_steward(ward) as stub:
        request = pb.EndGuardianshipRequest(request_id=str(uuid4()), name=name, reason="COURT_DECISION")
        return (await stub.EndGuardianship(request, timeout=5)).guardianship


async def reads(ward: Ward, reader: str, person: str) -> decision_pb2.Decision:
    """A citizen asks for data through the records role."""
    identities = ward.running.identities
    forwarded = identities.metadata(identities.token(PrincipalKind.CITIZEN, person=reader, at=ward.clock()))
    query = decision_service_pb2.DecisionQuery(
        person=person,
        context=access_context_pb2.AccessContext(
            purpose=access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST,
            legal_basis=access_context_pb2.LEGAL_BASIS_OWN_DATA,
        ),
        kinds=[document_kind_pb2.DOCUMENT_KIND_ENCOUNTER_SUMMARY, document_kind_pb2.DOCUMENT_KIND_HIV_CARE],
        method="lienthong.records.v1.DocumentService/GetHealthBook",
    )
    async with identities.channel(ward.running.address, "consent", "records", forwarded) as channel:
        stub = decision_service_pb2_grpc.DecisionServiceStub(channel)
        return (await stub.Decide(decision_service_pb2.DecideRequest(queries=[query]), timeout=5)).decisions[0]


def born(ward: Ward, years: int, days: int = 0) -> tuple[int, int, int]:
    """Who turns so old in so many days."""
    today = (ward.clock() + timedelta(hours=7, days=days)).date()
    return today.year - years, today.month, today.day


def midnight(ward: Ward, days: int) -> datetime:
    """The beginning of a day in Vietnam, so many days from now."""
    local = ward.clock() + timedelta(hours=7, days=days)
    return local.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=7)


async def test_a_guardian_reads_from_registration_until_the_end_and_no_longer(ward: Ward, people: People) -> None:
    child, mother, stranger = somebody(), somebody(), somebody()
    people.births[child] = born(ward, 9)
    assert (await reads(ward, mother, child)).effect == DENY
    request = wanted(child, mother)
    registered = await register(ward, request)
    assert await register(ward, request) == registered
    decision = await reads(ward, mother, child)
    assert decision.effect == PERMIT
    assert len(decision.permissions[0].kinds) == 2
    assert len(decision.permissions[0].sensitive_classes) == 3
    assert [one.rule for one in decision.rules if one.effect == PERMIT] == ["ward"]
    assert (await reads(ward, stranger, child)).effect == DENY
    assert (await reads(ward, child, mother)).effect == DENY
    ward.clock.advance(timedelta(hours=1))
    ended = await end(ward, registered.name)
    assert ended.end_time.ToDatetime(UTC) == ward.clock()
    assert (await reads(ward, mother, child)).effect == DENY
    ward.clock.advance(timedelta(hours=1))
    assert await end(ward, registered.name) == ended
    assert (await reads(ward, child, child)).effect == PERMIT


async def test_an_office_ends_with_the_last_instant_before_the_sixteenth_birthday(ward: Ward, people: People) -> None:
    child, mother = somebody(), somebody()
    people.births[child] = born(ward, 16, days=3)
    registered = await register(ward, wanted(child, mother))
    of_age = midnight(ward, 3)
    assert registered.period.end_time.ToDatetime(UTC) == of_age
    ward.clock.advance(of_age - ward.clock() - TICK)
    assert (await reads(ward, mother, child)).effect == PERMIT
    ward.clock.advance(TICK)
    assert (await reads(ward, mother, child)).effect == DENY


async def test_who_is_of_age_has_no_parent_in_office_but_may_have_an_appointed_guardian(
    ward: Ward, people: People
) -> None:
    adult, other = somebody(), somebody()
    people.births[adult] = born(ward, 16)
    async with as_steward(ward) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RegisterGuardianship(wanted(adult, other), timeout=5)
    assert [one.reason for one in from_rpc_error(caught.value).violations] == ["WARD_OF_AGE"]
    registered = await register(ward, wanted(adult, other, GUARDIAN))
    assert not registered.period.HasField("end_time")
    assert (await reads(ward, other, adult)).effect == PERMIT


async def test_without_a_date_of_birth_nobody_is_a_parent(ward: Ward, people: People) -> None:
    child, mother = somebody(), somebody()
    people.births[child] = None
    async with as_steward(ward) as stub:
        assert await refused(stub.RegisterGuardianship(wanted(child, mother), timeout=5)) == "AGE_UNKNOWN"
    assert (await register(ward, wanted(child, mother, GUARDIAN))).ward == child


async def test_every_wrong_field_is_named(ward: Ward, people: People) -> None:
    bad = wanted("persons/x", "somebody", 0)
    bad.guardianship.evidence = "079203012345"
    bad.guardianship.period.start_time.seconds = 20
    bad.guardianship.period.end_time.seconds = 10
    async with as_steward(ward) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RegisterGuardianship(bad, timeout=5)
        bad.guardianship.kind = PARENT
        with pytest.raises(grpc.aio.AioRpcError) as again:
            await stub.RegisterGuardianship(bad, timeout=5)
    assert "guardianship.kind" in {one.field for one in from_rpc_error(caught.value).violations}
    error = from_rpc_error(again.value)
    assert {one.field for one in error.violations} == {
        "guardianship.ward",
        "guardianship.guardian",
        "guardianship.evidence",
        "guardianship.period",
    }
    assert "079203012345" not in str(again.value)


async def test_nobody_is_their_own_guardian(ward: Ward, people: People) -> None:
    child = somebody()
    people.births[child] = born(ward, 9)
    async with as_steward(ward) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RegisterGuardianship(wanted(child, child), timeout=5)
    assert [one.reason for one in from_rpc_error(caught.value).violations] == ["OWN_GUARDIAN"]


@pytest.mark.parametrize(
    ("kind", "facts", "reason"),
    [
        (GUARDIAN, {"guardian": 17}, "NOT_OF_FULL_AGE"),
        (GUARDIAN, {"guardian": None}, "NOT_OF_FULL_AGE"),
        (PARENT, {"dead": "guardian"}, "PERSON_DECEASED"),
        (PARENT, {"dead": "ward"}, "PERSON_DECEASED"),
    ],
)
async def test_who_cannot_act_or_be_acted_for_is_refused(
    ward: Ward, people: People, kind: int, facts: dict[str, Any], reason: str
) -> None:
    child, other = somebody(), somebody()
    people.births[child] = born(ward, 5)
    if "guardian" in facts:
        people.births[other] = facts["guardian"] and born(ward, facts["guardian"])
    people.deceased |= {{"guardian": other, "ward": child}[facts["dead"]]} if "dead" in facts else set()
    async with as_steward(ward) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RegisterGuardianship(wanted(child, other, kind), timeout=5)
    assert [one.reason for one in from_rpc_error(caught.value).violations] == [reason]


async def test_a_mother_may_be_young_and_many_retries_at_once_are_one(ward: Ward, people: People) -> None:
    child, mother = somebody(), somebody()
    people.births |= {child: born(ward, 0), mother: born(ward, 15)}
    request = wanted(child, mother)
    async with as_steward(ward) as stub:
        answers = await asyncio.gather(*(stub.RegisterGuardianship(request, timeout=5) for _ in range(8)))
    assert len({one.guardianship.name for one in answers}) == 1
    ends = await asyncio.gather(*(end(ward, answers[0].guardianship.name) for _ in range(8)))
    assert len({one.end_time.ToDatetime() for one in ends}) == 1
    assert ward.rows("SELECT count(*) FROM notice") == [(2,)]


async def test_stewards_and_guardians_by_command(ward: Ward, people: People, tmp_path: Path) -> None:
    child, mother = ward.app.enrol(), ward.app.enrol()
    people.births[child] = born(ward, 10)
    identities = ward.running.identities
    gateway, token = identities.workload("gateway"), tmp_path / "token"
    options = {
        "--gateway": ward.running.address,
        "--authority": identities.pki.authority,
        "--token-file": token,
        "--certificate": gateway.certificate,
        "--private-key": gateway.private_key,
        "--server-name": "consent.lienthong.internal",
    }
    given = [str(part) for option in options.items() for part in option]

    async def run(command: str, *arguments: str, citizen: str = "") -> str:
        kind = PrincipalKind.CITIZEN if citizen else PrincipalKind.STEWARD
        token.write_text(identities.token(kind, person=citizen, at=ward.clock()), "utf-8")
        done = await asyncio.to_thread(CliRunner().invoke, main, [command, *given, *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    registered = await run("guardianship", "register", child, mother, "parent", "--evidence", "BIRTH_CERTIFICATE")
    name, kind, *_ = registered.split()
    assert kind == "PARENT"
    assert f"{mother} for {child}  BIRTH_CERTIFICATE  until " in registered
    assert await run("guardianship", "list", child) == registered
    async with as_citizen(ward, mother) as channel:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        granting = consent_service_pb2.GrantConsentRequest(request_id=str(uuid4()), terms=terms(), person=child)
        granted = (await stub.GrantConsent(granting, timeout=5)).consent.name
    assert (await run("citizen", "consents", "--person", child, citizen=mother)).split()[:2] == [
        granted,
        "AWAITING_AGREEMENT",
    ]
    assert (await run("citizen", "agree", granted, citizen=child)).split()[:2] == [granted, "ACTIVE"]
    assert await run("citizen", "requests", "--person", child, citizen=mother) == ""
    await reads(ward, mother, child)
    assert "PATIENT_REQUEST  PERMIT" in await run("citizen", "accesses", "--person", child, citizen=mother)
    assert (await run("guardianship", "end", name, "--reason", "COURT_DECISION")).split()[0] == name


async def test_a_request_id_is_used_for_one_guardianship(ward: Ward, people: People) -> None:
    child, mother = somebody(), somebody()
    people.births[child] = born(ward, 9)
    request = wanted(child, mother)
    await register(ward, request)
    request.guardianship.guardian = somebody()
    async with as_steward(ward) as stub:
        assert await refused(stub.RegisterGuardianship(request, timeout=5)) == "REQUEST_ID_REUSED"


async def test_lists_show_each_what_concerns_them(ward: Ward, people: People) -> None:
    child, sister, mother, father, stranger = (somebody() for _ in range(5))
    people.births |= {child: born(ward, 9), sister: born(ward, 5)}
    pairs = [(child, mother), (child, father), (sister, mother)]
    names = []
    for one, other in pairs:
        names.append((await register(ward, wanted(one, other))).name)
        ward.clock.advance(timedelta(seconds=1))

    async def listed(caller: str, person: str, page_size: int = 0) -> list[str]:
        found, token = [], ""
        async with as_citizen(ward, caller) as channel:
            while True:
                request = pb.ListGuardianshipsRequest(person=person, page_size=page_size, page_token=token)
                page = await Stub(channel).ListGuardianships(request, timeout=5)
                found += [one.name for one in page.guardianships]
                token = page.next_page_token
                if not token:
                    return sorted(found)

    assert await listed(child, child) == sorted(names[:2])
    assert await listed(mother, mother, page_size=1) == sorted([names[0], names[2]])
    assert await listed(mother, child) == [names[0]]
    assert await listed(child, child, page_size=1) == sorted(names[:2])
    async with as_citizen(ward, stranger) as channel:
        request = pb.ListGuardianshipsRequest(person=child)
        assert await refused(Stub(channel).ListGuardianships(request, timeout=5)) == "NOT_THE_PERSON"
    async with as_steward(ward) as stub:
        page = await stub.ListGuardianships(pb.ListGuardianshipsRequest(person=child), timeout=5)
        assert sorted(one.name for one in page.guardianships) == sorted(names[:2])
        missing = pb.EndGuardianshipRequest(
            request_id=str(uuid4()), name=f"guardianships/{uuid4()}", reason="COURT_DECISION"
        )
        assert await refused(stub.EndGuardianship(missing, timeout=5)) == "GUARDIANSHIP_NOT_FOUND"
    await end(ward, names[0])
    async with as_citizen(ward, mother) as channel:
        request = pb.ListGuardianshipsRequest(person=child)
        assert await refused(Stub(channel).ListGuardianships(request, timeout=5)) == "NOT_THE_PERSON"


async def test_both_are_told_when_it_begins_and_when_it_ends(ward: Ward, people: People) -> None:
    child, mother = somebody(), somebody()
    people.births[child] = born(ward, 9)
    registered = await register(ward, wanted(child, mother))
    await end(ward, registered.name)
    told = ward.rows(
        "SELECT n.type, count(*) FROM notice n JOIN notice_delivery d ON d.person_id = n.person_id AND d.notice_id = n.id"
        " WHERE n.resource = %s GROUP BY n.type ORDER BY n.type",
        registered.name,
    )
    assert told == [("GUARDIANSHIP_ENDED", 2), ("GUARDIANSHIP_REGISTERED", 2)]


async def test_where_the_index_does_not_answer_nobody_is_registered(ward: Ward, people: People) -> None:
    child, mother = somebody(), somebody()
    people.down = True
    async with as_steward(ward) as stub:
        assert await refused(stub.RegisterGuardianship(wanted(child, mother), timeout=5)) == "PEER_UNAVAILABLE"
    assert ward.rows("SELECT count(*) FROM guardianship") == [(0,)]
