"""XAdES, JWS, RSASSA-PSS and the roles: what the agent writes holds here, and for other programs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from lienthong.agent.cli import main
from lienthong.agent.inner_table import inner_table
from lienthong.agent.signing import DocumentUnsignable, Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.jws import sign_jws
from lienthong.agent.signing.xades import sign_xades_detached, sign_xades_envelope
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.agent.submission import message, outgoing
from lienthong.signing.v1 import verdict_pb2
from lxml import etree
from signxml.verifier import SignatureConfiguration
from signxml.xades.xades import XAdESVerifier

from deploy.local.pki import Pki, SigningPair
from services.signing.formats.cms import verify_cms
from services.signing.formats.facts import Finding
from services.signing.formats.jws import verify_jws
from services.signing.formats.xmldsig import verify_xades_detached, verify_xmldsig
from services.signing.model import SignatureLevel

AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
NAMES = {"rsa": "rsa-pkcs1v15-sha256", "pss": "rsa-pss-sha256", "p256": "ecdsa-p256-sha256"}
KINDS = tuple(NAMES)
INNER = "<CHI_TIEU><HO_TEN>Nguyễn</HO_TEN></CHI_TIEU>".encode()
FILES = b"<FILEHOSO><LOAIHOSO>XML13</LOAIHOSO><NOIDUNGFILE>" + base64.b64encode(INNER) + b"</NOIDUNGFILE></FILEHOSO>"
DOCUMENT = (
    b'<?xml version="1.0" encoding="utf-8"?>\r\n<GIAMDINHHS xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    b'xml:lang="vi">' + FILES + "<HO_TEN>Nguyễn &amp; Thị</HO_TEN>\t<E></E><CHUKYDONVI/>\r\n</GIAMDINHHS>\n".encode()
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, SigningPair]:
    pki = Pki(tmp_path_factory.mktemp("pki"))
    found = {kind: pki.signer("01001", algorithm=kind) for kind in ("rsa", "p256")}
    return {**found, "pss": found["rsa"]}


@pytest.fixture(scope="module")
def signers(pairs: Mapping[str, SigningPair]) -> Mapping[str, Pkcs12Signer]:
    return {
        kind: Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"), pss=kind == "pss")
        for kind, pair in pairs.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_xades_inside_a_document(kind: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    signed = sign_xades_envelope(DOCUMENT, signers[kind], signing_time=AT)
    facts = verify_xmldsig(signed)
    assert (facts.format.value, facts.level) == ("XADES_ENVELOPED", SignatureLevel.B)
    assert (facts.algorithm, facts.claimed_signing_time) == (NAMES[kind], AT)
    assert facts.signer_certificate_der == signers[kind].certificate
    assert facts.embedded == signers[kind].chain
    assert facts.covered == etree.tostring(etree.fromstring(DOCUMENT), method="c14n")
    for old, new in ((b"Nguy", b"nguy"), (b"2026-11-23T04:05:06Z", b"2026-11-23T04:05:07Z")):
        with pytest.raises(Finding, match="HASH_FAILURE"):
            verify_xmldsig(signed.replace(old, new, 1))


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_signxml_agrees_on_xades(
    kind: str, signers: Mapping[str, Pkcs12Signer], pairs: Mapping[str, SigningPair]
) -> None:
    certificate = pairs[kind].certificate.read_text("ascii")
    configuration = SignatureConfiguration(location="./CHUKYDONVI/", expect_references=2)
    signed = sign_xades_envelope(DOCUMENT, signers[kind])
    results = XAdESVerifier().verify(signed, x509_cert=certificate, expect_config=configuration)
    assert len(results) == 2
    with pytest.raises(Exception, match="Digest mismatch"):
        XAdESVerifier().verify(signed.replace(b"Nguy", b"nguy"), x509_cert=certificate, expect_config=configuration)


@pytest.mark.parametrize("kind", KINDS)
def test_xades_beside_any_bytes(kind: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    content = b"\x00any bytes\xff"
    signature = sign_xades_detached(content, signers[kind], name="hồ sơ.bin", signing_time=AT)
    facts = verify_xades_detached(content, signature)
    assert (facts.level, facts.algorithm, facts.covered) == (SignatureLevel.B, NAMES[kind], content)
    with pytest.raises(Finding, match="HASH_FAILURE"):
        verify_xades_detached(content + b"x", signature)


@pytest.mark.parametrize("kind", KINDS)
def test_jws_beside_any_bytes(kind: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    content = b"\x00any.bytes\xff"
    signature = sign_jws(content, signers[kind], signing_time=AT)
    facts = verify_jws(content, signature)
    assert (facts.level, facts.algorithm, facts.claimed_signing_time) == (SignatureLevel.B, NAMES[kind], AT)
    assert facts.embedded == signers[kind].chain
    with pytest.raises(Finding, match="SIG_CRYPTO_FAILURE"):
        verify_jws(content + b"x", signature)
    with pytest.raises(DocumentUnsignable):
        sign_jws(b"", signers[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_pyjwt_agrees(kind: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    """An independent verifier of JWS."""
    content = b"any bytes"
    token = sign_jws(content, signers[kind])
    key = x509.load_der_x509_certificate(signers[kind].certificate).public_key()
    algorithms = ["RS256", "PS256", "ES256"]
    opened = jwt.PyJWS().decode_complete(token, key, algorithms=algorithms, detached_payload=content)  # type: ignore[arg-type] # any public key
    assert opened["header"]["b64"] is False
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.PyJWS().decode_complete(token, key, algorithms=algorithms, detached_payload=b"other")  # type: ignore[arg-type] # any public key


def test_pss_in_xml_and_cms(signers: Mapping[str, Pkcs12Signer]) -> None:
    assert verify_xmldsig(sign_envelope(DOCUMENT, signers["pss"])).algorithm == NAMES["pss"]
    assert verify_cms(DOCUMENT, sign_detached(DOCUMENT, signers["pss"])).algorithm == NAMES["pss"]


def run(folder: Path, pairs: Mapping[str, SigningPair], *arguments: str) -> Result:
    entries = dict.fromkeys(("authority", "client_certificate", "client_key", "policy"), "unused")
    entries |= {"facility": "01001", "gateway": "x:1", "token_endpoint": "https://x", "spool": "spool"}
    for prefix, kind in (("signing", "rsa"), ("practitioner", "p256")):
        entries[f"{prefix}_keystore"] = str(pairs[kind].keystore)
        entries[f"{prefix}_passphrase_file"] = str(pairs[kind].passphrase_file)
    (folder / "profile.json").write_text(json.dumps(entries))
    return CliRunner().invoke(main, ["--profile", str(folder / "profile.json"), "sign", *arguments])


def test_a_doctor_signs_the_referral_and_the_facility_the_whole(
    tmp_path: Path, pairs: Mapping[str, SigningPair]
) -> None:
    (tmp_path / "d.xml").write_bytes(DOCUMENT)
    first, second = str(tmp_path / "doctor"), str(tmp_path / "facility")
    done = run(tmp_path, pairs, str(tmp_path / "d.xml"), "--out", first, "--role", "practitioner", "--part", "XML13")
    assert done.exit_code == 0, done.output
    done = run(tmp_path, pairs, first, "--out", second)
    assert done.exit_code == 0, done.output
    whole = (tmp_path / "facility" / "d.xml").read_bytes()
    assert verify_xmldsig(whole).signer_certificate_der == pairs["rsa"].certificate_der
    sent = message(outgoing(tmp_path / "facility" / "d.xml"))
    (signature,) = sent.signatures
    assert (signature.format, signature.part) == (verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, "XML13")
    facts = verify_cms(inner_table(sent.content, "XML13"), signature.content)
    assert (facts.signer_certificate_der, facts.covered) == (pairs["p256"].certificate_der, INNER)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("xades", None),
        ("xades-detached", verdict_pb2.SIGNATURE_FORMAT_XADES_DETACHED),
        ("jws", verdict_pb2.SIGNATURE_FORMAT_JWS_DETACHED),
        ("cms", verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED),
    ],
)
def test_forms_of_the_command(
    form: str, expected: int | None, tmp_path: Path, pairs: Mapping[str, SigningPair]
) -> None:
    (tmp_path / "d.xml").write_bytes(DOCUMENT)
    done = run(tmp_path, pairs, str(tmp_path / "d.xml"), "--out", str(tmp_path / "out"), "--format", form)
    assert done.exit_code == 0, done.output
    sent = message(outgoing(tmp_path / "out" / "d.xml"))
    assert [one.format for one in sent.signatures] == ([] if expected is None else [expected])
    assert (sent.content == DOCUMENT) is (expected is not None)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--format", "xades", "--part", "XML13"], "beside the document"),
        (["--timestamp"], "needs the form xades"),
        (["--timestamp", "--format", "xades"], "timestamp_url"),
        (["--part", "XML1"], "no table XML1"),
    ],
)
def test_what_cannot_be_asked_for(
    options: list[str], text: str, tmp_path: Path, pairs: Mapping[str, SigningPair]
) -> None:
    (tmp_path / "d.xml").write_bytes(DOCUMENT)
    done = run(tmp_path, pairs, str(tmp_path / "d.xml"), "--out", str(tmp_path / "out"), *options)
    assert (done.exit_code, text in done.output) == (1, True), done.output
