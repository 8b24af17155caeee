"""A trust list in memory over the throw-away authorities, for tests of verdicts without a database."""

from __future__ import annotations

import hashlib
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached

from deploy.local.authorities import openssl
from deploy.local.pki import Authority as Issuer
from deploy.local.pki import Pki, SigningPair
from services.signing import certificates, convert
from services.signing.formats.cms import verify_cms
from services.signing.formats.facts import SignatureFacts
from services.signing.model import (
    Authority,
    AuthorityKind,
    AuthorityPurpose,
    CarriedSignature,
    RevocationStatus,
    RevokedCertificate,
    SignatureFormat,
    SignatureLevel,
    SignedDocument,
    SignerCertificate,
    SignerRole,
    SignerState,
    TrustSnapshot,
    Verdict,
)
from services.signing.policy import SHIPPED, SignaturePolicy, load_policy
from services.signing.service.verification.blocks import SignatureJudge
from services.signing.service.verification.requirements import document_verdict
from services.signing.service.verification.trust import Trust

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FACILITY = "01001"
CONTENT = b"the exact bytes of a document"


def shipped() -> SignaturePolicy:
    return load_policy(SHIPPED, convert.DOCUMENT_KINDS)


class TrustWorld:
    """Everything that a verdict depends on, to be bent by a test."""

    def __init__(self, pki: Pki) -> None:
        self.pki = pki
        self.policy = shipped()
        self.authorities = [
            registered(pki.signing_root, AuthorityKind.ROOT),
            registered(pki.signing_authority, AuthorityKind.INTERMEDIATE),
            registered(pki.time_root, AuthorityKind.ROOT, AuthorityPurpose.TIMESTAMPING),
        ]
        self.signers: dict[str, SignerCertificate] = {}
        self.lists: dict[str, RevocationStatus] = {}
        self.revoked: dict[tuple[str, str], RevokedCertificate] = {}
        self.answers: dict[tuple[str, str], RevocationStatus] = {}
        self.fresh_list(NOW - HOUR)

    @property
    def issuer(self) -> str:
        return certificates.fingerprint(self.pki.signing_authority.certificate)

    @property
    def root(self) -> str:
        return certificates.fingerprint(self.pki.signing_root.certificate)

    def fresh_list(self, this_update: datetime, days: int = 7, issuer: str = "") -> None:
        sha256 = hashlib.sha256(f"{issuer}{this_update}".encode()).hexdigest()
        self.lists[issuer or self.issuer] = RevocationStatus(this_update, this_update + days * DAY, sha256=sha256)

    def revoke(
        self, pair: SigningPair, at: datetime, invalid_since: datetime | None = None, reason: str = "superseded"
    ) -> None:
        serial = certificates.serial(certificate_of(pair))
        self.revoked[self.issuer, serial] = RevokedCertificate(serial, at, reason, invalid_since)

    def register(
        self,
        pair: SigningPair,
        facility: str = FACILITY,
        role: SignerRole = SignerRole.FACILITY,
        licence: str = "",
        state: SignerState = SignerState.ACTIVE,
        since: datetime | None = None,
    ) -> None:
        certificate = certificate_of(pair)
        fingerprint = certificates.fingerprint(certificate)
        self.signers[fingerprint] = SignerCertificate(
            fingerprint=fingerprint,
            facility=facility,
            certificate=pair.certificate_der,
            state=state,
            created_at=NOW - 30 * DAY,
            expires_at=certificate.not_valid_after_utc,
            role=role,
            licence=licence,
            suspended_at=since if state is SignerState.SUSPENDED else None,
            compromised_at=since if state is SignerState.COMPROMISED else None,
        )

    @property
    def snapshot(self) -> TrustSnapshot:
        return TrustSnapshot(1, self.authorities, self.signers, self.lists, self.revoked, self.answers)

    def judge(
        self,
        facts: Sequence[SignatureFacts],
        *,
        received: datetime = NOW,
        now: datetime | None = None,
        facility: str = FACILITY,
        kinds: tuple[str, ...] = (),
        existed: datetime | None = None,
        carried: CarriedSignature | None = None,
    ) -> Verdict:
        """The verdict on a document with these signatures."""
        given = carried or CarriedSignature(SignatureFormat.CMS_DETACHED, b"x")
        facts = [replace(one, part=given.part) for one in facts]
        document = SignedDocument(CONTENT, None, facility, received, (given,), kinds=kinds, existed_at=existed)
        trust, judge = Trust.of(self.snapshot, None), SignatureJudge(self.policy)
        judged = [judge.judge(document, given, one, trust, now or received) for one in facts]
        return document_verdict(document, [one.verdict for one in judged], self.policy, 1)


def registered(
    authority: Issuer, kind: AuthorityKind, purpose: AuthorityPurpose = AuthorityPurpose.SIGNING
) -> Authority:
    certificate = authority.certificate
    return Authority(
        fingerprint=certificates.fingerprint(certificate),
        kind=kind,
        certificate=authority.der,
        created_at=NOW - 30 * DAY,
        expires_at=certificate.not_valid_after_utc,
        purpose=purpose,
    )


def certificate_of(pair: SigningPair) -> x509.Certificate:
    return x509.load_der_x509_certificate(pair.certificate_der)


def signer(pair: SigningPair) -> Pkcs12Signer:
    return Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"))


def facts_of(pair: SigningPair, content: bytes = CONTENT) -> SignatureFacts:
    """Facts of a real signature."""
    return verify_cms(content, sign_detached(content, signer(pair)))


def stamped(facts: SignatureFacts, *tokens: bytes, covered: bytes = b"the signature value") -> SignatureFacts:
    return replace(facts, level=SignatureLevel.B, timestamps=tokens, timestamped=covered)


def openssl_token(folder: Path, covered: bytes = b"the signature value", *, certificate: bool = True) -> bytes:
    """A token of `openssl ts` over some bytes, dated now."""
    work = folder / f"work-{uuid.uuid4().hex}"
    work.mkdir()
    (work / "data").write_bytes(covered)
    asked = ["ts", "-query", "-data", str(work / "data"), "-sha256", "-out", str(work / "q")]
    run(folder, *asked, *(["-cert"] if certificate else []))
    run(
        folder,
        "ts",
        "-reply",
        "-config",
        "tsa.cnf",
        "-queryfile",
        str(work / "q"),
        "-token_out",
        "-out",
        str(work / "t"),
    )
    return (work / "t").read_bytes()


def run(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run([openssl(), *arguments], cwd=folder, capture_output=True, check=True, timeout=30)
    return done.stdout


def said(verdict: Verdict) -> tuple[str, str, str, bool]:
    return verdict.indication.value, verdict.sub_indication, verdict.reason, verdict.acceptable
