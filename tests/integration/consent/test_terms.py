"""Terms in full over gRPC and PostgreSQL: grantees, sources, frequency, classes, and who was given data."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import consent_pb2, consent_service_pb2, consent_service_pb2_grpc, decision_pb2
from lienthong.type.v1 import sensitivity_class_pb2

from services.chassis.identifiers import uuid7
from tests.fixtures.identities import Running
from tests.integration.consent.test_flow import OTHER, READER, decide, grant, terms

PERMIT, DENY = decision_pb2.EFFECT_PERMIT, decision_pb2.EFFECT_DENY
HIV = sensitivity_class_pb2.SENSITIVITY_CLASS_HIV
PSYCHIATRIC = sensitivity_class_pb2.SENSITIVITY_CLASS_PSYCHIATRIC


def limited(reads: int, hours: int = 0) -> consent_pb2.ConsentTerms:
    wanted = terms()
    wanted.frequency.reads = reads
    if hours:
        wanted.frequency.interval.seconds = hours * 3600
    return wanted


async def shown(consent: Running, person: str, name: str) -> consent_pb2.Consent:
    async with consent.as_citizen(person) as channel:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        return (await stub.GetConsent(consent_service_pb2.GetConsentRequest(name=name), timeout=5)).consent


async def test_of_many_concurrent_reads_on_one_allowed_exactly_one_passes(consent: Running) -> None:
    person = f"persons/{uuid7()}"
    granted = await grant(consent, person, limited(1))
    decisions = await asyncio.gather(*(decide(consent, person) for _ in range(12)))
    effects = [decision.effect for decision in decisions]
    assert effects.count(PERMIT) == 1
    assert effects.count(DENY) == 11
    refused = next(one for one in decisions if one.effect == DENY)
    assert [change.code for change in refused.would_change] == ["RENEW_CONSENT_READS"]
    after = await shown(consent, person, granted.name)
    assert (after.state, after.remaining_reads) == (consent_pb2.CONSENT_STATE_EXHAUSTED, 0)


async def test_two_queries_of_one_call_take_one_read_each(consent: Running) -> None:
    person = f"persons/{uuid7()}"
    granted = await grant(consent, person, limited(3, hours=24))
    assert granted.remaining_reads == 3
    for _ in range(2):
        assert (await decide(consent, person)).effect == PERMIT
    after = await shown(consent, person, granted.name)
    assert (after.state, after.remaining_reads) == (consent_pb2.CONSENT_STATE_ACTIVE, 1)


async def test_a_consent_for_two_sources_is_two_consents_and_a_retry_finds_both(consent: Running) -> None:
    person, request_id = f"persons/{uuid7()}", str(uuid.uuid4())
    wanted = terms()
    wanted.sources.extend(["organizations/48001", "organizations/79002"])
    async with consent.as_citizen(person) as channel:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        request = consent_service_pb2.GrantConsentRequest(request_id=request_id, terms=wanted)
        first = await stub.GrantConsent(request, timeout=5)
        again = await stub.GrantConsent(request, timeout=5)
        assert first == again
        assert first.consent == first.consents[0]
        assert [one.source for one in first.consents] == ["organizations/48001", "organizations/79002"]
        await stub.RevokeConsent(
            consent_service_pb2.RevokeConsentRequest(request_id=str(uuid.uuid4()), name=first.consents[1].name),
            timeout=5,
        )
    decision = await decide(consent, person)
    assert [one.source for one in decision.permissions] == ["organizations/48001"]


async def test_a_class_that_was_named_is_permitted_and_the_others_are_withheld(consent: Running) -> None:
    person = f"persons/{uuid7()}"
    wanted = terms()
    wanted.sensitive_classes.append(PSYCHIATRIC)
    granted = await grant(consent, person, wanted)
    assert list(granted.terms.sensitive_classes) == [PSYCHIATRIC]
    decision = await decide(consent, person)
    assert [list(one.sensitive_classes) for one in decision.permissions] == [[PSYCHIATRIC]]
    assert HIV in {one.sensitivity_class for one in decision.withheld_classes}


async def test_a_consent_for_one_practitioner_is_not_for_the_facilitys_system(consent: Running) -> None:
    person = f"persons/{uuid7()}"
    wanted = terms()
    wanted.grantee.practitioner.organization = f"organizations/{READER}"
    wanted.grantee.practitioner.licence = "999999/BYT-CCHN"
    granted = await grant(consent, person, wanted)
    assert granted.terms.grantee.practitioner.licence == "999999/BYT-CCHN"
    decision = await decide(consent, person)
    assert [change.code for change in decision.would_change] == ["ASK_AS_GRANTEE"]


async def test_every_wrong_term_is_named(consent: Running) -> None:
    wanted = terms(days=10)
    wanted.grantee.organization_class = "BASIC"
    wanted.sensitive_classes.append(HIV)
    wanted.erase_after.CopyFrom(Duration(seconds=9 * 86400))
    wanted.frequency.reads = 1001
    wanted.frequency.interval.seconds = 60
    wanted.sources.extend(["organizations/48001"] * 2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await grant(consent, f"persons/{uuid7()}", wanted)
    error = from_rpc_error(caught.value)
    assert error.reason == "TERMS_NOT_ALLOWED"
    assert {one.field for one in error.violations} == {
        "terms.sensitive_classes",
        "terms.erase_after",
        "terms.frequency.reads",
        "terms.frequency.interval",
        "terms.sources",
    }
    wanted.grantee.organization_class = "GIANT"
    wanted.sources.append("hospital")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await grant(consent, f"persons/{uuid7()}", wanted)
    named = {one.field for one in from_rpc_error(caught.value).violations}
    assert named == {"terms.grantee.organization_class", "terms.sources[2]"}


async def test_recipients_are_listed_with_their_erase_time_and_say_that_they_erased(consent: Running) -> None:
    person = f"persons/{uuid7()}"
    granted = await grant(consent, person, terms())
    for _ in range(2):
        await decide(consent, person)
    async with consent.as_citizen(person) as channel:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        wanted = consent_service_pb2.ListRecipientsRequest(consent=granted.name)
        recipient = (await stub.ListRecipients(wanted, timeout=5)).recipients[0]
        assert (recipient.organization, recipient.reads) == (f"organizations/{READER}", 2)
        assert recipient.erase_time == granted.expire_time
        assert not recipient.HasField("acknowledge_time")
        revoked = await stub.RevokeConsent(
            consent_service_pb2.RevokeConsentRequest(request_id=str(uuid.uuid4()), name=granted.name), timeout=5
        )
        recipient = (await stub.ListRecipients(wanted, timeout=5)).recipients[0]
        assert recipient.erase_time == revoked.consent.revoke_time
    said = consent_service_pb2.AcknowledgeErasureRequest(
        request_id=str(uuid.uuid4()), consent=granted.name, retained_under="Law 15/2023/QH15 art. 69"
    )
    async with consent.as_facility(READER) as channel:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        first = (await stub.AcknowledgeErasure(said, timeout=5)).recipient
        said.retained_under = "something else"
        assert (await stub.AcknowledgeErasure(said, timeout=5)).recipient == first
        assert first.retained_under == "Law 15/2023/QH15 art. 69"
        events = await stub.ListConsentEvents(
            consent_service_pb2.ListConsentEventsRequest(consent=granted.name), timeout=5
        )
        assert [one.type for one in events.events] == ["GRANTED", "REVOKED"]
    async with consent.as_facility(OTHER) as channel:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.AcknowledgeErasure(said, timeout=5)
        assert from_rpc_error(caught.value).reason == "NOT_A_RECIPIENT"
