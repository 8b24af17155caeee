"""Verification of signatures on one core, over the bare cryptographic operation on the same bytes in the same run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.client.batch import make_batch

from deploy.local.pki import Authority as Issuer
from deploy.local.pki import Pki, SigningPair
from services.signing import certificates, convert
from services.signing.formats import verify
from services.signing.model import (
    Authority,
    AuthorityKind,
    BatchMembership,
    CarriedSignature,
    Indication,
    RevocationStatus,
    SignatureFormat,
    SignedDocument,
    SignerCertificate,
    SignerState,
    TrustSnapshot,
)
from services.signing.policy import SHIPPED, load_policy
from services.signing.service.verification.blocks import SignatureJudge
from services.signing.service.verification.trust import Trust

FACILITY = "01001"
DOCUMENT_BYTES = 10_000
BATCH = 1000
Work = Callable[[], object]


def signature_figures(full: bool, figure: Callable[[Sequence[float], str, int], dict[str, Any]]) -> dict[str, Any]:
    """The figures of verification; `figure` makes one from its raw values, unit and size."""
    calls, repeats = (2000, 7) if full else (500, 5)
    with tempfile.TemporaryDirectory() as folder:
        bare, works = _works(Path(folder))
    raw: dict[str, list[float]] = {name: [] for name in works}
    bare_us: list[float] = []
    for _ in range(repeats):
        # Interleaved, so that a slow moment of the machine falls on both sides of a ratio.
        floor = _microseconds(bare, calls)
        bare_us.append(floor)
        for name, (work, each) in works.items():
            raw[name].append(_microseconds(work, max(1, calls // each)) / each / floor)
    figures = {f"signing.{name}.over_bare": figure(values, "ratio", calls) for name, values in raw.items()}
    return figures | {"signing.bare_us": figure(bare_us, "us", calls)}


def _works(folder: Path) -> tuple[Work, Mapping[str, tuple[Work, int]]]:
    """The bare operation, and every work with the number of documents it handles."""
    pki = Pki(folder / "pki")
    pair = pki.signer(FACILITY, algorithm="p256")
    signer = Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"))
    content = b"<GIAMDINHHS><D>" + b"A" * DOCUMENT_BYTES + b"</D><CHUKYDONVI/></GIAMDINHHS>"
    private = load_pem_private_key(pair.private_key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    public, value = private.public_key(), private.sign(content, ec.ECDSA(hashes.SHA256()))
    cms = _document(content, CarriedSignature(SignatureFormat.CMS_DETACHED, sign_detached(content, signer)))
    xml = SignedDocument(sign_envelope(content, signer), SignatureFormat.XMLDSIG_ENVELOPED, FACILITY, _now())
    batch = _batch(signer)
    judge, trust = SignatureJudge(load_policy(SHIPPED, convert.DOCUMENT_KINDS)), _trust(pki, pair)

    def judged() -> None:
        facts = verify(cms, cms.signatures[0])
        verdict = judge.judge(cms, cms.signatures[0], facts, trust, cms.received_at).verdict
        assert verdict.indication is Indication.TOTAL_PASSED

    def whole_batch() -> None:
        for document in batch:
            verify(document, document.signatures[0])

    return lambda: public.verify(value, content, ec.ECDSA(hashes.SHA256())), {
        "verify": (lambda: verify(cms, cms.signatures[0]), 1),
        "verdict": (judged, 1),
        "xmldsig": (lambda: verify(xml), 1),
        "batch": (whole_batch, BATCH),
    }


def _batch(signer: Pkcs12Signer) -> Sequence[SignedDocument]:
    contents = [f"{number:06}".encode() + b"A" * DOCUMENT_BYTES for number in range(BATCH)]
    manifest, paths = make_batch(FACILITY, contents)
    text = manifest.encode()
    signature = sign_detached(text.encode(), signer)
    return [
        _document(content, CarriedSignature(SignatureFormat.BATCH, signature, "", BatchMembership(text, index, path)))
        for index, (content, path) in enumerate(zip(contents, paths, strict=True))
    ]


def _document(content: bytes, signature: CarriedSignature) -> SignedDocument:
    return SignedDocument(content, None, FACILITY, _now(), (signature,))


def _trust(pki: Pki, pair: SigningPair) -> Trust:
    """A trust list with the two authorities, the signer and a fresh list of revocations."""
    now = _now()
    certificate = x509.load_der_x509_certificate(pair.certificate_der)
    fingerprint = certificates.fingerprint(certificate)
    authorities = [
        _authority(pki.signing_root, AuthorityKind.ROOT, now),
        _authority(pki.signing_authority, AuthorityKind.INTERMEDIATE, now),
    ]
    signer = SignerCertificate(
        fingerprint=fingerprint,
        facility=FACILITY,
        certificate=pair.certificate_der,
        state=SignerState.ACTIVE,
        created_at=now - timedelta(days=1),
        expires_at=certificate.not_valid_after_utc,
    )
    fresh = RevocationStatus(now - timedelta(hours=1), now + timedelta(days=7))
    lists = {one.fingerprint: fresh for one in authorities}
    return Trust.of(TrustSnapshot(1, authorities, {fingerprint: signer}, lists, {}), None)


def _authority(issuer: Issuer, kind: AuthorityKind, now: datetime) -> Authority:
    certificate = issuer.certificate
    return Authority(
        fingerprint=certificates.fingerprint(certificate),
        kind=kind,
        certificate=issuer.der,
        created_at=now - timedelta(days=1),
        expires_at=certificate.not_valid_after_utc,
    )


def _microseconds(work: Work, calls: int) -> float:
    """CPU time of one call."""
    work()
    started = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - started) / calls * 1e6


def _now() -> datetime:
    return datetime.now(UTC)
