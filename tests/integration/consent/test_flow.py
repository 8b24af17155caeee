"""The consent role over mTLS and PostgreSQL: grant, decide, revoke, and the ledger."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
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
from lienthong.type.v1 import access_context_pb2, document_kind_pb2

from services.chassis.identifiers import uuid7
from services.chassis.principal import PrincipalKind
from tests.fixtures.identities import Running

READER, OTHER = "01001", "79001"
KINDS = [document_kind_pb2.DOCUMENT_KIND_ENCOUNTER_SUMMARY, document_kind_pb2.DOCUMENT_KIND_PRESCRIPTION]


def terms(organization: str = READER, kinds: list[int] | None = None, days: int = 30) -> consent_pb2.ConsentTerms:
    return consent_pb2.ConsentTerms(
        purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT,
        kinds=kinds or KINDS,  # type: ignore[arg-type] # enum numbers
        permission_duration=Duration(seconds=days * 86400),
        grantee=consent_pb2.Grantee(organization=f"organizations/{organization}"),
    )


async def grant(
    consent: Running, person: str, wanted: consent_pb2.ConsentTerms, request_id: str = ""
) -> consent_pb2.Consent:
    async with consent.as_citizen(person) as channel:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        request = consent_service_pb2.GrantConsentRequest(request_id=request_id or str(uuid.uuid4()), terms=wanted)
        return (await stub.GrantConsent(request, timeout=5)).consent


async def decide(
    consent: Running, person: str, facility: str = READER, kinds: Sequence[int] | None = None
) -> decision_pb2.Decision:
    token = consent.identities.token(PrincipalKind.FACILITY, facility=facility)
    forwarded = consent.identities.metadata(token, facility)
    query = decision_service_pb2.DecisionQuery(
        person=person,
        context=access_context_pb2.AccessContext(
            purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_CONSENT
        ),
        kinds=kinds or KINDS,  # type: ignore[arg-type] # enum numbers
        method="lienthong.records.v1.DocumentService/GetHealthBook",
    )
    async with consent.as_role("records", forwarded) as channel:
        stub = decision_service_pb2_grpc.DecisionServiceStub(channel)
        return (await stub.Decide(decision_service_pb2.DecideRequest(queries=[query]), timeout=5)).decisions[0]


async def accesses(consent: Running, person: str) -> list[access_ledger_service_pb2.Access]:
    async with consent.as_citizen(person) as channel:
        stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
        request = access_ledger_service_pb2.ListAccessesRequest(person=person)
        return list((await stub.ListAccesses(request, timeout=5)).accesses)


async def test_without_consent_nothing_is_permitted_and_the_attempt_is_on_the_ledger(consent: Running) -> None:
    person = f"persons/{uuid7()}"
    decision = await decide(consent, person)
    assert decision.effect == decision_pb2.EFFECT_DENY
    assert [change.code for change in decision.would_change] == ["OBTAIN_CONSENT"]
    (line,) = await accesses(consent, person)
    assert (line.effect, line.organization, line.decision) == (
        decision_pb2.EFFECT_DENY,
        f"organizations/{READER}",
        decision.name,
    )


async def test_consent_permits_its_kinds_to_its_facility_and_a_withdrawal_stops_the_next_read(consent: Running) -> None:
    person = f"persons/{uuid7()}"
    granted = await grant(consent, person, terms())
    wanted = [*KINDS, document_kind_pb2.DOCUMENT_KIND_RECORD_SUMMARY]
    decision = await decide(consent, person, kinds=wanted)
    assert decision.effect == decision_pb2.EFFECT_PERMIT
    assert [list(part.kinds) for part in decision.permissions] == [KINDS]
    assert [part.reason for part in decision.withheld] == ["KIND_NOT_PERMITTED"]
    assert (await decide(consent, person, facility=OTHER)).effect == decision_pb2.EFFECT_DENY
    async with consent.as_citizen(person) as channel:
        request = consent_service_pb2.RevokeConsentRequest(request_id=str(uuid.uuid4()), name=granted.name)
        revoked = await consent_service_pb2_grpc.ConsentServiceStub(channel).RevokeConsent(request, timeout=5)
    assert revoked.consent.state == consent_pb2.CONSENT_STATE_REVOKED
    after = await decide(consent, person)
    assert after.effect == decision_pb2.EFFECT_DENY
    assert [change.code for change in after.would_change] == ["OBTAIN_NEW_CONSENT"]


async def test_ledger_lines_form_a_hash_chain(consent: Running) -> None:
    person = f"persons/{uuid7()}"
    for _ in range(4):
        await decide(consent, person)
    lines = list(reversed(await accesses(consent, person)))
    assert [line.sequence for line in lines] == [1, 2, 3, 4]
    before = bytes(32)
    for line in lines:
        assert line.previous_hash == before
        assert len(line.hash) == hashlib.sha256().digest_size
        before = line.hash


async def test_the_same_grant_twice_is_one_consent(consent: Running) -> None:
    person, request_id = f"persons/{uuid7()}", str(uuid.uuid4())
    first = await grant(consent, person, terms(), request_id)
    assert (await grant(consent, person, terms(), request_id)).name == first.name


async def test_terms_beyond_the_purpose_are_refused_naming_every_field(consent: Running) -> None:
    wrong = terms(days=400)
    wrong.purpose = access_context_pb2.PURPOSE_OF_USE_PUBLIC_HEALTH
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await grant(consent, f"persons/{uuid7()}", wrong)
    error = from_rpc_error(caught.value)
    assert error.reason == "TERMS_NOT_ALLOWED"
    assert {one.field for one in error.violations} == {"terms.purpose", "terms.permission_duration"}
    assert len(error.trace_id) == 32


async def test_another_citizen_sees_neither_ledger_nor_consents(consent: Running) -> None:
    person, stranger = f"persons/{uuid7()}", f"persons/{uuid7()}"
    await grant(consent, person, terms())
    async with consent.as_citizen(stranger) as channel:
        stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListAccesses(access_ledger_service_pb2.ListAccessesRequest(person=person), timeout=5)
    assert from_rpc_error(caught.value).reason == "NOT_THE_PERSON"


async def test_id_app_down_is_unavailable(consent: Running) -> None:
    async with consent.as_facility(READER) as channel:
        request = consent_service_pb2.RequestConsentRequest(
            request_id=str(uuid.uuid4()), person=f"persons/{uuid7()}", terms=terms()
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await consent_service_pb2_grpc.ConsentServiceStub(channel).RequestConsent(request, timeout=5)
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "ID_APP_UNAVAILABLE")
