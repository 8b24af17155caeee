"""The signing role over mTLS and PostgreSQL: trust list, verdicts on real signatures, and the log with its proofs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.client.errors import from_rpc_error
from lienthong.client.tlog.checkpoint import Checkpoint, open_checkpoint
from lienthong.client.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from lienthong.client.tlog.note import VerifierKey
from lienthong.client.tlog.proof import TlogProof
from lienthong.signing.v1 import (
    log_service_pb2,
    log_service_pb2_grpc,
    trust_pb2,
    trust_service_pb2,
    trust_service_pb2_grpc,
    verdict_pb2,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

from deploy.local.pki import Authority, SigningPair
from services.chassis.principal import PrincipalKind
from services.chassis.settings import TelemetrySettings
from services.signing.__main__ import compose
from services.signing.config import Settings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole

FACILITY, ORIGIN = "01001", "log.lienthong.vn/2026"
ENVELOPE = (
    b'<?xml version="1.0" encoding="UTF-8"?><GIAMDINHHS><THONGTINDONVI><MACSKCB>01001</MACSKCB></THONGTINDONVI>'
    b"<CHUKYDONVI></CHUKYDONVI></GIAMDINHHS>"
)


@pytest.fixture
async def signing(start_role: StartRole, identities: Identities, database_for: DatabaseFor) -> AsyncIterator[Running]:
    """A running signing role with the national root, its issuing CA, and a fresh CRL."""
    settings = Settings(
        server=identities.server_settings("signing"),
        database=database_for("signing"),
        telemetry=TelemetrySettings(log_level="error"),
        log_key=identities.pki.ed25519("log"),
        log_origin=ORIGIN,
        checkpoint_interval=timedelta(milliseconds=50),
    )
    async with start_role("signing", compose, settings) as running:
        async with running.as_officer(PrincipalKind.ADMIN) as channel:
            stub = trust_service_pb2_grpc.TrustServiceStub(channel)
            for kind, authority in (
                (trust_pb2.AUTHORITY_KIND_ROOT, identities.pki.signing_root),
                (trust_pb2.AUTHORITY_KIND_INTERMEDIATE, identities.pki.signing_authority),
            ):
                anchor = trust_pb2.TrustAnchor(kind=kind, certificate=authority.der)
                request = trust_service_pb2.CreateTrustAnchorRequest(request_id=str(uuid.uuid4()), trust_anchor=anchor)
                await stub.CreateTrustAnchor(request, timeout=5)
        await import_crl(running, 1, [])
        yield running


async def import_crl(signing: Running, number: int, revoked: list[x509.Certificate]) -> None:
    async with signing.as_officer(PrincipalKind.ADMIN) as channel:
        crl = signing.identities.pki.signing_authority.revocation_list(number, revoked)
        request = trust_service_pb2.ImportRevocationListRequest(request_id=str(uuid.uuid4()), revocation_list=crl)
        await trust_service_pb2_grpc.TrustServiceStub(channel).ImportRevocationList(request, timeout=5)


async def register(signing: Running, pair: SigningPair, facility: str = FACILITY) -> trust_pb2.SignerCertificate:
    async with signing.as_officer(PrincipalKind.ADMIN) as channel:
        wanted = trust_pb2.SignerCertificate(facility=facility, certificate=pair.certificate_der)
        request = trust_service_pb2.RegisterSignerCertificateRequest(
            request_id=str(uuid.uuid4()), signer_certificate=wanted
        )
        answer = await trust_service_pb2_grpc.TrustServiceStub(channel).RegisterSignerCertificate(request, timeout=5)
        return answer.signer_certificate


def signer(pair: SigningPair) -> Pkcs12Signer:
    return Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"))


async def judge(
    signing: Running, content: bytes, detached: bytes | None = None, facility: str = FACILITY
) -> verdict_pb2.Verdict:
    received = Timestamp()
    received.FromDatetime(datetime.now(UTC))
    form = verdict_pb2.SIGNATURE_FORMAT_UNSPECIFIED if detached else verdict_pb2.SIGNATURE_FORMAT_XMLDSIG_ENVELOPED
    cms = verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED
    document = verification_service_pb2.SignedDocument(
        content=content,
        format=form,
        signatures=[verification_service_pb2.CarriedSignature(format=cms, content=detached)] if detached else [],
        facility=facility,
        receive_time=received,
    )
    async with signing.as_role("records") as channel:
        request = verification_service_pb2.VerifyDocumentsRequest(documents=[document])
        stub = verification_service_pb2_grpc.VerificationServiceStub(channel)
        return (await stub.VerifyDocuments(request, timeout=5)).verdicts[0]


@pytest.mark.parametrize("algorithm", ["rsa", "p256"])
async def test_registered_signer_passes_with_both_formats(signing: Running, algorithm: str) -> None:
    pair = signing.identities.pki.signer(FACILITY, algorithm=algorithm)
    await register(signing, pair)
    for verdict in (
        await judge(signing, sign_envelope(ENVELOPE, signer(pair))),
        await judge(signing, b"any bytes", sign_detached(b"any bytes", signer(pair))),
    ):
        assert (verdict.indication, verdict.reason) == (verdict_pb2.INDICATION_TOTAL_PASSED, "")
        assert verdict.acceptable
        assert len(verdict.signatures[0].chain_sha256) == 3
        assert verdict.signatures[0].scope == verdict_pb2.SIGNATURE_SCOPE_FULL


async def test_altered_document_fails_and_is_not_acceptable(signing: Running) -> None:
    pair = signing.identities.pki.signer(FACILITY)
    await register(signing, pair)
    verdict = await judge(signing, sign_envelope(ENVELOPE, signer(pair)).replace(b"01001", b"01002"))
    assert verdict.sub_indication == verdict_pb2.SUB_INDICATION_HASH_FAILURE
    assert not verdict.acceptable


async def test_unregistered_foreign_and_suspended_signers_are_refused_by_reason(signing: Running) -> None:
    pair = signing.identities.pki.signer(FACILITY)
    document = sign_envelope(ENVELOPE, signer(pair))
    assert (await judge(signing, document)).reason == "SIGNER_NOT_REGISTERED"
    registered = await register(signing, pair)
    assert (await judge(signing, document, facility="79001")).reason == "SIGNER_OF_OTHER_FACILITY"
    async with signing.as_officer(PrincipalKind.ADMIN) as channel:
        request = trust_service_pb2.SuspendSignerCertificateRequest(request_id=str(uuid.uuid4()), name=registered.name)
        await trust_service_pb2_grpc.TrustServiceStub(channel).SuspendSignerCertificate(request, timeout=5)
    verdict = await judge(signing, document)
    assert (verdict.reason, verdict.sub_indication) == (
        "SIGNER_SUSPENDED",
        verdict_pb2.SUB_INDICATION_SIG_CONSTRAINTS_FAILURE,
    )


async def test_revoked_certificate_is_refused_once_the_list_says_so(signing: Running) -> None:
    pair = signing.identities.pki.signer(FACILITY)
    await register(signing, pair)
    document = sign_envelope(ENVELOPE, signer(pair))
    assert (await judge(signing, document)).acceptable
    await import_crl(signing, 2, [x509.load_der_x509_certificate(pair.certificate_der)])
    verdict = await judge(signing, document)
    assert (verdict.sub_indication, verdict.acceptable) == (verdict_pb2.SUB_INDICATION_REVOKED_NO_POE, False)


async def test_expired_weak_and_untrusted_certificates_cannot_be_registered(signing: Running) -> None:
    pki, now = signing.identities.pki, datetime.now(UTC)
    expired = pki.signer(FACILITY, label="expired", starts=now - timedelta(days=9), ends=now - timedelta(days=1))
    cases = {
        "CERTIFICATE_OUT_OF_BOUNDS": expired,
        "CERTIFICATE_ALGORITHM": pki.signer(FACILITY, algorithm="rsa1024"),
        "CERTIFICATE_UNTRUSTED": pki.signer(
            FACILITY, label="look-alike", authority=Authority("Throw-away document signing CA")
        ),
    }
    for reason, pair in cases.items():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await register(signing, pair)
        error = from_rpc_error(caught.value)
        assert (error.reason, error.violations[0].field) == (reason, "signer_certificate.certificate")
    verdict = await judge(signing, sign_envelope(ENVELOPE, signer(expired)))
    assert verdict.sub_indication == verdict_pb2.SUB_INDICATION_OUT_OF_BOUNDS_NO_POE


def log_key(signing: Running) -> VerifierKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from lienthong.client.tlog.note import NoteSigner

    pem = (signing.identities.pki.folder / "log.pem").read_bytes()
    return NoteSigner(ORIGIN, load_pem_private_key(pem, None)).verifier_key  # type: ignore[arg-type] # Ed25519 by construction


async def append(signing: Running, entries: list[bytes]) -> list[int]:
    async with signing.as_role("records") as channel:
        stub = log_service_pb2_grpc.LogAppendServiceStub(channel)
        return list(
            (await stub.AppendEntries(log_service_pb2.AppendEntriesRequest(entries=entries), timeout=5)).leaf_indexes
        )


async def checkpoint(signing: Running, size: int) -> Checkpoint:
    async with signing.as_facility() as channel:
        stub = log_service_pb2_grpc.LogServiceStub(channel)
        for _ in range(100):
            try:
                note = (await stub.GetCheckpoint(log_service_pb2.GetCheckpointRequest(), timeout=5)).checkpoint
                found, _ = open_checkpoint(note, [log_key(signing)])
                if found.size >= size:
                    return found
            except grpc.aio.AioRpcError as error:
                if from_rpc_error(error).reason != "CHECKPOINT_NOT_FOUND":
                    raise
            await asyncio.sleep(0.05)
    raise AssertionError("no checkpoint in time")


async def test_log_keeps_order_dedupes_and_proves(signing: Running) -> None:
    entries = [f"entry {number}".encode() for number in range(37)]
    assert await append(signing, entries[:5]) == [0, 1, 2, 3, 4]
    old = await checkpoint(signing, 5)
    assert await append(signing, [*entries[3:], entries[3]]) == [*range(3, 37), 3]
    new = await checkpoint(signing, 37)
    async with signing.as_facility() as channel:
        stub = log_service_pb2_grpc.LogServiceStub(channel)
        for index in (0, 4, 36):
            request = log_service_pb2.GetInclusionProofRequest(leaf_index=index, tree_size=new.size)
            proof = await stub.GetInclusionProof(request, timeout=5)
            verify_inclusion(index, new.size, leaf_hash(entries[index]), list(proof.path), new.root)
        sizes = log_service_pb2.GetConsistencyProofRequest(old_size=old.size, new_size=new.size)
        consistency = await stub.GetConsistencyProof(sizes, timeout=5)
        verify_consistency(old.size, new.size, old.root, new.root, list(consistency.path))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetInclusionProof(
                log_service_pb2.GetInclusionProofRequest(leaf_index=0, tree_size=new.size + 1), timeout=5
            )
        assert from_rpc_error(caught.value).reason == "TREE_SIZE_OUT_OF_RANGE"
    async with signing.as_role("records") as channel:
        wanted = log_service_pb2.BatchGetEntryProofsRequest(leaf_indexes=[7, 99])
        proofs = await log_service_pb2_grpc.LogAppendServiceStub(channel).BatchGetEntryProofs(wanted, timeout=5)
    assert proofs.proofs[1] == ""
    parsed = TlogProof.parse(proofs.proofs[0])
    assert (parsed.index, parsed.extra) == (7, entries[7])
    verify_inclusion(7, new.size, leaf_hash(entries[7]), list(parsed.path), new.root)


async def test_concurrent_appends_never_share_an_index(signing: Running) -> None:
    batches = [[f"{batch}-{number}".encode() for number in range(20)] for batch in range(6)]
    indexes = await asyncio.gather(*(append(signing, batch) for batch in batches))
    assert sorted(index for batch in indexes for index in batch) == list(range(120))
