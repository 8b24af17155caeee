"""Revocation and time from outside: a real OCSP responder, lists over HTTP, PostgreSQL, and the role over mTLS."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.agent.signing.cms import sign_detached
from lienthong.client.errors import from_rpc_error
from lienthong.signing.v1 import (
    trust_pb2,
    trust_service_pb2,
    trust_service_pb2_grpc,
    validation_service_pb2,
    validation_service_pb2_grpc,
    verdict_pb2,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

from deploy.local.authorities import OCSP_PATH, application, openssl
from deploy.local.pki import Pki, SigningPair
from deploy.local.ports import Ports
from services.chassis.principal import PrincipalKind
from services.chassis.settings import TelemetrySettings
from services.signing.__main__ import compose
from services.signing.config import RevocationSettings, Settings
from services.signing.formats.xmldsig import verify_xades_detached
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.integration.signing.trust_world import certificate_of, openssl_token, signer
from tests.unit.signing.formats.conftest import Identity
from tests.unit.signing.formats.xades_writer import sign_xades, with_timestamp

FACILITY = "01001"
CONTENT = b"any bytes"


@dataclass
class World:
    """A signing role whose authorities answer over HTTP; `asked` counts the questions to the responder."""

    running: Running
    pki: Pki
    folder: Path
    base: str
    asked: list[str] = field(default_factory=list)

    async def register(self, pair: SigningPair, **fields: object) -> trust_pb2.SignerCertificate:
        wanted = trust_pb2.SignerCertificate(facility=FACILITY, certificate=pair.certificate_der, **fields)  # type: ignore[arg-type] # of the message
        async with self.running.as_officer(PrincipalKind.ADMIN) as channel:
            request = trust_service_pb2.RegisterSignerCertificateRequest(
                request_id=str(uuid.uuid4()), signer_certificate=wanted
            )
            stub = trust_service_pb2_grpc.TrustServiceStub(channel)
            return (await stub.RegisterSignerCertificate(request, timeout=5)).signer_certificate

    async def judge(self, *pairs: SigningPair, received: datetime | None = None) -> list[verdict_pb2.Verdict]:
        signatures = [sign_detached(CONTENT, signer(pair)) for pair in pairs]
        return await self.judge_signatures(signatures, received or datetime.now(UTC))

    async def judge_signatures(
        self,
        signatures: list[bytes],
        received: datetime,
        form: verdict_pb2.SignatureFormat.ValueType = verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED,
    ) -> list[verdict_pb2.Verdict]:
        at = Timestamp()
        at.FromDatetime(received)
        documents = [
            verification_service_pb2.SignedDocument(
                content=CONTENT,
                signatures=[verification_service_pb2.CarriedSignature(format=form, content=one)],
                facility=FACILITY,
                receive_time=at,
            )
            for one in signatures
        ]
        async with self.running.as_role("records") as channel:
            stub = verification_service_pb2_grpc.VerificationServiceStub(channel)
            request = verification_service_pb2.VerifyDocumentsRequest(documents=documents)
            return list((await stub.VerifyDocuments(request, timeout=10)).verdicts)

    async def evidence(self, *hashes: str) -> dict[str, verification_service_pb2.Evidence]:
        async with self.running.as_role("records") as channel:
            stub = verification_service_pb2_grpc.VerificationServiceStub(channel)
            request = verification_service_pb2.BatchGetEvidenceRequest(sha256=hashes)
            found = await stub.BatchGetEvidence(request, timeout=5)
        return {one.sha256: one for one in found.evidence}

    async def anchor(self, authority: object, kind: int, **fields: object) -> trust_pb2.TrustAnchor:
        anchor = trust_pb2.TrustAnchor(kind=kind, certificate=authority.der, **fields)  # type: ignore[attr-defined,arg-type] # of the message
        async with self.running.as_officer(PrincipalKind.ADMIN) as channel:
            request = trust_service_pb2.CreateTrustAnchorRequest(request_id=str(uuid.uuid4()), trust_anchor=anchor)
            stub = trust_service_pb2_grpc.TrustServiceStub(channel)
            return (await stub.CreateTrustAnchor(request, timeout=5)).trust_anchor


@pytest.fixture
async def world(start_role: StartRole, identities: Identities, database_for: DatabaseFor) -> AsyncIterator[World]:
    """OCSP for the issuing authority, and no list yet; jobs that look every tenth of a second."""
    pki = identities.pki
    folder = pki.public_authorities()
    asked: list[str] = []

    @web.middleware
    async def count(request: web.Request, handler: object) -> web.StreamResponse:
        asked.append(request.path)
        return await handler(request)  # type: ignore[operator,no-any-return] # aiohttp's handler

    app = application(folder)
    app.middlewares.append(count)
    ports = Ports()
    address = ports.reserve()
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    await web.TCPSite(runner, host, int(port), reuse_address=True).start()
    settings = Settings(
        server=identities.server_settings("signing"),
        database=database_for("signing"),
        telemetry=TelemetrySettings(log_level="error"),
        log_key=identities.pki.ed25519("log"),
        log_origin="log.lienthong.vn/2026",
        revocation=RevocationSettings(interval=timedelta(milliseconds=100), answer_age=timedelta(days=9)),
    )
    base = f"http://{address}"
    async with start_role("signing", compose, settings) as running:
        made = World(running, pki, folder, base, asked)
        await made.anchor(pki.signing_root, trust_pb2.AUTHORITY_KIND_ROOT)
        yield made
    await runner.cleanup()
    ports.release()


async def test_ocsp_settles_what_no_list_says(world: World) -> None:
    await world.anchor(
        world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, ocsp_uri=world.base + OCSP_PATH
    )
    good, bad = (world.pki.signer(FACILITY, label=name, algorithm="p256") for name in ("ocsp-good", "ocsp-bad"))
    revoked_at = datetime.now(UTC) - timedelta(hours=1)
    world.pki.publish(1, {certificate_of(bad).serial_number: (revoked_at, "keyCompromise")})
    await world.register(good)
    await world.register(bad)
    passed, refused = await world.judge(good, bad)
    assert (passed.indication, passed.acceptable) == (verdict_pb2.INDICATION_TOTAL_PASSED, True)
    said = passed.signatures[0].revocation
    assert said.source == "OCSP"
    assert passed.signatures[0].grace_period_end.ToDatetime() > datetime.now(UTC).replace(tzinfo=None)
    assert (refused.sub_indication, refused.acceptable) == (verdict_pb2.SUB_INDICATION_REVOKED_NO_POE, False)
    assert refused.signatures[0].revocation.revocation_reason == "keyCompromise"
    assert refused.signatures[0].revocation.revocation_time.ToDatetime(UTC) == revoked_at.replace(microsecond=0)


async def test_the_evidence_of_a_verdict_is_kept_and_openssl_agrees(world: World, tmp_path: Path) -> None:
    await world.anchor(
        world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, ocsp_uri=world.base + OCSP_PATH
    )
    pair = world.pki.signer(FACILITY, label="evidence", algorithm="p256")
    world.pki.publish(1, {})
    await world.register(pair)
    (verdict,) = await world.judge(pair)
    named = list(verdict.signatures[0].evidence_sha256)
    assert len(named) == 4  # signer, issuer, root, OCSP answer
    found = await world.evidence(*named, "00" * 32)
    assert sorted(found) == sorted(named)
    for sha256, one in found.items():
        assert hashlib.sha256(one.content).hexdigest() == sha256
    chain = [found[one].content for one in verdict.signatures[0].chain_sha256]
    assert chain[0] == pair.certificate_der
    (answer,) = [one for one in found.values() if one.kind == verification_service_pb2.EVIDENCE_KIND_OCSP_RESPONSE]
    assert answer.sha256 == verdict.signatures[0].revocation.evidence_sha256
    assert ocsp.load_der_ocsp_response(answer.content).serial_number == certificate_of(pair).serial_number
    (tmp_path / "answer").write_bytes(answer.content)
    (tmp_path / "root.pem").write_bytes(world.pki.signing_root.pem + world.pki.signing_authority.pem)
    process = await asyncio.create_subprocess_exec(
        *(openssl(), "ocsp", "-respin", "answer", "-CAfile", "root.pem", "-issuer", str(world.folder / "issuer.crt")),
        *("-cert", str(pair.certificate), "-no_nonce"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert b"Response verify OK" in stderr
    assert b": good" in stdout


async def test_one_question_for_each_certificate_however_many_documents(world: World) -> None:
    await world.anchor(
        world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, ocsp_uri=world.base + OCSP_PATH
    )
    pair = world.pki.signer(FACILITY, label="once", algorithm="p256")
    world.pki.publish(1, {})
    await asyncio.sleep(0.15)  # the job has looked before the certificate is registered
    await world.register(pair)
    before = world.asked.count(OCSP_PATH)
    verdicts = await world.judge(*[pair] * 20)
    assert {one.indication for one in verdicts} == {verdict_pb2.INDICATION_TOTAL_PASSED}
    await world.judge(*[pair] * 20)
    # The job may have asked as well, at the same time.
    assert world.asked.count(OCSP_PATH) - before <= 2


async def test_a_responder_that_is_away_leaves_the_state_open(world: World) -> None:
    away = Ports()
    try:
        uri = f"http://{away.reserve()}/ocsp"
        await world.anchor(world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, ocsp_uri=uri)
        pair = world.pki.signer(FACILITY, label="away", algorithm="p256")
        await world.register(pair)
        (verdict,) = await world.judge(pair)
    finally:
        away.release()
    assert (verdict.sub_indication, verdict.reason, verdict.acceptable) == (
        verdict_pb2.SUB_INDICATION_TRY_LATER,
        "REVOCATION_UNKNOWN",
        True,
    )


async def test_lists_are_fetched_and_replace_older_ones(world: World) -> None:
    pair = world.pki.signer(FACILITY, label="listed", algorithm="p256")
    world.pki.publish(1, {})
    uri = f"{world.base}/lists/issuer.crl"
    await world.anchor(world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, revocation_list_uri=uri)
    await world.register(pair)
    assert (await settled(world, pair)).indication == verdict_pb2.INDICATION_TOTAL_PASSED
    world.pki.publish(2, {certificate_of(pair).serial_number: (datetime.now(UTC), "superseded")})
    for _ in range(100):
        (verdict,) = await world.judge(pair)
        if verdict.sub_indication == verdict_pb2.SUB_INDICATION_REVOKED_NO_POE:
            break
        await asyncio.sleep(0.05)
    assert verdict.sub_indication == verdict_pb2.SUB_INDICATION_REVOKED_NO_POE
    assert verdict.signatures[0].revocation.source == "CRL"
    found = await world.evidence(verdict.signatures[0].revocation.evidence_sha256 or "00" * 32)
    (kept,) = found.values()
    assert x509.load_der_x509_crl(kept.content).get_revoked_certificate_by_serial_number(
        certificate_of(pair).serial_number
    )


async def settled(world: World, pair: SigningPair) -> verdict_pb2.Verdict:
    for _ in range(100):
        (verdict,) = await world.judge(pair)
        if verdict.sub_indication != verdict_pb2.SUB_INDICATION_TRY_LATER:
            return verdict
        await asyncio.sleep(0.05)
    raise AssertionError("no list in time")


async def test_a_compromise_that_is_reported_counts_for_the_next_call(world: World) -> None:
    await world.anchor(
        world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, ocsp_uri=world.base + OCSP_PATH
    )
    pair = world.pki.signer(FACILITY, label="compromised", algorithm="p256")
    world.pki.publish(1, {})
    registered = await world.register(pair)
    now = datetime.now(UTC)
    assert (await world.judge(pair))[0].acceptable
    reported = await compromise(world, registered.name, now - timedelta(hours=1))
    assert reported.state == trust_pb2.SIGNER_CERTIFICATE_STATE_COMPROMISED
    (verdict,) = await world.judge(pair)
    assert (verdict.sub_indication, verdict.reason) == (verdict_pb2.SUB_INDICATION_REVOKED_NO_POE, "KEY_COMPROMISED")
    # What was received before stays good; an earlier time that is reported later counts, a later one does not.
    (older,) = await world.judge(pair, received=now - timedelta(hours=2))
    assert older.reason != "KEY_COMPROMISED"
    for hours, kept in ((3, 3), (2, 3)):
        at = (await compromise(world, registered.name, now - timedelta(hours=hours))).compromise_time.ToDatetime(UTC)
        assert at == now - timedelta(hours=kept)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await compromise(world, registered.name, now + timedelta(hours=1))
    assert from_rpc_error(caught.value).violations[0].reason == "TIME_IN_FUTURE"


async def compromise(world: World, name: str, since: datetime) -> trust_pb2.SignerCertificate:
    at = Timestamp()
    at.FromDatetime(since)
    async with world.running.as_officer(PrincipalKind.ADMIN) as channel:
        request = trust_service_pb2.ReportKeyCompromiseRequest(
            request_id=str(uuid.uuid4()), name=name, compromise_time=at
        )
        stub = trust_service_pb2_grpc.TrustServiceStub(channel)
        return (await stub.ReportKeyCompromise(request, timeout=5)).signer_certificate


async def test_registration_with_role_and_licence(world: World) -> None:
    await world.anchor(
        world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, ocsp_uri=world.base + OCSP_PATH
    )
    ends = datetime.now(UTC) + timedelta(days=20, hours=1)
    pair = world.pki.signer(FACILITY, label="licensed", algorithm="p256", ends=ends)
    world.pki.publish(1, {})
    doctor = verdict_pb2.SIGNER_ROLE_PRACTITIONER
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.register(pair, role=doctor)
    assert from_rpc_error(caught.value).violations[0].reason == "LICENCE_INVALID"
    registered = await world.register(pair, role=doctor, practitioner_licence="000123/HNO-CCHN")
    assert (registered.role, registered.days_left) == (doctor, 20)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.register(pair)
    assert from_rpc_error(caught.value).reason == "SIGNER_CERTIFICATE_EXISTS"
    (verdict,) = await world.judge(pair)
    assert (verdict.reason, verdict.acceptable) == ("ROLE_MISSING", False)
    assert [one.reason for one in verdict.requirements] == ["ROLE_MISSING_FACILITY"]
    assert verdict.signatures[0].practitioner_licence == "000123/HNO-CCHN"


@pytest.mark.parametrize("uri", ["ftp://a/b", "http://", "file:///etc/passwd", "http://u:p@a/", "x", "http://a:b/"])
async def test_addresses_that_are_none_are_refused(world: World, uri: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.anchor(world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, ocsp_uri=uri)
    assert from_rpc_error(caught.value).violations[0].reason == "ADDRESS_INVALID"


async def test_whoever_holds_a_file_may_have_it_judged(world: World) -> None:
    await world.anchor(
        world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE, ocsp_uri=world.base + OCSP_PATH
    )
    pair = world.pki.signer(FACILITY, label="held", algorithm="p256")
    world.pki.publish(1, {})
    await world.register(pair)
    form = verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED
    carried = verification_service_pb2.CarriedSignature(format=form, content=sign_detached(CONTENT, signer(pair)))
    async with world.running.as_facility("79001") as channel:
        stub = validation_service_pb2_grpc.ValidationServiceStub(channel)
        for content, indication in (
            (CONTENT, verdict_pb2.INDICATION_TOTAL_PASSED),
            (b"other bytes", verdict_pb2.INDICATION_TOTAL_FAILED),
        ):
            request = validation_service_pb2.ValidateSignaturesRequest(
                content=content, signatures=[carried], facility=FACILITY
            )
            answer = await stub.ValidateSignatures(request, timeout=10)
            assert answer.verdict.indication == indication
            assert answer.verdict.control_time == answer.validate_time
        # Nothing is kept of what is only looked at.
        assert pair.certificate_der not in [
            one.content for one in (await world.evidence(hashlib.sha256(pair.certificate_der).hexdigest())).values()
        ]
        policy = await trust_service_pb2_grpc.TrustServiceStub(channel).GetSignaturePolicy(
            trust_service_pb2.GetSignaturePolicyRequest(), timeout=5
        )
    assert policy.policy_version.startswith("2026-11+")
    assert policy.policy_version == answer.verdict.policy_version
    assert policy.grace_period.ToTimedelta() == timedelta(hours=24)
    assert {one.algorithm for one in policy.algorithms} >= {"rsa-pss-sha256", "ecdsa-p256-sha256", "sha3-256"}
    assert not {one.algorithm for one in policy.algorithms if "sha1" in one.algorithm or "md5" in one.algorithm}


async def test_a_timestamp_of_openssl_makes_level_t(world: World) -> None:
    """XAdES-T: the time is the authority's, and revocation after it does no harm."""
    await world.anchor(world.pki.signing_authority, trust_pb2.AUTHORITY_KIND_INTERMEDIATE)
    time_purpose = trust_pb2.AUTHORITY_PURPOSE_TIMESTAMPING
    await world.anchor(world.pki.time_root, trust_pb2.AUTHORITY_KIND_ROOT, purpose=time_purpose)
    pair = world.pki.signer(FACILITY, label="stamped", algorithm="p256")
    await world.register(pair)
    key = load_pem_private_key(pair.private_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    identity = Identity(key, certificate_of(pair))
    bare = sign_xades(None, "", identity, datetime.now(UTC), content=CONTENT)
    covered = verify_xades_detached(CONTENT, with_timestamp(bare, [b"any"])).timestamped
    token = await asyncio.to_thread(openssl_token, world.folder, covered)
    stamped = with_timestamp(bare, [token])
    revoked = certificate_of(pair)
    later = datetime.now(UTC) + timedelta(hours=2)
    line = x509.RevokedCertificateBuilder().serial_number(revoked.serial_number)
    line = line.revocation_date(datetime.now(UTC) + timedelta(hours=1))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(world.pki.signing_authority.name)
        .last_update(later)
        .next_update(later + timedelta(days=7))
        .add_extension(x509.CRLNumber(9), critical=False)
        .add_revoked_certificate(line.build())
    )
    crl = builder.sign(world.pki.signing_authority.key, hashes.SHA256()).public_bytes(Encoding.DER)
    async with world.running.as_officer(PrincipalKind.ADMIN) as channel:
        request = trust_service_pb2.ImportRevocationListRequest(request_id=str(uuid.uuid4()), revocation_list=crl)
        await trust_service_pb2_grpc.TrustServiceStub(channel).ImportRevocationList(request, timeout=5)
    refused, passed = await world.judge_signatures([bare, stamped], later, verdict_pb2.SIGNATURE_FORMAT_XADES_DETACHED)
    assert refused.sub_indication == verdict_pb2.SUB_INDICATION_REVOKED_NO_POE
    assert passed.indication == verdict_pb2.INDICATION_TOTAL_PASSED
    found = passed.signatures[0]
    assert (found.level, found.best_time_source) == (verdict_pb2.SIGNATURE_LEVEL_T, "TIMESTAMP")
    assert (found.timestamps[0].valid, found.timestamps[0].reason) == (True, "")
    kept = await world.evidence(*found.evidence_sha256)
    assert sorted(kept) == sorted(found.evidence_sha256)
    assert kept[found.timestamps[0].token_sha256].content == token
    assert found.timestamps[0].authority_certificate_sha256 in kept
