"""Permissions of children over mTLS and PostgreSQL, on a clock that the test moves: who is asked, who must agree, and until when that holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import (
    access_ledger_service_pb2,
    access_ledger_service_pb2_grpc,
    consent_pb2,
    consent_service_pb2,
    consent_service_pb2_grpc,
    decision_pb2,
    decision_service_pb2,
    decision_service_pb2_grpc,
)
from lienthong.type.v1 import access_context_pb2

from services.chassis.principal import PrincipalKind
from tests.fixtures.person_facts import People
from tests.integration.consent.test_flow import KINDS, READER, terms
from tests.integration.consent.test_guardianships import (
    DENY,
    GUARDIAN,
    PERMIT,
    TICK,
    as_citizen,
    born,
    end,
    midnight,
    reads,
    register,
    somebody,
    wanted,
)
from tests.integration.consent.ward import Ward, refused, until

pb = consent_service_pb2
Stub = consent_service_pb2_grpc.ConsentServiceStub
SELF, AS_GUARDIAN = consent_pb2.AGREEMENT_ROLE_SELF, consent_pb2.AGREEMENT_ROLE_GUARDIAN
ACTIVE, AWAITING = consent_pb2.CONSENT_STATE_ACTIVE, consent_pb2.CONSENT_STATE_AWAITING_AGREEMENT


async def as_(ward: Ward, person: str, call: Callable[[Any], Awaitable[Any]]) -> Any:
    """What a citizen's call answers."""
    async with as_citizen(ward, person) as channel:
        return await call(Stub(channel))


async def grant(ward: Ward, by: str, of: str = "", days: int = 30) -> consent_pb2.Consent:
    request = pb.GrantConsentRequest(request_id=str(uuid4()), terms=terms(days=days), person=of)
    given: consent_pb2.Consent = (await as_(ward, by, lambda stub: stub.GrantConsent(request, timeout=5))).consent
    return given


async def agree(ward: Ward, by: str, name: str) -> consent_pb2.Consent:
    request = pb.AgreeToConsentRequest(request_id=str(uuid4()), name=name)
    given: consent_pb2.Consent = (await as_(ward, by, lambda stub: stub.AgreeToConsent(request, timeout=5))).consent
    return given


async def withdraw(ward: Ward, by: str, name: str) -> consent_pb2.Consent:
    request = pb.RevokeConsentRequest(request_id=str(uuid4()), name=name)
    given: consent_pb2.Consent = (await as_(ward, by, lambda stub: stub.RevokeConsent(request, timeout=5))).consent
    return given


async def decide(ward: Ward, person: str) -> decision_pb2.Decision:
    identities = ward.running.identities
    token = identities.token(PrincipalKind.FACILITY, facility=READER, at=ward.clock())
    query = decision_service_pb2.DecisionQuery(
        person=person,
        context=access_context_pb2.AccessContext(
            purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_CONSENT
        ),
        kinds=KINDS,
        method="lienthong.records.v1.DocumentService/GetHealthBook",
    )
    forwarded = identities.metadata(token, READER)
    async with identities.channel(ward.running.address, "consent", "records", forwarded) as channel:
        stub = decision_service_pb2_grpc.DecisionServiceStub(channel)
        return (await stub.Decide(decision_service_pb2.DecideRequest(queries=[query]), timeout=5)).decisions[0]


async def changes(ward: Ward, person: str) -> list[str]:
    decision = await decide(ward, person)
    assert decision.effect == DENY
    return [one.code for one in decision.would_change]


async def family(ward: Ward, people: People, years: int, days: int = 0) -> tuple[str, str]:
    """A child who turns so old in so many days, and the mother."""
    child, mother = ward.app.enrol(), ward.app.enrol()
    people.births[child] = born(ward, years, days)
    await register(ward, wanted(child, mother))
    return child, mother


def to(ward: Ward, at: datetime) -> None:
    ward.clock.advance(at - ward.clock())


async def test_below_seven_the_guardian_agrees_alone_until_the_seventh_birthday(ward: Ward, people: People) -> None:
    child, mother = await family(ward, people, 7, days=10)
    given = await grant(ward, mother, child)
    assert (given.state, given.person) == (ACTIVE, child)
    (agreement,) = given.agreements
    assert (agreement.role, agreement.person, agreement.evidence.text_version) == (
        AS_GUARDIAN,
        mother,
        "vi-2026-11-guardian",
    )
    seventh = midnight(ward, 10)
    assert given.expire_time.ToDatetime(UTC) == seventh
    assert (await decide(ward, child)).effect == PERMIT
    to(ward, seventh - TICK)
    assert (await decide(ward, child)).effect == PERMIT
    to(ward, seventh)
    assert await changes(ward, child) == ["RENEW_CONSENT"]


async def test_from_the_seventh_birthday_on_both_agree(ward: Ward, people: People) -> None:
    child, mother = await family(ward, people, 7)
    given = await grant(ward, mother, child)
    assert given.state == AWAITING
    assert await changes(ward, child) == ["AWAIT_AGREEMENT"]
    for one in (child, mother):
        assert [each.type for each in await ward.notices(child, one) if each.resource == given.name] == [
            "AGREEMENT_AWAITED"
        ]
    await until(lambda: "AGREEMENT_AWAITED" in ward.app.told(child), wanted=True)
    ward.clock.advance(timedelta(days=1))
    agreed = await agree(ward, child, given.name)
    assert agreed.state == ACTIVE
    assert [(one.role, one.person) for one in agreed.agreements] == [(AS_GUARDIAN, mother), (SELF, child)]
    assert agreed.expire_time.ToDatetime(UTC) == ward.clock() + timedelta(days=30)
    assert await agree(ward, child, given.name) == agreed
    assert (await decide(ward, child)).effect == PERMIT


async def test_a_child_grants_and_the_guardian_agrees(ward: Ward, people: People) -> None:
    child, mother = await family(ward, people, 16, days=5)
    given = await grant(ward, child)
    assert given.state == AWAITING
    assert (await agree(ward, mother, given.name)).state == ACTIVE
    birthday = midnight(ward, 5)
    to(ward, birthday - TICK)
    assert (await decide(ward, child)).effect == PERMIT
    to(ward, birthday)
    assert await changes(ward, child) == ["RENEW_CONSENT"]
    # Now it is theirs alone.
    assert (await grant(ward, child)).state == ACTIVE
    assert (await decide(ward, child)).effect == PERMIT
    async with as_citizen(ward, mother) as channel:
        call = Stub(channel).GrantConsent(
            pb.GrantConsentRequest(request_id=str(uuid4()), terms=terms(), person=child), timeout=5
        )
        assert await refused(call) == "NOT_THE_GUARDIAN"


@pytest.mark.parametrize("by", [0, 1], ids=["child", "guardian"])
async def test_either_withdraws_and_who_did_is_kept(ward: Ward, people: People, by: int) -> None:
    both = await family(ward, people, 10)
    child, mother = both
    given = await grant(ward, mother, child)
    await agree(ward, child, given.name)
    ward.clock.advance(timedelta(hours=1))
    assert (await withdraw(ward, both[by], given.name)).state == consent_pb2.CONSENT_STATE_REVOKED
    assert await changes(ward, child) == ["OBTAIN_NEW_CONSENT"]
    request = pb.ListConsentEventsRequest(consent=given.name)
    for reader in both:
        events = (await as_(ward, reader, lambda stub: stub.ListConsentEvents(request, timeout=5))).events
        assert [(one.type, one.actor) for one in events] == [
            ("GRANTED", mother),
            ("AGREED", child),
            ("REVOKED", both[by]),
        ]
    async with as_citizen(ward, child) as channel:
        call = Stub(channel).AgreeToConsent(
            pb.AgreeToConsentRequest(request_id=str(uuid4()), name=given.name), timeout=5
        )
        assert await refused(call) == "CONSENT_REVOKED"


async def test_what_a_guardian_agreed_to_ends_with_the_office(ward: Ward, people: People) -> None:
    child, mother, father = ward.app.enrol(), ward.app.enrol(), ward.app.enrol()
    people.births[child] = born(ward, 10)
    office = await register(ward, wanted(child, mother))
    await register(ward, wanted(child, father))
    given = await grant(ward, mother, child)
    await agree(ward, child, given.name)
    assert (await decide(ward, child)).effect == PERMIT
    await end(ward, office.name)
    assert await changes(ward, child) == ["OBTAIN_GUARDIAN_CONSENT"]
    assert (await reads(ward, mother, child)).effect == DENY
    async with as_citizen(ward, mother) as channel:
        stub = Stub(channel)
        assert await refused(stub.GetConsent(pb.GetConsentRequest(name=given.name), timeout=5)) == "CONSENT_NOT_FOUND"
        assert await refused(stub.ListConsents(pb.ListConsentsRequest(person=child), timeout=5)) == "NOT_THE_PERSON"
    anew = await grant(ward, father, child)
    await agree(ward, child, anew.name)
    assert (await decide(ward, child)).effect == PERMIT


async def test_a_guardian_sees_permissions_recipients_and_ledger_of_the_ward(ward: Ward, people: People) -> None:
    child, mother = await family(ward, people, 6)
    stranger = somebody()
    given = await grant(ward, mother, child)
    decision = await decide(ward, child)
    async with as_citizen(ward, mother) as channel:
        stub = Stub(channel)
        listed = await stub.ListConsents(pb.ListConsentsRequest(person=child), timeout=5)
        assert [one.name for one in listed.consents] == [given.name]
        recipients = await stub.ListRecipients(pb.ListRecipientsRequest(consent=given.name), timeout=5)
        assert [one.organization for one in recipients.recipients] == [f"organizations/{READER}"]
        ledger = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
        lines = (
            await ledger.ListAccesses(access_ledger_service_pb2.ListAccessesRequest(person=child), timeout=5)
        ).accesses
        assert [one.decision for one in lines] == [decision.name]
        why = decision_service_pb2_grpc.ExplanationServiceStub(channel)
        explained = await why.ExplainDecision(
            decision_service_pb2.ExplainDecisionRequest(name=decision.name), timeout=5
        )
        assert explained.decision.effect == PERMIT
    async with as_citizen(ward, stranger) as channel:
        stub = Stub(channel)
        assert await refused(stub.GetConsent(pb.GetConsentRequest(name=given.name), timeout=5)) == "CONSENT_NOT_FOUND"
        request = pb.AgreeToConsentRequest(request_id=str(uuid4()), name=given.name)
        assert await refused(stub.AgreeToConsent(request, timeout=5)) == "CONSENT_NOT_FOUND"
        revoke = pb.RevokeConsentRequest(request_id=str(uuid4()), name=given.name)
        assert await refused(stub.RevokeConsent(revoke, timeout=5)) == "CONSENT_NOT_FOUND"


async def ask(ward: Ward, person: str) -> consent_pb2.ConsentRequest:
    identities = ward.running.identities
    token = identities.token(PrincipalKind.FACILITY, facility=READER, at=ward.clock())
    metadata = identities.metadata(token, READER)
    async with identities.channel(ward.running.address, "consent", "gateway", metadata) as channel:
        request = pb.RequestConsentRequest(request_id=str(uuid4()), person=person, terms=terms())
        return (await Stub(channel).RequestConsent(request, timeout=5)).consent_request


async def answered(ward: Ward, reader: str, name: str) -> consent_pb2.ConsentRequest:
    """Waits for the app's answer to arrive; the clock goes on meanwhile."""
    request = pb.GetConsentRequestRequest(name=name)
    async with asyncio.timeout(20):
        while True:
            found: consent_pb2.ConsentRequest = (
                await as_(ward, reader, lambda stub: stub.GetConsentRequest(request, timeout=5))
            ).consent_request
            if found.state != consent_pb2.CONSENT_REQUEST_STATE_PENDING:
                return found
            ward.clock.advance(timedelta(seconds=1))
            await asyncio.sleep(0.05)


async def test_the_app_asks_the_guardian_and_the_child_agrees_after(ward: Ward, people: People) -> None:
    child, mother = await family(ward, people, 10)
    asked = await ask(ward, child)
    assert await ward.app.asked(child) == []
    (shown,) = await ward.app.asked(mother, "approve")
    assert shown["details"][0]["ward"] == child
    assert shown["message"] == asked.binding_message
    listed = await as_(
        ward, mother, lambda stub: stub.ListConsentRequests(pb.ListConsentRequestsRequest(person=child), timeout=5)
    )
    assert [one.name for one in listed.consent_requests] == [asked.name]
    done = await answered(ward, child, asked.name)
    assert done.state == consent_pb2.CONSENT_REQUEST_STATE_GRANTED
    assert await changes(ward, child) == ["AWAIT_AGREEMENT"]
    agreed = await agree(ward, child, done.consent)
    assert agreed.state == ACTIVE
    assert [one.role for one in agreed.agreements] == [AS_GUARDIAN, SELF]
    assert agreed.agreements[0].evidence.channel == consent_pb2.CONSENT_CHANNEL_NATIONAL_ID_APP
    assert len(agreed.agreements[0].evidence.assertion_sha256) == 64
    assert (await decide(ward, child)).effect == PERMIT


async def test_a_request_lapses_at_the_birthday_that_changes_who_must_agree(ward: Ward, people: People) -> None:
    child, mother = ward.app.enrol(), ward.app.enrol()
    to(ward, midnight(ward, 1) - timedelta(minutes=2))
    people.births[child] = born(ward, 7, days=1)
    await register(ward, wanted(child, mother))
    asked = await ask(ward, child)
    assert asked.expire_time.ToDatetime(UTC) == ward.clock() + timedelta(minutes=2)
    ward.clock.advance(timedelta(minutes=2))
    async with as_citizen(ward, mother) as channel:
        request = pb.GrantConsentRequest(request_id=str(uuid4()), consent_request=asked.name)
        assert await refused(Stub(channel).GrantConsent(request, timeout=5)) == "CONSENT_REQUEST_CLOSED"
    assert (await grant(ward, mother, child)).state == AWAITING


async def test_a_guardian_denies_and_a_stranger_cannot(ward: Ward, people: People) -> None:
    child, mother = await family(ward, people, 10)
    asked = await ask(ward, child)
    request = pb.DenyConsentRequest(request_id=str(uuid4()), consent_request=asked.name)
    async with as_citizen(ward, somebody()) as channel:
        assert await refused(Stub(channel).DenyConsent(request, timeout=5)) == "CONSENT_REQUEST_NOT_FOUND"
    denied = await as_(ward, mother, lambda stub: stub.DenyConsent(request, timeout=5))
    assert denied.consent_request.state == consent_pb2.CONSENT_REQUEST_STATE_DENIED


async def test_who_cannot_be_placed_is_not_asked(ward: Ward, people: People) -> None:
    orphan, unknown, claimed, dead = (somebody() for _ in range(4))
    people.births |= {orphan: born(ward, 10), unknown: None}
    people.provisional.add(claimed)
    people.deceased.add(dead)
    for person, reason in (
        (orphan, "NO_GUARDIAN"),
        (unknown, "AGE_UNKNOWN"),
        (claimed, "AGE_UNKNOWN"),
        (dead, "PERSON_DECEASED"),
    ):
        assert await refused(ask(ward, person)) == reason
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await grant(ward, person)
        error = from_rpc_error(caught.value)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
    people.down = True
    assert await refused(ask(ward, somebody())) == "PEER_UNAVAILABLE"
    assert ward.rows("SELECT count(*) FROM consent") == [(0,)]


async def test_a_year_of_birth_counts_from_its_last_day(ward: Ward, people: People) -> None:
    child, mother = somebody(), somebody()
    year = ward.clock().year
    people.births[child] = (year - 16, 0, 0)
    registered = await register(ward, wanted(child, mother))
    last = datetime(year, 12, 31, tzinfo=UTC) - timedelta(hours=7)
    assert registered.period.end_time.ToDatetime(UTC) == last
    assert (await grant(ward, child)).state == AWAITING


async def test_an_adult_who_cannot_act_has_an_appointed_guardian_agree(ward: Ward, people: People) -> None:
    adult, guardian = ward.app.enrol(), ward.app.enrol()
    office = await register(ward, wanted(adult, guardian, GUARDIAN))
    await ask(ward, adult)
    assert await ward.app.asked(adult) == []
    assert len(await ward.app.asked(guardian)) == 1
    given = await grant(ward, guardian, adult)
    assert given.state == ACTIVE
    assert (await decide(ward, adult)).effect == PERMIT
    assert (await grant(ward, adult)).state == AWAITING
    await end(ward, office.name)
    assert (await decide(ward, adult)).effect == DENY
    assert (await grant(ward, adult)).state == ACTIVE


async def test_no_date_of_birth_is_kept(ward: Ward, people: People) -> None:
    child, mother = await family(ward, people, 10)
    given = await grant(ward, mother, child)
    await agree(ward, child, given.name)
    await decide(ward, child)
    year, month, day = born(ward, 10)
    tables = [name for (name,) in ward.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for table in tables:
        found = ward.rows(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", f"%{year}-{month:02}-{day:02}%")  # noqa: S608 - names of tables
        assert found == [(0,)], table
