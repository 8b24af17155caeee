"""XAdES: what signxml signs verifies in the envelope, in an inner table and detached; every mutation has its reason."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm
from signxml.xades.xades import XAdESDataObjectFormat, XAdESSignaturePolicy, XAdESSigner

from services.signing.formats.facts import Finding, SignatureScope
from services.signing.formats.xmldsig import Holder, verify_xades_detached, verify_xmldsig
from services.signing.model import SignatureFormat, SignatureLevel
from tests.fixtures.debian import xmlsec1
from tests.unit.signing.formats.conftest import Identity
from tests.unit.signing.formats.xades_writer import sign_xades, with_timestamp

DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
DOCUMENT = """<GIAMDINHHS xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <THONGTINDONVI><MACSKCB>01001</MACSKCB></THONGTINDONVI>
  <HO_TEN>Nguyễn &amp; Thị</HO_TEN>
  <CHUKYDONVI/>
</GIAMDINHHS>""".encode()
TABLE = b"<CHI_TIEU><ROW><MA_LK>1</MA_LK><DU_PHONG/></ROW><ROW><MA_LK>2</MA_LK><DU_PHONG>x</DU_PHONG></ROW></CHI_TIEU>"
F, H, S, C, N = (
    "FORMAT_FAILURE",
    "HASH_FAILURE",
    "SIG_CRYPTO_FAILURE",
    "CRYPTO_CONSTRAINTS_FAILURE",
    "NO_SIGNING_CERTIFICATE_FOUND",
)
Mutation = Callable[[bytes], bytes]


def by_signxml(document: bytes, holder: str, identity: Identity, algorithm: str, **options: Any) -> bytes:
    """The document with a signature of signxml in its first holder."""
    root = etree.fromstring(document)
    place = next(root.iter(holder))
    etree.SubElement(place, f"{{{DS}}}Signature", {"Id": "placeholder"}, nsmap={"ds": DS})
    signer = XAdESSigner(
        signature_algorithm=algorithm, c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_0, **options
    )
    return etree.tostring(signer.sign(root, key=identity.key_pem, cert=identity.pem, always_add_key_value=False))


@pytest.fixture(scope="session")
def signed(identities: Mapping[str, Identity]) -> bytes:
    return sign_xades(DOCUMENT, "CHUKYDONVI", identities["p256"], AT)


@pytest.fixture(scope="session")
def detached(identities: Mapping[str, Identity]) -> bytes:
    return sign_xades(None, "", identities["p256"], AT, content=TABLE)


@pytest.mark.parametrize(
    ("key", "algorithm", "name"),
    [
        ("rsa", "rsa-sha256", "rsa-pkcs1v15-sha256"),
        ("rsa", "sha512-rsa-MGF1", "rsa-pss-sha512"),
        ("p256", "ecdsa-sha256", "ecdsa-p256-sha256"),
        ("p384", "ecdsa-sha384", "ecdsa-p384-sha384"),
        ("p521", "ecdsa-sha512", "ecdsa-p521-sha512"),
        ("p256", "ecdsa-sha3-256", "ecdsa-p256-sha3-256"),
    ],
)
def test_what_signxml_signed(key: str, algorithm: str, name: str, identities: Mapping[str, Identity]) -> None:
    identity = identities[key]
    document = by_signxml(DOCUMENT, "CHUKYDONVI", identity, algorithm, data_object_format=XAdESDataObjectFormat())
    facts = verify_xmldsig(document)
    assert (facts.format, facts.level, facts.scope) == (
        SignatureFormat.XADES_ENVELOPED,
        SignatureLevel.B,
        SignatureScope.FULL,
    )
    assert (facts.algorithm, facts.signer_certificate_der) == (name, identity.der)
    assert facts.key_bits == {"rsa": 2048, "p256": 256, "p384": 384, "p521": 521}[key]
    assert facts.claimed_signing_time is not None
    assert facts.covered == etree.tostring(etree.fromstring(DOCUMENT), method="c14n")
    assert refused(document.replace(b"01001", b"79001")) == (H, "DIGEST_MISMATCH")


def test_an_inner_table_carries_its_own(identities: Mapping[str, Identity]) -> None:
    table = by_signxml(TABLE, "DU_PHONG", identities["p256"], "ecdsa-sha256")
    facts = verify_xmldsig(table, Holder.RESERVED)
    assert facts.covered == etree.tostring(etree.fromstring(TABLE), method="c14n")
    assert refused(table) == (F, "SIGNATURE_MISPLACED")
    assert refused(table.replace(b"<MA_LK>2", b"<MA_LK>3"), Holder.RESERVED) == (H, "DIGEST_MISMATCH")
    moved = table.replace(b"DU_PHONG>", b"GHI_CHU>")
    assert refused(moved, Holder.RESERVED) == (F, "SIGNATURE_MISPLACED")
    # The table inside another one is another document.
    assert refused(b"<A>" + table + b"</A>", Holder.RESERVED) == (H, "DIGEST_MISMATCH")


def test_detached_over_exact_bytes(detached: bytes, identities: Mapping[str, Identity]) -> None:
    facts = verify_xades_detached(TABLE, detached)
    assert (facts.format, facts.level, facts.covered) == (SignatureFormat.XADES_DETACHED, SignatureLevel.B, TABLE)
    assert (facts.claimed_signing_time, facts.signer_certificate_der) == (AT, identities["p256"].der)
    # White space that C14N would not see counts: the bytes are signed, not what they mean.
    for other in (TABLE + b"\n", TABLE.replace(b"><ROW>", b" ><ROW>", 1), b""):
        assert detached_refused(other, detached) == (H, "DIGEST_MISMATCH")


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("prefix", ["", "ds"])
@pytest.mark.parametrize("key_info", [False, True])
def test_every_shape(exclusive: bool, prefix: str, key_info: bool, identities: Mapping[str, Identity]) -> None:
    document = sign_xades(
        DOCUMENT.replace(b"<GIAMDINHHS ", b'<GIAMDINHHS xml:lang="vi" '),
        "CHUKYDONVI",
        identities["p256"],
        AT,
        exclusive=exclusive,
        prefix=prefix,
        sign_key_info=key_info,
    )
    assert verify_xmldsig(document).claimed_signing_time == AT


def test_timestamps_are_handed_on(signed: bytes, detached: bytes) -> None:
    for file in (signed, detached):
        stamped = with_timestamp(file, [b"first", b"second"])
        facts = verify_xmldsig(stamped) if file is signed else verify_xades_detached(TABLE, stamped)
        assert facts.timestamps == (b"first", b"second")
        value = re.search(rb"<SignatureValue[^>]*>([^<]+)<", file)
        assert value is not None
        # Inclusive C14N draws in the namespaces around the element.
        around = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"' if file is signed else b""
        expected = b'<SignatureValue xmlns="' + DS.encode() + b'"' + around + b' Id="value">' + value[1]
        assert facts.timestamped == expected + b"</SignatureValue>"
        assert facts.level is SignatureLevel.B
    exclusive = verify_xmldsig(with_timestamp(signed, [b"x"], EXCLUSIVE)).timestamped
    assert exclusive.startswith(b'<SignatureValue xmlns="' + DS.encode() + b'" Id="value">')
    assert verify_xmldsig(signed).timestamped == b""


def test_without_signing_time_it_is_plain(identities: Mapping[str, Identity]) -> None:
    facts = verify_xmldsig(sign_xades(DOCUMENT, "CHUKYDONVI", identities["p256"], None))
    assert (facts.format, facts.level) == (SignatureFormat.XADES_ENVELOPED, SignatureLevel.PLAIN)


def test_a_signature_policy_is_not_at_hand(identities: Mapping[str, Identity]) -> None:
    policy = XAdESSignaturePolicy("urn:x", "x", DigestAlgorithm.SHA256, base64.b64encode(bytes(32)).decode())
    document = by_signxml(DOCUMENT, "CHUKYDONVI", identities["p256"], "ecdsa-sha256", signature_policy=policy)
    assert refused(document) == ("SIGNATURE_POLICY_NOT_AVAILABLE", "SIGNATURE_POLICY_UNKNOWN")


def refused(document: bytes, holder: Holder = Holder.FACILITY) -> tuple[str, str]:
    with pytest.raises(Finding) as caught:
        verify_xmldsig(document, holder)
    return str(caught.value.sub_indication), caught.value.reason


def detached_refused(content: bytes, signature: bytes) -> tuple[str, str]:
    with pytest.raises(Finding) as caught:
        verify_xades_detached(content, signature)
    return str(caught.value.sub_indication), caught.value.reason


def put(old: str, new: str, count: int = 1) -> Mutation:
    def change(document: bytes) -> bytes:
        assert old.encode() in document
        return document.replace(old.encode(), new.encode(), count)

    return change


def without(start: str, end: str) -> Mutation:
    def change(document: bytes) -> bytes:
        changed = re.sub(f"{start}.*?{end}".encode(), b"", document, count=1, flags=re.DOTALL)
        assert changed != document
        return changed

    return change


def fake_properties(document: bytes) -> bytes:
    """A second Object with properties of the forger, named as the signed ones were, whose Id moves."""
    found = re.search(rb"<Object>.*</Object>", document, re.DOTALL)
    assert found is not None
    fake = found[0].replace(b"2026-11-23", b"2020-01-01")
    return document.replace(found[0], fake + found[0].replace(b'"properties"', b'"moved"'))


def swapped_properties(document: bytes) -> bytes:
    """The signed properties move into an element that nobody reads; forged ones take their place under another Id."""
    found = re.search(rb"<xades:SignedProperties.*</xades:SignedProperties>", document, re.DOTALL)
    assert found is not None
    forged = found[0].replace(b"2026-11-23", b"2020-01-01").replace(b'Id="properties"', b'Id="forged"')
    inner = b"<xades:UnsignedSignatureProperties>" + found[0] + b"</xades:UnsignedSignatureProperties>"
    unsigned = b"<xades:UnsignedProperties>" + inner + b"</xades:UnsignedProperties>"
    return document.replace(found[0], forged + unsigned)


XADES = "http://uri.etsi.org/01903/v1.3.2#"
SECOND = '<Reference URI="#x"><DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue>AAAA</DigestValue></Reference>'
MUTATIONS: dict[str, tuple[Mutation, str, str]] = {
    "changed document": (put("01001", "79001"), H, "DIGEST_MISMATCH"),
    "changed signing time": (put("2026-11-23T", "2026-11-24T"), H, "DIGEST_MISMATCH"),
    "added signed property": (
        put("</xades:SignedSignatureProperties>", "<xades:SignerRoleV2/></xades:SignedSignatureProperties>"),
        H,
        "DIGEST_MISMATCH",
    ),
    "unknown signed property": (
        put("</xades:SignedSignatureProperties>", "<xades:X/></xades:SignedSignatureProperties>"),
        F,
        "SIGNED_PROPERTY_UNEXPECTED",
    ),
    "signed property twice": (
        put("<xades:SigningTime>", "<xades:SigningTime>2026-11-23T04:05:06Z</xades:SigningTime><xades:SigningTime>"),
        F,
        "SIGNED_PROPERTY_NOT_UNIQUE",
    ),
    "properties of another Id": (put('Id="properties"', 'Id="others"'), F, "SIGNED_PROPERTIES_NOT_SIGNED"),
    "properties without Id": (put(' Id="properties"', ""), F, "SIGNED_PROPERTIES_ID"),
    "reference without Type": (
        put(' Type="http://uri.etsi.org/01903#SignedProperties"', ""),
        F,
        "SIGNED_PROPERTIES_NOT_SIGNED",
    ),
    "fake properties beside": (fake_properties, F, "SIGNATURE_STRUCTURE"),
    "fake properties in place": (swapped_properties, F, "SIGNED_PROPERTIES_NOT_SIGNED"),
    "properties of another signature": (put('Target="#signature"', 'Target="#other"'), F, "QUALIFYING_TARGET"),
    "properties without target": (put(' Target="#signature"', ""), F, "QUALIFYING_TARGET"),
    "signature without Id": (put(' Id="signature"', ""), F, "QUALIFYING_TARGET"),
    "no reference to the properties": (
        without('<Reference URI="#properties"', "</Reference>"),
        F,
        "SIGNED_PROPERTIES_NOT_SIGNED",
    ),
    "no reference to the document": (without('<Reference Id="document"', "</Reference>"), F, "REFERENCE_NOT_WHOLE"),
    "third reference": (put("</SignedInfo>", SECOND + "</SignedInfo>"), F, "REFERENCE_UNEXPECTED"),
    "fourth reference": (put("</SignedInfo>", SECOND * 2 + "</SignedInfo>"), F, "SIGNATURE_STRUCTURE"),
    "reference to an element": (put('URI=""', 'URI="#x"'), F, "REFERENCE_NOT_WHOLE"),
    "no properties at all": (without("<Object>", "</Object>"), F, "REFERENCE_UNEXPECTED"),
    "transform of the properties": (
        put(
            f'SignedProperties"><Transforms><Transform Algorithm="{C14N}"',
            f'SignedProperties"><Transforms><Transform Algorithm="{DS}enveloped-signature"',
        ),
        F,
        "TRANSFORM_UNSUPPORTED",
    ),
    "certificate of another": (
        lambda document: re.sub(rb"(<xades:Cert>.*?<DigestValue>)[^<]+", rb"\g<1>AAAA", document, flags=re.DOTALL),
        N,
        "SIGNING_CERTIFICATE_MISMATCH",
    ),
    "no signing certificate": (
        without("<xades:SigningCertificateV2>", "</xades:SigningCertificateV2>"),
        F,
        "SIGNING_CERTIFICATE_MISSING",
    ),
    "signing certificate of the first version": (
        put("SigningCertificateV2", "SigningCertificate", 2),
        F,
        "SIGNING_CERTIFICATE_DEPRECATED",
    ),
    "address of the certificate": (put("<xades:Cert>", '<xades:Cert URI="http://localhost/">'), F, "SIGNATURE_STRUCTURE"),
    "SHA-1 of the certificate": (
        lambda document: re.sub(
            rb'(<xades:Cert>.*?Algorithm=")[^"]+', rb"\g<1>" + DS.encode() + b"sha1", document, flags=re.DOTALL
        ),
        C,
        "SIGNING_CERTIFICATE_DIGEST_WEAK",
    ),
    "signing time without zone": (put("04:05:06Z", "04:05:06"), F, "SIGNING_TIME_WRONG"),
    "signing time of another form": (put("2026-11-23T04:05:06Z", "20261123T040506Z"), F, "SIGNING_TIME_WRONG"),
    "signing time that is none": (put("2026-11-23T", "2026-13-23T"), F, "SIGNING_TIME_WRONG"),
    "signed time-stamp": (
        put("</xades:SignedProperties>", "<xades:SignedDataObjectProperties><xades:AllDataObjectsTimeStamp/></xades:SignedDataObjectProperties></xades:SignedProperties>"),
        F,
        "SIGNED_PROPERTY_UNEXPECTED",
    ),
    "format of no reference": (
        put("</xades:SignedProperties>", '<xades:SignedDataObjectProperties><xades:DataObjectFormat ObjectReference="#y"/></xades:SignedDataObjectProperties></xades:SignedProperties>'),
        F,
        "OBJECT_REFERENCE_WRONG",
    ),
    "other properties namespace": (put(XADES, "http://uri.etsi.org/01903/v1.1.1#"), F, "SIGNATURE_STRUCTURE"),
    "text in the properties": (put("<xades:SigningTime>", "x<xades:SigningTime>"), F, "SIGNATURE_STRUCTURE"),
    "equal Ids": (put("<THONGTINDONVI>", '<THONGTINDONVI Id="properties">'), F, "ID_NOT_UNIQUE"),
    "time-stamp that is not base64": (lambda document: with_timestamp(document, [b"x"]).replace(b"eA==", b"eA="), F, "BASE64_MALFORMED"),
    "five time-stamps": (lambda document: with_timestamp(document, [b"x"] * 5), F, "TIMESTAMPS_TOO_MANY"),
    "time-stamp in XML": (
        lambda document: with_timestamp(document, [b"x"]).replace(b"EncapsulatedTimeStamp", b"XMLTimeStamp"),
        F,
        "TIMESTAMP_STRUCTURE",
    ),
    "time-stamp in BER": (
        lambda document: with_timestamp(document, [b"x"]).replace(
            b"EncapsulatedTimeStamp>", b'EncapsulatedTimeStamp Encoding="http://uri.etsi.org/01903/v1.2.2#BER">', 1
        ),
        F,
        "TIMESTAMP_STRUCTURE",
    ),
    "counter-signature": (
        lambda document: with_timestamp(document, [b"x"]).replace(
            b"<xades:SignatureTimeStamp>",
            b'<xades:CounterSignature><Signature xmlns="' + DS.encode() + b'"/></xades:CounterSignature><xades:SignatureTimeStamp>',
        ),
        F,
        "SIGNATURE_NOT_UNIQUE",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_mutation_has_its_reason(name: str, signed: bytes) -> None:
    mutate, sub_indication, reason = MUTATIONS[name]
    document = mutate(signed)
    assert document != signed
    assert refused(document) == (sub_indication, reason)


DETACHED: dict[str, tuple[Mutation, str, str]] = {
    "reference into the signature": (put('URI="table.xml"', 'URI="#value"'), "SIGNED_DATA_NOT_FOUND", "REFERENCE_NOT_DOCUMENT"),
    "reference to the signature's file": (put('URI="table.xml"', 'URI=""'), "SIGNED_DATA_NOT_FOUND", "REFERENCE_NOT_DOCUMENT"),
    "transform": (
        put('URI="table.xml">', f'URI="table.xml"><Transforms><Transform Algorithm="{C14N}"/></Transforms>'),
        F,
        "TRANSFORM_UNSUPPORTED",
    ),
    "long address": (put('URI="table.xml"', f'URI="{"x" * 1025}"'), F, "REFERENCE_UNEXPECTED"),
    "other address": (put('URI="table.xml"', 'URI="http://localhost/"'), S, "SIGNATURE_VALUE_WRONG"),
    "two documents": (put("</SignedInfo>", SECOND.replace("#x", "other.xml") + "</SignedInfo>"), F, "REFERENCE_UNEXPECTED"),
    "plain": (without("<Object>", "</Object>"), F, "SIGNED_PROPERTIES_MISSING"),
    "in a document": (lambda file: b"<A>" + file + b"</A>", F, "SIGNATURE_MISPLACED"),
    "enveloping": (put("<Object>", "<Object>x"), F, "SIGNATURE_STRUCTURE"),
    "second Object": (put("</Object>", "</Object><Object/>"), F, "SIGNATURE_STRUCTURE"),
    "empty": (lambda _: b"", "NO_SIGNATURE_FOUND", "SIGNATURE_MISSING"),
    "too large": (lambda file: file + b" " * 65_536, F, "SIGNATURE_TOO_LARGE"),
    "changed value": (
        lambda file: re.sub(rb"(<SignatureValue[^>]*>)(.)", lambda m: m[1] + (b"A" if m[2] != b"A" else b"B"), file),
        S,
        "SIGNATURE_VALUE_WRONG",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DETACHED)
def test_every_mutation_of_a_detached_one_has_its_reason(name: str, detached: bytes) -> None:
    mutate, sub_indication, reason = DETACHED[name]
    file = mutate(detached)
    assert file != detached
    assert detached_refused(TABLE, file) == (sub_indication, reason)


def test_one_signature_in_a_file(detached: bytes) -> None:
    inner = f'<xades:CounterSignature><Signature xmlns="{DS}"/></xades:CounterSignature><xades:SignatureTimeStamp>'
    counter = with_timestamp(detached, [b"x"]).replace(b"<xades:SignatureTimeStamp>", inner.encode())
    assert detached_refused(TABLE, counter) == (F, "SIGNATURE_NOT_UNIQUE")


def test_time_stamps_are_made_in_one_way(signed: bytes) -> None:
    stamped = with_timestamp(signed, [b"x", b"y"], EXCLUSIVE)
    mixed = stamped.replace(f'<CanonicalizationMethod Algorithm="{EXCLUSIVE}"/><xades:Enc'.encode(), b"<xades:Enc", 1)
    assert mixed != stamped
    assert refused(mixed) == (F, "TIMESTAMP_STRUCTURE")


def test_a_signature_is_small(signed: bytes) -> None:
    many = put("</xades:SigningCertificateV2>", "<xades:Cert/>" * 500 + "</xades:SigningCertificateV2>")(signed)
    assert refused(many) == (F, "SIGNATURE_TOO_COMPLEX")


TEMPLATE = """<GIAMDINHHS xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xml:lang="vi">
  <THONGTINDONVI><MACSKCB>01001</MACSKCB></THONGTINDONVI>
  <CHUKYDONVI><{p}Signature xmlns{colon}="http://www.w3.org/2000/09/xmldsig#" Id="signature"><{p}SignedInfo>
    <{p}CanonicalizationMethod Algorithm="{method}"/>
    <{p}SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>
    <{p}Reference Id="document" URI=""><{p}Transforms><{p}Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>
      <{p}Transform Algorithm="{method}"/></{p}Transforms>
      <{p}DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><{p}DigestValue/></{p}Reference>
    <{p}Reference URI="#properties" Type="http://uri.etsi.org/01903#SignedProperties">
      <{p}Transforms><{p}Transform Algorithm="{method}"/></{p}Transforms>
      <{p}DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha512"/><{p}DigestValue/></{p}Reference>
  </{p}SignedInfo><{p}SignatureValue/><{p}KeyInfo><{p}X509Data><{p}X509Certificate>{certificate}</{p}X509Certificate></{p}X509Data></{p}KeyInfo>
  <{p}Object><x:QualifyingProperties xmlns:x="http://uri.etsi.org/01903/v1.3.2#" Target="#signature">
    <x:SignedProperties Id="properties"><x:SignedSignatureProperties><x:SigningTime>2026-11-23T11:05:06+07:00</x:SigningTime>
      <x:SigningCertificateV2><x:Cert><x:CertDigest><{p}DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>
        <{p}DigestValue>{digest}</{p}DigestValue></x:CertDigest></x:Cert></x:SigningCertificateV2>
    </x:SignedSignatureProperties></x:SignedProperties></x:QualifyingProperties></{p}Object></{p}Signature></CHUKYDONVI>
</GIAMDINHHS>"""
PROPERTIES = "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"


@pytest.mark.parametrize("method", [C14N, EXCLUSIVE])
@pytest.mark.parametrize("prefix", ["", "ds"])
def test_what_xmlsec1_signs(method: str, prefix: str, identities: Mapping[str, Identity], tmp_path: Path) -> None:
    identity = identities["p256"]
    template = TEMPLATE.format(
        p=f"{prefix}:" if prefix else "",
        colon=f":{prefix}" if prefix else "",
        method=method,
        certificate=base64.b64encode(identity.der).decode(),
        digest=base64.b64encode(hashlib.sha256(identity.der).digest()).decode(),
    )
    (tmp_path / "key.pem").write_bytes(identity.key_pem)
    (tmp_path / "template.xml").write_text(template)
    command: list[str | Path] = [xmlsec1(), "--sign", "--privkey-pem", tmp_path / "key.pem", "--id-attr:Id", PROPERTIES]
    signed = subprocess.run([*command, tmp_path / "template.xml"], check=True, capture_output=True).stdout
    facts = verify_xmldsig(signed)
    assert (facts.format, facts.level, facts.claimed_signing_time) == (
        SignatureFormat.XADES_ENVELOPED,
        SignatureLevel.B,
        AT,
    )
    assert refused(signed.replace(b"01001", b"79001")) == (H, "DIGEST_MISMATCH")
    assert refused(signed.replace(b"11:05:06", b"11:05:07")) == (H, "DIGEST_MISMATCH")


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("prefix", ["", "ds"])
def test_xmlsec1_agrees_with_the_writer_of_these_tests(
    exclusive: bool, prefix: str, identities: Mapping[str, Identity], tmp_path: Path
) -> None:
    signed = sign_xades(DOCUMENT, "CHUKYDONVI", identities["p256"], AT, exclusive=exclusive, prefix=prefix)
    (tmp_path / "cert.pem").write_text(identities["p256"].pem)
    (tmp_path / "signed.xml").write_bytes(signed)
    command: list[str | Path] = [
        xmlsec1(),
        "--verify",
        "--pubkey-cert-pem",
        tmp_path / "cert.pem",
        "--id-attr:Id",
        PROPERTIES,
    ]
    assert b"OK" in subprocess.run([*command, tmp_path / "signed.xml"], check=True, capture_output=True).stderr


def test_properties_without_a_reference_are_no_xmldsig(signed: bytes) -> None:
    """An Object that is not signed does not slip in beside a plain signature."""
    document = without('<Reference URI="#properties"', "</Reference>")(signed)
    assert refused(document) == (F, "SIGNED_PROPERTIES_NOT_SIGNED")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_changes_what_is_signed(data: st.DataObject, signed: bytes, detached: bytes) -> None:
    good = verify_xmldsig(signed)
    for file in (signed, detached):
        changed = bytearray(file)
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(changed) - 1))
            piece = data.draw(st.binary(max_size=4) | st.sampled_from([b"<", b">", b"&", b"<!--", b"<X/>", b'"', b"#"]))
            changed[place : place + data.draw(st.integers(0, 3))] = piece
        try:
            facts = verify_xmldsig(bytes(changed)) if file is signed else verify_xades_detached(TABLE, bytes(changed))
        except Finding:
            continue
        assert facts.covered == (good.covered if file is signed else TABLE)
        assert (facts.claimed_signing_time, facts.signer_certificate_der) == (AT, good.signer_certificate_der)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_by_name(content: bytes) -> None:
    for file in (content, f'<Signature xmlns="{DS}">'.encode() + content + b"</Signature>"):
        with pytest.raises(Finding):
            verify_xades_detached(TABLE, file)
