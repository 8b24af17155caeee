"""Consents on paper: vouched for by a practitioner, counted from the signature, the scan sealed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import consent_pb2, consent_service_pb2, consent_service_pb2_grpc

from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import open_keyring
from services.chassis.settings import DatabaseSettings
from services.consent.postgres import PostgresStore
from services.consent.service.agreements import CONSENT_TEXT_VERSION, GUARDIAN_TEXT_VERSION
from tests.fixtures.person_facts import People
from tests.integration.consent.test_flow import terms
from tests.integration.consent.test_minors import family
from tests.integration.consent.ward import DOCTOR, HOSPITAL, OTHER, Ward

SCAN = b"%PDF-1.7\n" + b"a signed paper\n" * 100 + b"%%EOF\n"


@asynccontextmanager
async def stub_of(ward: Ward, facility: str = HOSPITAL) -> AsyncIterator[consent_service_pb2_grpc.ConsentServiceStub]:
    identities = ward.running.identities
    token = identities.tokens.practitioner(facility, licence=DOCTOR, at=ward.clock())
    metadata = identities.metadata(token, facility)
    async with identities.channel(ward.running.address, "consent", "gateway", metadata) as channel:
        yield consent_service_pb2_grpc.ConsentServiceStub(channel)


def paper(
    ward: Ward, person: str, *, signed: datetime | None = None, **changes: Any
) -> consent_service_pb2.RecordPaperConsentRequest:
    at = Timestamp()
    at.FromDatetime(signed or ward.clock() - timedelta(hours=3))
    values: dict[str, Any] = {
        "request_id": str(uuid4()),
        "person": person,
        "terms": terms(HOSPITAL),
        "scan": SCAN,
        "text_version": CONSENT_TEXT_VERSION,
        "sign_time": at,
    }
    return consent_service_pb2.RecordPaperConsentRequest(**(values | changes))


async def record(
    ward: Ward, request: consent_service_pb2.RecordPaperConsentRequest, facility: str = HOSPITAL
) -> consent_pb2.Consent:
    async with stub_of(ward, facility) as stub:
        answer = await stub.RecordPaperConsent(request, timeout=5)
    return answer.consents[0]


async def refused(
    ward: Ward, request: consent_service_pb2.RecordPaperConsentRequest, facility: str = HOSPITAL
) -> tuple[str, set[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await record(ward, request, facility)
    error = from_rpc_error(caught.value)
    return error.reason, {one.reason for one in error.violations}


async def test_a_paper_counts_from_its_signature_and_its_scan_is_kept_sealed(
    ward: Ward, people: People, keyring_file: Path
) -> None:
    person = f"persons/{uuid7()}"
    request = paper(ward, person)
    granted = await record(ward, request)
    assert granted.state == consent_pb2.CONSENT_STATE_ACTIVE
    assert granted.grant_time == request.sign_time
    evidence = granted.evidence
    assert evidence.channel == consent_pb2.CONSENT_CHANNEL_SIGNED_PAPER
    assert (evidence.assertion_sha256, evidence.witness_licence) == (hashlib.sha256(SCAN).hexdigest(), DOCTOR)
    assert await record(ward, request) == granted
    assert ward.rows("SELECT count(*), max(position('signed'::bytea IN scan_sealed)) FROM consent_scan") == [(1, 0)]
    async with Database(DatabaseSettings(ward.database.url)) as database:
        store = PostgresStore(database, open_keyring(keyring_file), ward.clock)
        id = UUID(person.removeprefix("persons/"))
        assert await store.scan(id, evidence.assertion_sha256) == SCAN
        assert await store.scan(id, "0" * 64) is None


async def test_what_cannot_be_a_signed_paper_is_refused(ward: Ward, people: People) -> None:
    person, week = f"persons/{uuid7()}", timedelta(days=7)
    for changes, reason in (
        ({"scan": b""}, "REQUIRED"),
        ({"scan": b"%PDF-" + b"x" * (5 * 1024 * 1024) + b"%%EOF"}, "SIZE_OUT_OF_RANGE"),
        ({"scan": b"GIF89a"}, "FORMAT_UNKNOWN"),
        ({"scan": b"%PDF-1.7 cut off"}, "FORMAT_UNKNOWN"),
        ({"sign_time": None}, "REQUIRED"),
        ({"text_version": "vi-2001"}, "TEXT_VERSION_UNKNOWN"),
        ({"text_version": GUARDIAN_TEXT_VERSION}, "TEXT_VERSION_UNKNOWN"),
        ({"guardian": f"persons/{uuid7()}"}, "GUARDIAN_UNFIT"),
        ({"signed": ward.clock() + timedelta(seconds=1)}, "TIME_OUT_OF_RANGE"),
        ({"signed": ward.clock() - week - timedelta(seconds=1)}, "TIME_OUT_OF_RANGE"),
    ):
        _, reasons = await refused(ward, paper(ward, person, **changes))
        assert reasons == {reason}, changes
    assert await refused(ward, paper(ward, person), OTHER) == ("TERMS_NOT_ALLOWED", {"GRANTEE_NOT_CALLER"})
    assert ward.rows("SELECT count(*) FROM consent") == [(0,)]
    assert (await record(ward, paper(ward, person, signed=ward.clock() - week))).name


async def test_a_facilitys_system_cannot_vouch(ward: Ward, people: People) -> None:
    identities = ward.running.identities
    metadata = identities.metadata(identities.tokens.facility(HOSPITAL, at=ward.clock()), HOSPITAL)
    async with identities.channel(ward.running.address, "consent", "gateway", metadata) as channel:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RecordPaperConsent(paper(ward, f"persons/{uuid7()}"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_for_a_child_the_guardian_signs_and_from_seven_years_the_child_too(ward: Ward, people: People) -> None:
    for years, both in ((5, False), (9, True)):
        child, mother = await family(ward, people, years, days=30)
        version: dict[str, Any] = {"text_version": GUARDIAN_TEXT_VERSION}
        assert (await refused(ward, paper(ward, child)))[1] == {"GUARDIAN_MISSING"}
        stranger = f"persons/{uuid7()}"
        assert (await refused(ward, paper(ward, child, guardian=stranger, **version)))[0] == "NOT_THE_GUARDIAN"
        if both:
            awaiting = await record(ward, paper(ward, child, guardian=mother, **version))
            assert awaiting.state == consent_pb2.CONSENT_STATE_AWAITING_AGREEMENT
        else:
            young = paper(ward, child, guardian=mother, child_signed=True, **version)
            assert (await refused(ward, young))[1] == {"CHILD_TOO_YOUNG"}
        granted = await record(ward, paper(ward, child, guardian=mother, child_signed=both, **version))
        assert granted.state == consent_pb2.CONSENT_STATE_ACTIVE
        assert len(granted.agreements) == (2 if both else 1)
        assert {one.evidence.witness_licence for one in granted.agreements} == {DOCTOR}
