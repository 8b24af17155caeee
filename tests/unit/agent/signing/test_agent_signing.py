"""The agent's signatures: right for other programs, and nothing else of a document changes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import cms, tsp  # type: ignore[import-untyped] # the oracle ships no types
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from hypothesis import given
from hypothesis import strategies as st
from lienthong.agent.signing import DocumentUnsignable, KeyAlgorithm, KeystoreInvalid, Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope
from lxml import etree
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from deploy.local.pki import Pki, SigningPair, signing_key
from services.signing.formats.xmldsig import verify_xmldsig

assert tsp.SigningCertificateV2  # importing asn1crypto.tsp teaches asn1crypto.cms the ESS attributes
KINDS = ("rsa", "p256")
AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
DOCUMENT = (
    '<?xml version="1.0" encoding="utf-8" ?>\r\n<GIAMDINHHS  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"\n'
    "><A b='1'  c = \"x\" /><HO_TEN>Nguyễn &amp; Thị</HO_TEN>\t<E></E><CHUKYDONVI/>\r\n</GIAMDINHHS>\n\n"
).encode()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("agent-pki"))


@pytest.fixture(scope="module")
def pairs(pki: Pki) -> Mapping[str, SigningPair]:
    return {kind: pki.signer("01001", algorithm=kind) for kind in KINDS}


@pytest.fixture(scope="module")
def signers(pairs: Mapping[str, SigningPair]) -> Mapping[str, Pkcs12Signer]:
    return {kind: opened(pair) for kind, pair in pairs.items()}


def opened(pair: SigningPair) -> Pkcs12Signer:
    return Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"))


def test_a_keystore_opens(pairs: Mapping[str, SigningPair], pki: Pki) -> None:
    for kind, algorithm in (("rsa", KeyAlgorithm.RSA), ("p256", KeyAlgorithm.P256)):
        signer = opened(pairs[kind])
        assert (signer.algorithm, signer.certificate) == (algorithm, pairs[kind].certificate_der)
        assert signer.chain == (pki.signing_authority.der,)


def test_keystores_that_do_not_open(pairs: Mapping[str, SigningPair], pki: Pki, tmp_path: Path) -> None:
    with pytest.raises(KeystoreInvalid, match="passphrase"):
        Pkcs12Signer(pairs["rsa"].keystore, "wrong")
    with pytest.raises(KeystoreInvalid, match="FileNotFoundError"):
        Pkcs12Signer(tmp_path / "none.p12", "")
    (tmp_path / "text.p12").write_bytes(b"not a keystore")
    with pytest.raises(KeystoreInvalid, match="not PKCS#12"):
        Pkcs12Signer(tmp_path / "text.p12", "x")
    (tmp_path / "long.p12").write_bytes(bytes(1024 * 1024 + 1))
    with pytest.raises(KeystoreInvalid, match="too long"):
        Pkcs12Signer(tmp_path / "long.p12", "x")
    for kind in ("rsa1024", "p384"):
        with pytest.raises(KeystoreInvalid, match="neither"):
            opened(pki.signer("01001", algorithm=kind))
    key = signing_key("p256")
    stored = pkcs12.serialize_key_and_certificates(b"x", key, None, None, BestAvailableEncryption(b"x"))
    (tmp_path / "bare.p12").write_bytes(stored)
    with pytest.raises(KeystoreInvalid, match="no key with a certificate"):
        Pkcs12Signer(tmp_path / "bare.p12", "x")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "document",
    [
        DOCUMENT,
        b"\xef\xbb\xbf" + DOCUMENT,
        DOCUMENT.replace(b"<CHUKYDONVI/>", b"<CHUKYDONVI />"),
        DOCUMENT.replace(b"<CHUKYDONVI/>", b"<CHUKYDONVI></CHUKYDONVI>"),
        DOCUMENT.replace(b"<CHUKYDONVI/>", b"<CHUKYDONVI >\r\n\t</CHUKYDONVI\n>"),
        DOCUMENT.replace(b"<GIAMDINHHS ", b'<GIAMDINHHS xml:lang="vi" xml:space="preserve" '),
        DOCUMENT.replace(b"<E></E>", b"<E><![CDATA[<CHUKY>]]>&#13;</E>"),
        b"<CHI_TIEU_TRANG_THAI_KCB><CHUKYDONVI/></CHI_TIEU_TRANG_THAI_KCB>",
    ],
)
def test_only_the_signature_is_added(document: bytes, kind: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    signed = sign_envelope(document, signers[kind])
    facts = verify_xmldsig(signed)
    assert facts.signer_certificate_der == signers[kind].certificate
    assert b"<Signature xmlns=" in signed
    signature = re.search(rb"<Signature .*</Signature>", signed, re.DOTALL)
    assert signature is not None
    before, after = signed.split(signature.group())
    assert document.startswith(before.removesuffix(b">").removesuffix(b"<CHUKYDONVI").removesuffix(b"<CHUKYDONVI "))
    assert document.endswith(after.split(b"</CHUKYDONVI>", 1)[1])
    assert facts.covered == etree.tostring(etree.fromstring(document), method="c14n")


@pytest.mark.parametrize("kind", KINDS)
def test_signxml_agrees(kind: str, signers: Mapping[str, Pkcs12Signer], pairs: Mapping[str, SigningPair]) -> None:
    """An independent verifier; it needs its cure for lxml's C14N (trust page, trap 1)."""
    verifier = XMLVerifier()
    verifier.excise_empty_xmlns_declarations = True
    certificate = pairs[kind].certificate.read_text("ascii")
    configuration = SignatureConfiguration(location="./CHUKYDONVI/")
    signed = sign_envelope(DOCUMENT, signers[kind])
    result = verifier.verify(signed, x509_cert=certificate, expect_config=configuration)
    assert isinstance(result, VerifyResult)
    assert etree.fromstring(result.signed_data).findtext("HO_TEN") == "Nguyễn & Thị"
    with pytest.raises(Exception, match="Digest mismatch"):
        verifier.verify(
            signed.replace(b"<HO_TEN>Nguy", b"<HO_TEN>nguy"), x509_cert=certificate, expect_config=configuration
        )


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "well-formed"),
        (b"not XML", "well-formed"),
        (b"<G/>", "no empty CHUKYDONVI"),
        (b"<G><X><CHUKYDONVI/></X></G>", "no empty CHUKYDONVI"),
        (b"<G><CHUKYDONVI>x</CHUKYDONVI></G>", "no empty CHUKYDONVI"),
        (b"<G><CHUKYDONVI/><CHUKYDONVI/></G>", "no empty CHUKYDONVI"),
        (b"<G><CHUKYDONVI a=''/></G>", "nowhere else"),
        (b"<G><A>CHUKYDONVI</A><CHUKYDONVI/></G>", "nowhere else"),
        (b"<G><![CDATA[<CHUKYDONVI/>]]><CHUKYDONVI/></G>", "nowhere else"),
        (b"<G><!-- --><CHUKYDONVI/></G>", "comment"),
        (b"<G><?x y?><CHUKYDONVI/></G>", "comment"),
        (b"<!-- --><G><CHUKYDONVI/></G>", "comment"),
        (b"<!DOCTYPE G><G><CHUKYDONVI/></G>", "DTD"),
        (b"<?xml version='1.0' encoding='windows-1258'?><G><CHUKYDONVI/></G>", "UTF-8"),
        ("<G><CHUKYDONVI/></G>".encode("utf-16"), "UTF-8"),
    ],
)
def test_documents_that_cannot_be_signed(document: bytes, reason: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    with pytest.raises(DocumentUnsignable, match=reason):
        sign_envelope(document, signers["p256"])


def test_a_signed_document_is_not_signed_again(signers: Mapping[str, Pkcs12Signer]) -> None:
    with pytest.raises(DocumentUnsignable, match="signed already"):
        sign_envelope(sign_envelope(DOCUMENT, signers["p256"]), signers["p256"])


@pytest.mark.parametrize("kind", KINDS)
def test_an_independent_parser_reads_the_cms(kind: str, signers: Mapping[str, Pkcs12Signer], pki: Pki) -> None:
    content, signer = b"any bytes \x00\xff", signers[kind]
    signature = sign_detached(content, signer, signing_time=AT)
    info = cms.ContentInfo.load(signature, strict=True)
    assert info.dump(force=True) == signature
    signed = info["content"]
    assert (signed["version"].native, signed["encap_content_info"]["content"].native) == ("v1", None)
    assert {choice.dump() for choice in signed["certificates"]} == {signer.certificate, pki.signing_authority.der}
    (one,) = signed["signer_infos"]
    attributes = {attribute["type"].native: attribute["values"][0] for attribute in one["signed_attrs"]}
    assert attributes["content_type"].native == "data"
    assert attributes["message_digest"].native == hashlib.sha256(content).digest()
    assert attributes["signing_time"].native == AT
    (identifier,) = attributes["signing_certificate_v2"]["certs"]
    assert identifier["cert_hash"].native == hashlib.sha256(signer.certificate).digest()
    certificate = x509.load_der_x509_certificate(signer.certificate)
    assert identifier["issuer_serial"]["serial_number"].native == certificate.serial_number
    assert one["sid"].chosen["issuer"].dump() == certificate.issuer.public_bytes()
    key, value, lines = certificate.public_key(), one["signature"].native, one["signed_attrs"].untag().dump()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(value, lines, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(value, lines, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(("year", "tag"), [(2049, "utc_time"), (2050, "generalized_time")])
def test_signing_times_around_2050(year: int, tag: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    signature = sign_detached(b"x", signers["p256"], signing_time=AT.replace(year=year))
    one = cms.ContentInfo.load(signature, strict=True)["content"]["signer_infos"][0]
    (time,) = [found["values"][0] for found in one["signed_attrs"] if found["type"].native == "signing_time"]
    assert (time.name, time.native.year) == (tag, year)


@given(st.binary(max_size=60))
def test_any_bytes_are_signed_or_refused_by_name(content: bytes) -> None:
    for document in (content, b"<G>" + content + b"<CHUKYDONVI/></G>"):
        try:
            signed = sign_envelope(document, FIXED)
        except DocumentUnsignable:
            continue
        assert verify_xmldsig(signed).signer_certificate_der == FIXED.certificate


class FixedSigner:
    """A key in memory behind the port, as a token would be."""

    algorithm = KeyAlgorithm.RSA
    chain: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([])
        self.certificate = (
            x509.CertificateBuilder(name, name, self._key.public_key(), 1, AT, replace_year(AT))
            .sign(self._key, hashes.SHA256())
            .public_bytes(Encoding.DER)
        )

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def replace_year(at: datetime) -> datetime:
    return at.replace(year=at.year + 1)


FIXED = FixedSigner()
