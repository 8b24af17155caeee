"""Consents, decisions and ledger over all entries of a person, with a real person index beside."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from joserfc.jwk import ECKey
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
    guardianship_service_pb2,
    guardianship_service_pb2_grpc,
)
from lienthong.type.v1 import access_context_pb2

from services.chassis.feed import FollowSettings
from services.chassis.principal import PrincipalKind
from services.chassis.settings import TelemetrySettings
from services.consent.__main__ import compose
from services.consent.ciba import CibaSettings
from services.consent.config import Settings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.fixtures.person_index import PersonIndex
from tests.fixtures.registry import registered
from tests.integration.consent.test_flow import KINDS, READER, accesses, decide, grant, terms

PERMIT, DENY = decision_pb2.EFFECT_PERMIT, decision_pb2.EFFECT_DENY


@pytest.fixture
async def consent(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    person_index: PersonIndex,
) -> AsyncIterator[Running]:
    key = tmp_path / "client.jwk"
    key.write_text(json.dumps(ECKey.generate_key("P-256").as_dict(private=True)), "utf-8")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(identities.issuer.jwks), "utf-8")
    settings = Settings(
        server=identities.server_settings("consent"),
        database=registered(database_for("consent")),
        telemetry=TelemetrySettings(log_level="error"),
        ciba=CibaSettings("https://127.0.0.1:1", jwks, identities.pki.authority, "lienthong", key),
        keyring=keyring_file,
        identity_address=person_index.running.address,
        signing_address="127.0.0.1:1",
        records_address="127.0.0.1:1",
        feed=FollowSettings(silence_seconds=30.0),
    )
    async with start_role("consent", compose, settings) as running:
        yield running


async def until(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(10):
        while await look() != wanted:
            await asyncio.sleep(0.02)


async def revoke(consent: Running, person: str, name: str) -> None:
    async with consent.as_citizen(person) as channel:
        request = consent_service_pb2.RevokeConsentRequest(request_id=str(uuid.uuid4()), name=name)
        await consent_service_pb2_grpc.ConsentServiceStub(channel).RevokeConsent(request, timeout=5)


async def granted(consent: Running, person: str) -> list[str]:
    async with consent.as_citizen(person) as channel:
        request = consent_service_pb2.ListConsentsRequest(person=person)
        answer = await consent_service_pb2_grpc.ConsentServiceStub(channel).ListConsents(request, timeout=5)
    return [one.name for one in answer.consents]


async def test_consents_of_every_entry_count_for_every_entry_until_they_part(
    consent: Running, person_index: PersonIndex
) -> None:
    known, other = await person_index.person("001185000001"), await person_index.somebody()
    await grant(consent, known, terms())

    async def effect() -> int:
        return int((await decide(consent, other)).effect)

    assert await effect() == DENY
    link = await person_index.link(other, known)
    await until(effect, PERMIT)
    await person_index.part(link)
    await until(effect, DENY)
    assert (await decide(consent, known)).effect == PERMIT


async def test_the_ledger_is_that_of_the_whole_person_and_each_entrys_chain_stays_whole(
    consent: Running, person_index: PersonIndex
) -> None:
    known, other = await person_index.person("001185000001"), await person_index.somebody()
    before = [await decide(consent, person) for person in (other, known, other)]
    link = await person_index.link(other, known)

    async def lines() -> int:
        return len(await accesses(consent, known))

    await until(lines, 3)
    after = await decide(consent, other)
    for name in (known, other):
        ledger = await accesses(consent, name)
        assert [line.decision for line in ledger] == [one.name for one in (after, *reversed(before))]
    # What is asked of a linked entry is about the one who answers, and stands in that one's chain.
    assert ledger[0].person == known
    chains = {name: [line for line in reversed(ledger) if line.person == name] for name in (known, other)}
    for chain in chains.values():
        assert [line.sequence for line in chain] == list(range(1, len(chain) + 1))
        assert [line.previous_hash for line in chain] == [bytes(32), *(line.hash for line in chain[:-1])]
    assert await _paged(consent, known) == [line.name for line in ledger]
    await person_index.part(link)
    await until(lines, 2)
    assert len(await accesses(consent, other)) == 2


async def _paged(consent: Running, person: str) -> list[str]:
    names: list[str] = []
    async with consent.as_citizen(person) as channel:
        stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
        request = access_ledger_service_pb2.ListAccessesRequest(person=person, page_size=1)
        while True:
            answer = await stub.ListAccesses(request, timeout=5)
            names += [line.name for line in answer.accesses]
            request.page_token = answer.next_page_token
            if not request.page_token:
                return names


async def test_a_citizen_is_the_same_person_under_each_of_their_names(
    consent: Running, person_index: PersonIndex
) -> None:
    known, other = await person_index.person("001185000001"), await person_index.somebody()
    given = await grant(consent, known, terms())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _own(consent, other, known)
    assert from_rpc_error(caught.value).reason == "NOT_THE_PERSON"
    link = await person_index.link(other, known)

    async def seen() -> list[str]:
        return await granted(consent, other)

    await until(seen, [given.name])
    assert (await _own(consent, other, known)) == [given.name]
    decision = await _own_data(consent, citizen=other, person=known)
    assert decision.effect == PERMIT
    # Withdrawn under one name, it is withdrawn under all.
    await revoke(consent, other, given.name)
    assert (await decide(consent, known)).effect == DENY
    await person_index.part(link)
    await until(seen, [])
    assert (await _own_data(consent, citizen=other, person=known)).effect == DENY


async def _own(consent: Running, citizen: str, person: str) -> list[str]:
    """The consents of a person as a citizen asks for them."""
    async with consent.as_citizen(citizen) as channel:
        request = consent_service_pb2.ListConsentsRequest(person=person)
        answer = await consent_service_pb2_grpc.ConsentServiceStub(channel).ListConsents(request, timeout=5)
    return [one.name for one in answer.consents]


async def _own_data(consent: Running, citizen: str, person: str) -> decision_pb2.Decision:
    token = consent.identities.token(PrincipalKind.CITIZEN, person=citizen)
    query = decision_service_pb2.DecisionQuery(
        person=person,
        context=access_context_pb2.AccessContext(
            purpose=access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST,
            legal_basis=access_context_pb2.LEGAL_BASIS_OWN_DATA,
        ),
        kinds=KINDS,
        method="lienthong.records.v1.DocumentService/GetHealthBook",
    )
    async with consent.as_role("records", consent.identities.metadata(token)) as channel:
        stub = decision_service_pb2_grpc.DecisionServiceStub(channel)
        return (await stub.Decide(decision_service_pb2.DecideRequest(queries=[query]), timeout=5)).decisions[0]


async def test_one_batch_about_two_names_of_one_person_is_one_chain(
    consent: Running, person_index: PersonIndex
) -> None:
    known, other = await person_index.person("001185000001"), await person_index.somebody()
    await grant(consent, known, terms())
    await person_index.link(other, known)

    async def effect() -> int:
        return int((await decide(consent, other)).effect)

    await until(effect, PERMIT)
    already = len(await accesses(consent, known))
    queries = [
        decision_service_pb2.DecisionQuery(
            person=person,
            context=access_context_pb2.AccessContext(
                purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_CONSENT
            ),
            kinds=KINDS,
            method="lienthong.records.v1.DocumentService/GetHealthBook",
        )
        for person in (known, other, known)
    ]
    token = consent.identities.token(PrincipalKind.FACILITY, facility=READER)
    async with consent.as_role("records", consent.identities.metadata(token, READER)) as channel:
        stub = decision_service_pb2_grpc.DecisionServiceStub(channel)
        answer = await stub.Decide(decision_service_pb2.DecideRequest(queries=queries), timeout=5)
    assert [one.effect for one in answer.decisions] == [PERMIT] * 3
    assert len(await accesses(consent, known)) == already + 3


async def test_a_guardian_acts_under_each_of_their_names_for_each_of_the_childs(
    consent: Running, person_index: PersonIndex
) -> None:
    mother, mothers_other = await person_index.person("001185000001"), await person_index.somebody()
    born = datetime.now(UTC).year - 4
    child, childs_other = await person_index.person("001220000001", "Trần Văn An", born), await person_index.somebody()
    wanted = guardianship_service_pb2.Guardianship(
        ward=childs_other,
        guardian=mothers_other,
        kind=guardianship_service_pb2.GUARDIANSHIP_KIND_PARENT,
        evidence="BIRTH_CERTIFICATE",
    )

    async def register() -> guardianship_service_pb2.Guardianship:
        async with consent.as_officer(PrincipalKind.STEWARD) as channel:
            stub = guardianship_service_pb2_grpc.GuardianshipServiceStub(channel)
            request = guardianship_service_pb2.RegisterGuardianshipRequest(
                request_id=str(uuid.uuid4()), guardianship=wanted
            )
            return (await stub.RegisterGuardianship(request, timeout=5)).guardianship

    async def granted_by(guardian: str) -> consent_pb2.Consent:
        async with consent.as_citizen(guardian) as channel:
            stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
            request = consent_service_pb2.GrantConsentRequest(request_id=str(uuid.uuid4()), terms=terms(), person=child)
            return (await stub.GrantConsent(request, timeout=5)).consent

    async def refusal() -> str:
        try:
            await granted_by(mother)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error).reason
        return ""

    # Of a patient whom nobody knows, nobody knows whether they are a child.
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await register()
    assert from_rpc_error(caught.value).reason == "AGE_UNKNOWN"
    await person_index.link(childs_other, child)
    await register()
    assert await refusal() == "NOT_THE_GUARDIAN"
    link = await person_index.link(mothers_other, mother)
    await until(refusal, "")
    assert (await decide(consent, childs_other)).effect == PERMIT
    await person_index.part(link)
    await until(refusal, "NOT_THE_GUARDIAN")
    refused = await decide(consent, child)
    assert refused.effect == DENY
    assert [change.code for change in refused.would_change] == ["OBTAIN_GUARDIAN_CONSENT"]


async def test_nobody_is_the_guardian_of_an_entry_of_their_own(consent: Running, person_index: PersonIndex) -> None:
    known, other = await person_index.person("001185000001"), await person_index.somebody()
    await person_index.link(other, known)
    wanted = guardianship_service_pb2.Guardianship(
        ward=known,
        guardian=other,
        kind=guardianship_service_pb2.GUARDIANSHIP_KIND_GUARDIAN,
        evidence="COURT_DECISION",
    )
    request = guardianship_service_pb2.RegisterGuardianshipRequest(request_id=str(uuid.uuid4()), guardianship=wanted)
    async with consent.as_officer(PrincipalKind.STEWARD) as channel:
        stub = guardianship_service_pb2_grpc.GuardianshipServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RegisterGuardianship(request, timeout=5)
    assert [one.reason for one in from_rpc_error(caught.value).violations] == ["OWN_GUARDIAN"]
