"""A world of trust in memory and one good document of every format, each signed by a key that is registered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.client.batch import make_batch

from deploy.local.pki import Pki, SigningPair
from services.signing.model import (
    BatchMembership,
    CarriedSignature,
    Evidence,
    SignatureFormat,
    SignedDocument,
    TrustSnapshot,
    Verdict,
)
from services.signing.service.evidence import EvidenceService
from services.signing.service.verification import VerificationService
from tests.integration.signing.trust_world import FACILITY, NOW, TrustWorld, signer
from tests.unit.signing.formats.conftest import Identity
from tests.unit.signing.formats.test_format_cms import CONTENT
from tests.unit.signing.formats.test_format_jws import sign as sign_jws
from tests.unit.signing.formats.test_format_pades import plain_pdf
from tests.unit.signing.formats.test_format_pades import sign as sign_pdf
from tests.unit.signing.formats.test_format_xades import DOCUMENT as XADES_DOCUMENT
from tests.unit.signing.formats.test_format_xades import TABLE
from tests.unit.signing.formats.test_format_xmldsig import DOCUMENT
from tests.unit.signing.formats.xades_writer import sign_xades

AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
BATCH = [f"document {number}".encode() for number in range(5)]


@dataclass
class Corpus:
    """The operation under test over a trust list that a case may bend."""

    world: TrustWorld
    pair: SigningPair
    kept: list[Evidence] = field(default_factory=list)
    now: datetime = NOW

    @property
    def signer(self) -> Pkcs12Signer:
        """The registered key, as the agent uses it."""
        return signer(self.pair)

    @property
    def identity(self) -> Identity:
        """The registered key, as the writers of the tests use it."""
        key = load_pem_private_key(self.pair.private_key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return Identity(key, x509.load_der_x509_certificate(self.pair.certificate_der))

    def good(self, format: SignatureFormat) -> SignedDocument:
        """A document of the format as it should be."""
        key, identity = self.signer, self.identity
        match format:
            case SignatureFormat.XMLDSIG_ENVELOPED:
                return enveloped(sign_envelope(DOCUMENT, key))
            case SignatureFormat.XADES_ENVELOPED:
                return enveloped(sign_xades(XADES_DOCUMENT, "CHUKYDONVI", identity, AT))
            case SignatureFormat.XADES_DETACHED:
                file = sign_xades(None, "", identity, AT, content=TABLE)
                return carried(TABLE, CarriedSignature(format, file))
            case SignatureFormat.CMS_DETACHED:
                return carried(CONTENT, CarriedSignature(format, sign_detached(CONTENT, key)))
            case SignatureFormat.JWS_DETACHED:
                return carried(b"content", CarriedSignature(format, sign_jws(identity, content=b"content")))
            case SignatureFormat.PADES:
                return SignedDocument(sign_pdf(plain_pdf(), identity), format, FACILITY, NOW)
            case SignatureFormat.BATCH:
                manifest, paths = make_batch(FACILITY, BATCH)
                place = BatchMembership(manifest.encode(), 2, tuple(paths[2]))
                signature = sign_detached(manifest.encode().encode(), key)
                return carried(BATCH[2], CarriedSignature(format, signature, batch=place))

    async def judge(self, document: SignedDocument) -> Verdict:
        """The verdict of the role's own operation."""
        operation = VerificationService(
            cast("Any", _Trust(self.world)),
            EvidenceService(cast("Any", _Evidence(self.kept))),
            cast("Any", _NobodyToAsk()),
            self.world.policy,
            lambda: self.now,
        )
        return (await operation.judge([document]))[0]


@dataclass
class _Trust:
    world: TrustWorld

    async def version(self) -> int:
        return 1

    async def snapshot(self, before: TrustSnapshot | None = None) -> TrustSnapshot:
        return self.world.snapshot


@dataclass
class _Evidence:
    kept: list[Evidence]

    async def add(self, evidence: list[Evidence]) -> None:
        self.kept += evidence


class _NobodyToAsk:
    async def settle(self, questions: object, trust: object) -> bool:
        return False


def enveloped(content: bytes) -> SignedDocument:
    """An XML document with its signature inside."""
    return SignedDocument(content, SignatureFormat.XMLDSIG_ENVELOPED, FACILITY, NOW)


def carried(content: bytes, *signatures: CarriedSignature) -> SignedDocument:
    """A document with signatures beside it."""
    return SignedDocument(content, None, FACILITY, NOW, signatures)


@pytest.fixture
def corpus(pki: Pki) -> Corpus:
    world = TrustWorld(pki)
    pair = _pair(pki)
    world.register(pair)
    return Corpus(world, pair)


_PAIRS: dict[int, SigningPair] = {}


def _pair(pki: Pki) -> SigningPair:
    """One key for the whole corpus: cases bend what is known of it, never the key."""
    return _PAIRS.setdefault(id(pki), pki.signer(FACILITY, algorithm="p256", label="corpus"))
