"""Every signature format of the contract through the running role: judged over the bytes it belongs to, by the registered signer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from asn1crypto import cms  # type: ignore[import-untyped] # the oracle ships no types
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.client.batch import make_batch
from lienthong.signing.v1 import verdict_pb2, verification_service_pb2, verification_service_pb2_grpc

from deploy.local.pki import SigningPair
from tests.fixtures.identities import Running
from tests.integration.signing.test_trust_and_log import ENVELOPE, FACILITY, register, signer, signing
from tests.unit.signing.formats.conftest import Identity
from tests.unit.signing.formats.test_format_jws import sign as sign_jws
from tests.unit.signing.formats.test_format_pades import plain_pdf
from tests.unit.signing.formats.test_format_pades import sign as sign_pdf
from tests.unit.signing.formats.xades_writer import sign_xades

__all__ = ["signing"]

AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
TABLE = b"<CHI_TIEU><MA_LK>1</MA_LK><DU_PHONG/></CHI_TIEU>"
Carried = verification_service_pb2.CarriedSignature
Part = verification_service_pb2.DocumentPart


def identity(pair: SigningPair) -> Identity:
    key = load_pem_private_key(pair.private_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Identity(key, x509.load_der_x509_certificate(pair.certificate_der))


def document(
    content: bytes,
    format_: verdict_pb2.SignatureFormat.ValueType,
    signatures: Sequence[Carried] = (),
    parts: Sequence[Part] = (),
) -> verification_service_pb2.SignedDocument:
    received = Timestamp()
    received.FromDatetime(datetime.now(UTC))
    return verification_service_pb2.SignedDocument(
        content=content, format=format_, facility=FACILITY, receive_time=received, signatures=signatures, parts=parts
    )


async def judge(signing: Running, *documents: verification_service_pb2.SignedDocument) -> list[verdict_pb2.Verdict]:
    async with signing.as_role("records") as channel:
        request = verification_service_pb2.VerifyDocumentsRequest(documents=documents)
        stub = verification_service_pb2_grpc.VerificationServiceStub(channel)
        return list((await stub.VerifyDocuments(request, timeout=30)).verdicts)


@pytest.fixture
async def pair(signing: Running) -> SigningPair:
    pair = signing.identities.pki.signer(FACILITY, algorithm="p256")
    await register(signing, pair)
    return pair


async def test_every_format_is_judged(signing: Running, pair: SigningPair) -> None:
    signed = sign_envelope(ENVELOPE, signer(pair))
    table = sign_xades(TABLE, "DU_PHONG", identity(pair), AT)
    manifest, paths = make_batch(FACILITY, [b"other", signed])
    text = manifest.encode()
    place = verification_service_pb2.BatchMembership(manifest=text, index=1, path=paths[1])
    beside = [
        Carried(format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, content=sign_detached(signed, signer(pair))),
        Carried(
            format=verdict_pb2.SIGNATURE_FORMAT_XADES_DETACHED,
            content=sign_xades(None, "", identity(pair), AT, content=table),
            part="XML13",
        ),
        Carried(format=verdict_pb2.SIGNATURE_FORMAT_JWS_DETACHED, content=sign_jws(identity(pair), content=signed)),
        Carried(
            format=verdict_pb2.SIGNATURE_FORMAT_BATCH, content=sign_detached(text.encode(), signer(pair)), batch=place
        ),
    ]
    whole = document(
        signed,
        verdict_pb2.SIGNATURE_FORMAT_XMLDSIG_ENVELOPED,
        signatures=beside,
        parts=[Part(name="XML13", content=table, enveloped=True)],
    )
    xades = sign_xades(
        ENVELOPE.replace(b"<CHUKYDONVI></CHUKYDONVI>", b"<CHUKYDONVI/>"), "CHUKYDONVI", identity(pair), AT
    )
    # pyHanko runs an event loop of its own.
    pdf = await asyncio.to_thread(sign_pdf, plain_pdf(), identity(pair))
    first, second, third = await judge(
        signing,
        whole,
        document(xades, verdict_pb2.SIGNATURE_FORMAT_XMLDSIG_ENVELOPED),
        document(pdf, verdict_pb2.SIGNATURE_FORMAT_PADES),
    )
    passed = verdict_pb2.INDICATION_TOTAL_PASSED
    assert [verdict.indication for verdict in (first, second, third)] == [passed] * 3
    formats = [
        verdict_pb2.SignatureFormat.Name(one.format).removeprefix("SIGNATURE_FORMAT_") for one in first.signatures
    ]
    assert list(zip(formats, (one.part for one in first.signatures), strict=True)) == [
        ("XMLDSIG_ENVELOPED", ""),
        ("XADES_ENVELOPED", "XML13"),
        ("CMS_DETACHED", ""),
        ("XADES_DETACHED", "XML13"),
        ("JWS_DETACHED", ""),
        ("BATCH", ""),
    ]
    assert [one.level for one in first.signatures] == [verdict_pb2.SIGNATURE_LEVEL_PLAIN] + [
        verdict_pb2.SIGNATURE_LEVEL_B
    ] * 5
    assert second.signatures[0].format == verdict_pb2.SIGNATURE_FORMAT_XADES_ENVELOPED
    assert third.signatures[0].format == verdict_pb2.SIGNATURE_FORMAT_PADES


async def test_a_batch_of_another_facility_is_refused(signing: Running, pair: SigningPair) -> None:
    manifest, paths = make_batch("79001", [b"document"])
    text = manifest.encode()
    place = verification_service_pb2.BatchMembership(manifest=text, index=0, path=paths[0])
    carried = Carried(
        format=verdict_pb2.SIGNATURE_FORMAT_BATCH, content=sign_detached(text.encode(), signer(pair)), batch=place
    )
    (verdict,) = await judge(
        signing, document(b"document", verdict_pb2.SIGNATURE_FORMAT_UNSPECIFIED, signatures=[carried])
    )
    assert verdict.reason == "BATCH_OF_OTHER_FACILITY"
    assert verdict.sub_indication == verdict_pb2.SUB_INDICATION_SIG_CONSTRAINTS_FAILURE


async def test_a_registered_certificate_need_not_travel(signing: Running, pair: SigningPair) -> None:
    info = cms.ContentInfo.load(sign_detached(b"document", signer(pair)), strict=True)
    info["content"]["certificates"] = None
    carried = Carried(format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, content=info.dump(force=True))
    (verdict,) = await judge(
        signing, document(b"document", verdict_pb2.SIGNATURE_FORMAT_UNSPECIFIED, signatures=[carried])
    )
    assert verdict.indication == verdict_pb2.INDICATION_TOTAL_PASSED
