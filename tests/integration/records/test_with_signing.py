"""Records and signing together, both real: signatures beside the document, a compromised key, and what then proves it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.client.batch import make_batch
from lienthong.client.errors import LienthongError
from lienthong.client.evidence import EvidenceReport, EvidenceTrust, verify_package
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.promise import KEY_NAME
from lienthong.records.v1 import evidence_service_pb2, evidence_service_pb2_grpc, submission_pb2
from lienthong.signing.v1 import (
    trust_pb2,
    trust_service_pb2,
    trust_service_pb2_grpc,
    verdict_pb2,
    verification_service_pb2,
)

from deploy.local.pki import SigningPair
from services.chassis.lifecycle import Lifecycle
from services.chassis.principal import PrincipalKind
from services.chassis.server import Server
from services.chassis.settings import TelemetrySettings
from services.records.__main__ import Peers, assemble
from services.records.config import EvidenceSettings, Settings
from services.records.formats.xml130 import Xml130Format
from services.records.peers import GrpcSigning
from services.signing.__main__ import compose as compose_signing
from services.signing.config import Settings as SigningSettings
from tests.fakes.records_ports import FakeConsent, FakeIdentity, FakeSlips
from tests.fakes.records_samples import FACILITY, episode
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.integration.records.conftest import CONSENT, EVERYTHING, Records, document, reason, said

ORIGIN = "log.lienthong.vn/2026"
pb = evidence_service_pb2
CMS, BATCH = verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, verdict_pb2.SIGNATURE_FORMAT_BATCH


@dataclass
class House:
    """Both roles, the facility's key, and whom a verifier trusts."""

    signing: Running
    records: Records
    pair: SigningPair
    trust: EvidenceTrust

    @property
    def signer(self) -> Pkcs12Signer:
        return Pkcs12Signer(self.pair.keystore, self.pair.passphrase_file.read_text())

    async def admin(self, method: str, request: Any) -> Any:
        async with self.signing.as_officer(PrincipalKind.ADMIN) as channel:
            return await said(getattr(trust_service_pb2_grpc.TrustServiceStub(channel), method)(request, timeout=10))

    async def evidence(self, method: str, request: Any) -> Any:
        async with self.records.running.as_facility(FACILITY) as channel:
            stub = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
            return await said(getattr(stub, method)(request, timeout=10))

    async def occasions(self, name: str) -> list[tuple[str, str]]:
        answer = await self.evidence("ListVerdicts", pb.ListVerdictsRequest(parent=name))
        return [(one.occasion, verdict_pb2.Indication.Name(one.verdict.indication)[11:]) for one in answer.verdicts]

    async def package(self, name: str) -> EvidenceReport:
        request = pb.GetEvidencePackageRequest(name=name, context=CONSENT)
        content = (await self.evidence("GetEvidencePackage", request)).content
        return verify_package(content, self.trust, now=datetime.now(UTC))


@pytest.fixture
async def house(
    start_role: StartRole, settings: Settings, identities: Identities, database_for: DatabaseFor
) -> AsyncIterator[House]:
    pki = identities.pki
    async with AsyncExitStack() as stack:
        signing = await stack.enter_async_context(
            start_role(
                "signing",
                compose_signing,
                SigningSettings(
                    server=identities.server_settings("signing"),
                    database=database_for("signing"),
                    telemetry=TelemetrySettings(log_level="error"),
                    log_key=pki.ed25519("log"),
                    log_origin=ORIGIN,
                    checkpoint_interval=timedelta(milliseconds=50),
                ),
            )
        )
        channel = await stack.enter_async_context(signing.as_role("records"))
        records = Records(running=None, consent=FakeConsent(permissions=EVERYTHING))  # type: ignore[arg-type] # set below

        async def compose(changed: Settings, life: Lifecycle) -> Server:
            return await assemble(
                changed, life, Peers(GrpcSigning(channel), FakeIdentity(), records.consent, FakeSlips())
            )

        changed = replace(settings, evidence=EvidenceSettings(rejudging_seconds=0.1))
        records.running = await stack.enter_async_context(start_role("records", compose, changed))
        keys = [
            NoteSigner(name, load_pem_private_key(pki.ed25519(key).read_bytes(), None)).verifier_key  # type: ignore[arg-type] # Ed25519 by construction
            for name, key in ((ORIGIN, "log"), (KEY_NAME, "promise"))
        ]
        trust = EvidenceTrust(
            TrustPolicy(logs=(keys[0],), promise_keys=(keys[1],)),
            (pki.signing_root.certificate,),
            (pki.time_root.certificate,),
            (x509.load_pem_x509_certificates(pki.seal().certificate.read_bytes())[0],),
        )
        house = House(signing, records, pki.signer(FACILITY, algorithm="p256"), trust)
        for kind, authority in (
            (trust_pb2.AUTHORITY_KIND_ROOT, pki.signing_root),
            (trust_pb2.AUTHORITY_KIND_INTERMEDIATE, pki.signing_authority),
        ):
            anchor = trust_pb2.TrustAnchor(kind=kind, certificate=authority.der)
            request = trust_service_pb2.CreateTrustAnchorRequest(request_id=str(uuid.uuid4()), trust_anchor=anchor)
            await house.admin("CreateTrustAnchor", request)
        listing = trust_service_pb2.ImportRevocationListRequest(
            request_id=str(uuid.uuid4()), revocation_list=pki.signing_authority.revocation_list(1, [])
        )
        await house.admin("ImportRevocationList", listing)
        wanted = trust_pb2.SignerCertificate(facility=FACILITY, certificate=house.pair.certificate_der)
        register = trust_service_pb2.RegisterSignerCertificateRequest(
            request_id=str(uuid.uuid4()), signer_certificate=wanted
        )
        await house.admin("RegisterSignerCertificate", register)
        yield house


def carried(content: bytes, form: Any = CMS, **fields: Any) -> submission_pb2.DetachedSignature:
    return submission_pb2.DetachedSignature(format=form, content=content, **fields)


async def test_a_compromised_key_from_signature_to_proof(house: House) -> None:
    first, second = episode(21), episode(22)
    cms = carried(sign_detached(first.content, house.signer))
    before = await house.records.submit(document(first, "before", signatures=[cms]))
    assert before.verdict.indication == verdict_pb2.INDICATION_TOTAL_PASSED
    await house.records.until_logged(before.name)
    report = await house.package(before.document)
    assert [(one.form, one.rechecked) for one in report.signatures] == [("CMS_DETACHED", True)]
    # The key is in other hands from here on; what came before stands on its receipt.
    since = Timestamp()
    since.FromDatetime(datetime.now(UTC))
    after = await house.records.submit(
        document(second, "after", signatures=[carried(sign_detached(second.content, house.signer))])
    )
    certificate = before.verdict.signatures[0].signer_certificate_sha256
    name = f"signerCertificates/{certificate}"
    request = trust_service_pb2.ReportKeyCompromiseRequest(
        name=name, request_id=str(uuid.uuid4()), compromise_time=since
    )
    await house.admin("ReportKeyCompromise", request)
    for _ in range(100):
        found = await house.occasions(after.name)
        if len(found) > 1:
            break
        await asyncio.sleep(0.05)
    assert found[0] == ("RECEIVED", "TOTAL_PASSED")
    assert found[1][0] == "KEY_COMPROMISED"
    assert found[1][1] != "TOTAL_PASSED"
    assert await house.occasions(before.name) == [("RECEIVED", "TOTAL_PASSED")]
    # Both verdicts are in the package, and it verifies.
    await house.records.until_logged(after.name)
    report = await house.package(after.document)
    assert [line.occasion for line in report.verdicts] == ["RECEIVED", "KEY_COMPROMISED"]
    async with house.records.running.as_officer(PrincipalKind.ADMIN) as channel:
        stub = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
        asked = pb.ListTouchedDocumentsRequest(signer_certificate_sha256=certificate, since_time=since)
        touched = (await said(stub.ListTouchedDocuments(asked, timeout=10))).documents
    assert [one.document for one in touched] == [after.document]
    assert [one.organization for one in touched[0].readers] == [f"organizations/{FACILITY}"]


async def test_a_batch_a_part_and_what_is_wrong_with_them(house: House) -> None:
    sample = episode(25, referral_to="79001")
    manifest, paths = make_batch(FACILITY, [b"another", sample.content])
    text = manifest.encode()
    place = verification_service_pb2.BatchMembership(manifest=text, index=1, path=paths[1])
    batch = carried(sign_detached(text.encode(), house.signer), BATCH, batch=place)
    part = next(one for one in Xml130Format().parse(sample.content).parts if one.name == "XML13")
    over_part = carried(sign_detached(part.content, house.signer), part="XML13")
    accepted = await house.records.submit(document(sample, "batch", signatures=[batch, over_part]))
    assert {one.part for one in accepted.verdict.signatures} == {"", "XML13"}
    report = await house.package(accepted.document)
    assert {(one.form, one.part, one.rechecked) for one in report.signatures} == {
        ("BATCH", "", True),
        ("CMS_DETACHED", "XML13", True),
    }
    place.index = 0
    misplaced = carried(batch.content, BATCH, batch=place)
    with pytest.raises(LienthongError) as refused:
        await house.records.submit(document(episode(26, referral_to="79001"), "misplaced", signatures=[misplaced]))
    assert reason(refused.value) == ("INVALID_ARGUMENT", "DOCUMENT_REJECTED")
    assert [one.field for one in refused.value.violations] == ["signatures[0].content"]
