"""Level T in every format that has room for it: a token of `openssl ts` over the signature value as each specification defines it."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, core, tsp  # type: ignore[import-untyped] # the oracle ships no types
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.agent.signing.cms import sign_detached
from pyhanko.sign.timestamps import TimeStamper

from deploy.local.authorities import application, openssl
from deploy.local.pki import Pki, SigningPair
from services.signing.formats.cms import verify_cms
from services.signing.formats.facts import SignatureFacts
from services.signing.formats.pades import verify_pades
from services.signing.formats.xmldsig import verify_xades_detached, verify_xmldsig
from services.signing.model import SignatureLevel, TimeSource
from tests.integration.signing.trust_world import FACILITY, TrustWorld, openssl_token, signer
from tests.unit.signing.formats.conftest import Identity
from tests.unit.signing.formats.test_format_pades import plain_pdf
from tests.unit.signing.formats.test_format_pades import sign as sign_pdf
from tests.unit.signing.formats.xades_writer import sign_xades, with_timestamp

CONTENT = b"<A><CHUKYDONVI/></A>"
Stamp = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def folder(pki: Pki) -> Path:
    made = pki.public_authorities()
    application(made)
    return made


@pytest.fixture(scope="module")
def pair(pki: Pki) -> SigningPair:
    return pki.signer(FACILITY, label="level-t", algorithm="p256")


def identity(pair: SigningPair) -> Identity:
    key = load_pem_private_key(pair.private_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Identity(key, x509.load_der_x509_certificate(pair.certificate_der))


def cades(pair: SigningPair, folder: Path) -> SignatureFacts:
    signature = sign_detached(CONTENT, signer(pair))
    (one,) = cms.ContentInfo.load(signature, strict=True)["content"]["signer_infos"]
    token = openssl_token(folder, one["signature"].native)
    oid = core.ObjectIdentifier("1.2.840.113549.1.9.16.2.14").dump()
    attribute = _wrapped(0x30, oid + _wrapped(0x31, token))
    return verify_cms(CONTENT, _with_unsigned(signature, _wrapped(0xA1, attribute)))


def _with_unsigned(der: bytes, attributes: bytes, depth: int = 4) -> bytes:
    """The signature with something at the end of its SignerInfo, which is the last element of everything around it. By hand: asn1crypto
    takes a length that ends in 0x80 for an indefinite one, and then exponential time to write it anew."""
    start, _ = _element(der, 0)
    place, end = start, start
    while end < len(der):
        place, end = end, sum(_element(der, end))
    if depth == 0:
        return _wrapped(der[0], der[start:] + attributes)
    return _wrapped(der[0], der[start:place] + _with_unsigned(der[place:], attributes, depth - 1))


def _element(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of an element begins, and its length."""
    first = der[at + 1]
    octets = first & 0x7F if first & 0x80 else 0
    return at + 2 + octets, int.from_bytes(der[at + 2 : at + 2 + octets], "big") if octets else first


def _wrapped(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 0x80 else bytes([0x80 | len(octets)]) + octets) + content


def xades(pair: SigningPair, folder: Path) -> SignatureFacts:
    signed = sign_xades(CONTENT, "CHUKYDONVI", identity(pair), datetime.now(UTC))
    stamped = verify_xmldsig(with_timestamp(signed, [b"any"])).timestamped
    return verify_xmldsig(with_timestamp(signed, [openssl_token(folder, stamped)]))


def xades_detached(pair: SigningPair, folder: Path) -> SignatureFacts:
    signed = sign_xades(None, "", identity(pair), datetime.now(UTC), content=CONTENT)
    stamped = verify_xades_detached(CONTENT, with_timestamp(signed, [b"any"])).timestamped
    return verify_xades_detached(CONTENT, with_timestamp(signed, [openssl_token(folder, stamped)]))


class OpensslStamper(TimeStamper):
    """Lets pyHanko ask `openssl ts`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # pyHanko's constructor ships no types
        self._folder = folder

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return await asyncio.to_thread(self._reply, req)

    def _reply(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        work = self._folder / f"pdf-{uuid.uuid4().hex}"
        work.write_bytes(req.dump())
        command: list[str | Path] = [openssl(), "ts", "-reply", "-config", "tsa.cnf", "-queryfile", work]
        done = subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=30)
        return tsp.TimeStampResp.load(done.stdout)


def pades(pair: SigningPair, folder: Path) -> SignatureFacts:
    return verify_pades(sign_pdf(plain_pdf(), identity(pair), stamper=OpensslStamper(folder)))


@pytest.mark.parametrize("sign", [cades, xades, xades_detached, pades], ids=lambda sign: sign.__name__)
async def test_a_time_stamp_lifts_a_signature_to_t(
    sign: Callable[[SigningPair, Path], SignatureFacts], pki: Pki, pair: SigningPair, folder: Path
) -> None:
    world = TrustWorld(pki)
    world.register(pair)
    facts = await asyncio.to_thread(sign, pair, folder)
    received = datetime.now(UTC) + timedelta(minutes=1)
    (verdict,) = world.judge([facts], received=received).signatures
    assert (verdict.indication.value, verdict.level) == ("TOTAL_PASSED", SignatureLevel.T)
    assert verdict.best_time_source is TimeSource.TIMESTAMP
    assert verdict.best_time is not None
    assert verdict.best_time < received
