"""The XMLDSig profile: what other programs sign verifies, and every mutation is refused by its own reason."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.xmldsig import sign_envelope
from lxml import etree

from deploy.local.pki import Pki
from services.signing.formats.facts import Finding, SignatureScope
from services.signing.formats.xmldsig import DEEPEST_ELEMENT, LARGEST_DOCUMENT, verify_xmldsig
from tests.unit.signing.formats.conftest import Identity

DATA = Path(__file__).parent / "data"
DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
ENVELOPED = f'<Transform Algorithm="{DS}enveloped-signature"></Transform>'
INCLUSIVE = f'<Transform Algorithm="{C14N}"></Transform>'
DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<GIAMDINHHS xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <THONGTINDONVI><MACSKCB>01001</MACSKCB></THONGTINDONVI>
  <THONGTINHOSO><NGAYLAP>20261123</NGAYLAP><HO_TEN>Nguyễn &amp; Thị</HO_TEN></THONGTINHOSO>
  <CHUKYDONVI/>
</GIAMDINHHS>""".encode()

Mutation = Callable[[bytes], bytes]


@pytest.fixture(scope="session")
def signed(signers: Mapping[str, Pkcs12Signer]) -> bytes:
    return sign_envelope(DOCUMENT, signers["rsa"])


def refused(document: bytes) -> tuple[str, str]:
    with pytest.raises(Finding) as caught:
        verify_xmldsig(document)
    return str(caught.value.sub_indication), caught.value.reason


def put(old: str, new: str, count: int = 1) -> Mutation:
    def change(document: bytes) -> bytes:
        assert old.encode() in document
        return document.replace(old.encode(), new.encode(), count)

    return change


def signature_of(document: bytes) -> bytes:
    return document[document.index(b"<Signature ") : document.index(b"</Signature>") + len(b"</Signature>")]


def moved(before: str, after: str = "") -> Mutation:
    """Takes the signature out of CHUKYDONVI and puts it somewhere else."""

    def change(document: bytes) -> bytes:
        signature = signature_of(document)
        return document.replace(signature, b"").replace(
            before.encode(), before.encode() + signature + after.encode(), 1
        )

    return change


def replaced(name: str, content: bytes) -> Mutation:
    """Puts other base64 into an element."""
    element = f"<{name}>".encode() + base64.b64encode(content)
    return lambda document: re.sub(f"<{name}>[^<]*".encode(), lambda _: element, document)


def flip(name: str, place: int = 10) -> Mutation:
    """Changes one letter of the base64 in an element."""

    def change(document: bytes) -> bytes:
        start = document.index(f"<{name}>".encode()) + len(name) + 2 + place
        letter = b"A" if document[start : start + 1] != b"A" else b"B"
        return document[:start] + letter + document[start + 1 :]

    return change


def wrapped(document: bytes) -> bytes:
    """The signed document as a part of another one."""
    inner = document.split(b"?>\n", 1)[1]
    return b"<GIAMDINHHS><MACSKCB>79001</MACSKCB>" + inner + b"<CHUKYDONVI/></GIAMDINHHS>"


def wrapped_in_place(document: bytes) -> bytes:
    """Another document that carries the signed one beside its signature."""
    inner = document.split(b"?>\n", 1)[1].replace(signature_of(document), b"")
    holder = b"<CHUKYDONVI>" + signature_of(document) + b"</CHUKYDONVI>"
    return b"<GIAMDINHHS><MACSKCB>79001</MACSKCB><OLD>" + inner + b"</OLD>" + holder + b"</GIAMDINHHS>"


def in_object(document: bytes) -> bytes:
    return document.replace(b"</KeyInfo>", b"</KeyInfo><Object><MACSKCB>79001</MACSKCB></Object>")


def new_digest(document: bytes) -> bytes:
    """Changes the document and puts the digest right, as one without the key can."""
    altered = document.replace(b"01001", b"79001")
    bare = altered.replace(signature_of(altered), b"")
    digest = hashlib.sha256(etree.tostring(etree.fromstring(bare), method="c14n")).digest()
    value = b"<DigestValue>" + base64.b64encode(digest) + b"</DigestValue>"
    return re.sub(rb"<DigestValue>[^<]+</DigestValue>", lambda _: value, altered)


def utf16(document: bytes) -> bytes:
    return document.decode().replace("UTF-8", "UTF-16").encode("utf-16")


def second_certificate(document: bytes) -> bytes:
    certificate = document[document.index(b"<X509Certificate>") : document.index(b"</X509Data>")]
    return document.replace(certificate, certificate * 2)


def second_data(document: bytes) -> bytes:
    data = document[document.index(b"<X509Data>") : document.index(b"</KeyInfo>")]
    return document.replace(data, data * 2)


def deep(levels: int) -> Mutation:
    return put("<MACSKCB>01001</MACSKCB>", "<A>" * levels + "</A>" * levels)


XPATH = '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><XPath>not(//HO_TEN)</XPath></Transform>'
BOMB = '<!DOCTYPE G [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'
XXE = '<!DOCTYPE G [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
F, H, S, C, N = (
    "FORMAT_FAILURE",
    "HASH_FAILURE",
    "SIG_CRYPTO_FAILURE",
    "CRYPTO_CONSTRAINTS_FAILURE",
    "NO_SIGNING_CERTIFICATE_FOUND",
)

MUTATIONS: dict[str, tuple[Mutation, str, str]] = {
    # the document
    "changed byte": (put("01001", "01002"), H, "DIGEST_MISMATCH"),
    "added white space": (put("</THONGTINDONVI>", " </THONGTINDONVI>"), H, "DIGEST_MISMATCH"),
    "added element": (put("<NGAYLAP>", "<X/><NGAYLAP>"), H, "DIGEST_MISMATCH"),
    "added attribute": (put("<NGAYLAP>", '<NGAYLAP a="1">'), H, "DIGEST_MISMATCH"),
    "added namespace": (put("<GIAMDINHHS ", '<GIAMDINHHS xmlns:a="urn:a" '), H, "DIGEST_MISMATCH"),
    "text beside the signature": (put("<CHUKYDONVI>", "<CHUKYDONVI>x"), H, "DIGEST_MISMATCH"),
    "changed digest": (flip("DigestValue"), H, "DIGEST_MISMATCH"),
    "changed document and digest": (new_digest, S, "SIGNATURE_VALUE_WRONG"),
    # the signature value and its key
    "changed signature value": (flip("SignatureValue"), S, "SIGNATURE_VALUE_WRONG"),
    "ECDSA over an RSA key": (put(MORE + "rsa-sha256", MORE + "ecdsa-sha256"), S, "KEY_TYPE_MISMATCH"),
    "other digest of the same key": (put(MORE + "rsa-sha256", MORE + "rsa-sha512"), S, "SIGNATURE_VALUE_WRONG"),
    "PSS for PKCS#1 v1.5": (
        put(MORE + "rsa-sha256", "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1"),
        S,
        "SIGNATURE_VALUE_WRONG",
    ),
    "white space in SignedInfo": (put("<SignatureMethod", " <SignatureMethod"), S, "SIGNATURE_VALUE_WRONG"),
    "inherited xml: attribute": (put("<GIAMDINHHS ", '<GIAMDINHHS xml:lang="vi" '), H, "DIGEST_MISMATCH"),
    # algorithms
    "SHA-1 signature": (put(MORE + "rsa-sha256", DS + "rsa-sha1"), C, "SIGNATURE_ALGORITHM_WEAK"),
    "HMAC": (put(MORE + "rsa-sha256", DS + "hmac-sha1"), C, "SIGNATURE_ALGORITHM_UNSUPPORTED"),
    "HMAC-SHA256": (put(MORE + "rsa-sha256", MORE + "hmac-sha256"), C, "SIGNATURE_ALGORITHM_UNSUPPORTED"),
    "SHA-1 digest": (put("http://www.w3.org/2001/04/xmlenc#sha256", DS + "sha1"), C, "DIGEST_ALGORITHM_WEAK"),
    "unknown digest": (put("http://www.w3.org/2001/04/xmlenc#sha256", "urn:x"), C, "DIGEST_ALGORITHM_UNSUPPORTED"),
    "C14N with comments": (
        put(f'Method Algorithm="{C14N}', f'Method Algorithm="{C14N}#WithComments'),
        F,
        "CANONICALIZATION_UNSUPPORTED",
    ),
    "C14N 1.1": (
        put(f'Method Algorithm="{C14N}', 'Method Algorithm="http://www.w3.org/2006/12/xml-c14n11'),
        F,
        "CANONICALIZATION_UNSUPPORTED",
    ),
    "output length": (
        put('rsa-sha256"></SignatureMethod>', 'rsa-sha256"><HMACOutputLength>0</HMACOutputLength></SignatureMethod>'),
        F,
        "ALGORITHM_PARAMETERS",
    ),
    # reference and transforms
    "wrong URI": (put('URI=""', 'URI="#x"'), F, "REFERENCE_NOT_WHOLE"),
    "no URI": (put(' URI=""', ""), F, "REFERENCE_NOT_WHOLE"),
    "remote URI": (put('URI=""', 'URI="http://localhost/x"'), F, "REFERENCE_NOT_WHOLE"),
    "XPointer": (put('URI=""', 'URI="#xpointer(/)"'), F, "REFERENCE_NOT_WHOLE"),
    "type of reference": (put('URI=""', 'URI="" Type="urn:x"'), F, "SIGNATURE_STRUCTURE"),
    "second reference": (put("</Reference>", '</Reference><Reference URI=""/>'), F, "SIGNATURE_STRUCTURE"),
    "XPath transform": (put(INCLUSIVE, XPATH), F, "TRANSFORM_UNSUPPORTED"),
    "XPath as a third transform": (put(INCLUSIVE, INCLUSIVE + XPATH), F, "TRANSFORM_UNSUPPORTED"),
    "XSLT transform": (
        put(INCLUSIVE, '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>'),
        F,
        "TRANSFORM_UNSUPPORTED",
    ),
    "base64 transform": (put(INCLUSIVE, f'<Transform Algorithm="{DS}base64"/>'), F, "TRANSFORM_UNSUPPORTED"),
    "extra transform": (put(INCLUSIVE, INCLUSIVE * 2), F, "TRANSFORM_UNSUPPORTED"),
    "transforms in the other order": (put(ENVELOPED + INCLUSIVE, INCLUSIVE + ENVELOPED), F, "TRANSFORM_UNSUPPORTED"),
    "without the enveloped transform": (put(ENVELOPED, ""), F, "TRANSFORM_UNSUPPORTED"),
    "without transforms": (put(ENVELOPED + INCLUSIVE, ""), F, "SIGNATURE_STRUCTURE"),
    "transform with comments": (
        put(f'<Transform Algorithm="{C14N}"', f'<Transform Algorithm="{C14N}#WithComments"'),
        F,
        "TRANSFORM_UNSUPPORTED",
    ),
    "transform with parameters": (
        put(f'{C14N}"></Transform>', f'{C14N}"><InclusiveNamespaces PrefixList="a"/></Transform>'),
        F,
        "ALGORITHM_PARAMETERS",
    ),
    # structure and place of the signature
    "no signature": (
        lambda document: document.replace(signature_of(document), b""),
        "NO_SIGNATURE_FOUND",
        "SIGNATURE_MISSING",
    ),
    "two signatures": (
        lambda document: document.replace(signature_of(document), signature_of(document) * 2),
        F,
        "SIGNATURE_NOT_UNIQUE",
    ),
    "signature moved under the root": (moved("</THONGTINHOSO>"), F, "SIGNATURE_MISPLACED"),
    "signature moved into a record": (moved("<NGAYLAP>20261123</NGAYLAP>"), F, "SIGNATURE_MISPLACED"),
    "CHUKYDONVI moved down": (
        lambda document: document.replace(b"<CHUKYDONVI>", b"<X><CHUKYDONVI>").replace(
            b"</CHUKYDONVI>", b"</CHUKYDONVI></X>"
        ),
        F,
        "SIGNATURE_MISPLACED",
    ),
    "second CHUKYDONVI": (put("<CHUKYDONVI>", "<CHUKYDONVI/><CHUKYDONVI>"), F, "SIGNATURE_MISPLACED"),
    "element beside the signature": (put("<CHUKYDONVI>", "<CHUKYDONVI><X/>"), F, "SIGNATURE_MISPLACED"),
    "wrapped as a part": (wrapped, F, "SIGNATURE_MISPLACED"),
    "wrapped with the signature in place": (wrapped_in_place, F, "SIGNATURE_MISPLACED"),
    "signature as the root": (signature_of, F, "SIGNATURE_MISPLACED"),
    "Object in the signature": (in_object, F, "SIGNATURE_STRUCTURE"),
    "second SignedInfo": (put("</SignedInfo>", "</SignedInfo><SignedInfo/>"), F, "SIGNATURE_STRUCTURE"),
    "text in SignedInfo": (put("<SignatureMethod", "x<SignatureMethod"), F, "SIGNATURE_STRUCTURE"),
    "foreign element in SignedInfo": (
        put("<SignatureMethod", '<X xmlns=""/><SignatureMethod'),
        F,
        "SIGNATURE_STRUCTURE",
    ),
    "children in another namespace": (put("<SignedInfo>", '<SignedInfo xmlns="urn:x">'), F, "SIGNATURE_STRUCTURE"),
    "attribute on SignedInfo": (put("<SignedInfo>", '<SignedInfo a="1">'), F, "SIGNATURE_STRUCTURE"),
    "element in SignatureValue": (put("<SignatureValue>", "<SignatureValue><X/>"), F, "SIGNATURE_STRUCTURE"),
    "two equal Ids": (
        lambda document: put("<SignedInfo>", '<SignedInfo Id="a">')(put("<KeyInfo>", '<KeyInfo Id="a">')(document)),
        F,
        "ID_NOT_UNIQUE",
    ),
    # certificates
    "two certificates": (second_certificate, F, "CERTIFICATE_NOT_UNIQUE"),
    "two X509Data": (second_data, F, "SIGNATURE_STRUCTURE"),
    "no certificate": (
        lambda document: re.sub(rb"<X509Certificate>.*</X509Certificate>", b"", document),
        F,
        "CERTIFICATE_NOT_UNIQUE",
    ),
    "no KeyInfo": (lambda document: re.sub(rb"<KeyInfo>.*</KeyInfo>", b"", document), F, "SIGNATURE_STRUCTURE"),
    "KeyValue": (put("<KeyInfo>", "<KeyInfo><KeyValue/>"), F, "SIGNATURE_STRUCTURE"),
    "KeyName": (put("<X509Data>", "<X509Data><KeyName>k</KeyName>"), F, "KEY_INFO_UNEXPECTED"),
    "CRL": (put("<X509Data>", "<X509Data><X509CRL>AA==</X509CRL>"), F, "KEY_INFO_UNEXPECTED"),
    "retrieval": (put("<KeyInfo>", '<KeyInfo><RetrievalMethod URI="http://localhost/"/>'), F, "SIGNATURE_STRUCTURE"),
    "broken certificate": (flip("X509Certificate", 0), N, "CERTIFICATE_UNREADABLE"),
    "certificate that is not base64": (put("<X509Certificate>", "<X509Certificate>!"), F, "BASE64_MALFORMED"),
    "empty signature value": (
        lambda document: re.sub(rb"<SignatureValue>[^<]+", b"<SignatureValue>", document),
        F,
        "BASE64_MALFORMED",
    ),
    "signature value without padding": (put("==</SignatureValue>", "</SignatureValue>"), F, "BASE64_MALFORMED"),
    # parser differentials and bombs
    "comment in a value": (put("01001", "01<!-- -->001"), F, "COMMENT_FORBIDDEN"),
    "comment before the root": (put("<GIAMDINHHS", "<!-- --><GIAMDINHHS"), F, "COMMENT_FORBIDDEN"),
    "comment after the root": (lambda document: document + b"<!-- -->", F, "COMMENT_FORBIDDEN"),
    "comment in DigestValue": (put("<DigestValue>", "<DigestValue><!-- -->"), F, "COMMENT_FORBIDDEN"),
    "processing instruction": (put("01001", "01<?x y?>001"), F, "COMMENT_FORBIDDEN"),
    "stylesheet": (put("<GIAMDINHHS", "<?xml-stylesheet href='x'?><GIAMDINHHS"), F, "COMMENT_FORBIDDEN"),
    "DTD": (put("<GIAMDINHHS", "<!DOCTYPE GIAMDINHHS><GIAMDINHHS"), F, "DTD_FORBIDDEN"),
    "external entity": (
        lambda document: put("01001", "&x;")(put("<GIAMDINHHS", XXE + "<GIAMDINHHS")(document)),
        F,
        "DTD_FORBIDDEN",
    ),
    "entity bomb": (
        lambda document: put("01001", "&c;")(put("<GIAMDINHHS", BOMB + "<GIAMDINHHS")(document)),
        F,
        "DTD_FORBIDDEN",
    ),
    "undefined entity": (put("01001", "&x;"), F, "XML_MALFORMED"),
    "UTF-16": (utf16, F, "ENCODING_UNSUPPORTED"),
    "second encoding": (put("UTF-8", "windows-1258"), F, "ENCODING_UNSUPPORTED"),
    "latin-1": (put("UTF-8", "ISO-8859-1"), F, "ENCODING_UNSUPPORTED"),
    "unknown encoding": (put("UTF-8", "klingon"), F, "XML_MALFORMED"),
    "bytes that are not UTF-8": (lambda document: document.replace(b"01001", b"\xff\xfe"), F, "XML_MALFORMED"),
    "NUL": (put("01001", "\x00"), F, "ENCODING_UNSUPPORTED"),
    "XML 1.1": (put('version="1.0"', 'version="1.1"'), F, "DTD_FORBIDDEN"),
    "deep nesting": (deep(DEEPEST_ELEMENT), F, "DOCUMENT_TOO_DEEP"),
    "very deep nesting": (deep(40_000), F, "DOCUMENT_TOO_DEEP"),
    "too many elements": (put("<NGAYLAP>", "<A/>" * 100_000 + "<NGAYLAP>"), F, "DOCUMENT_TOO_COMPLEX"),
    "too many attributes": (
        put("<NGAYLAP>", "<A " + " ".join(f'a{n}=""' for n in range(101)) + "/><NGAYLAP>"),
        F,
        "DOCUMENT_TOO_COMPLEX",
    ),
    "far too many attributes": (
        put("<NGAYLAP>", "<A " + " ".join(f'a{n}=""' for n in range(150_000)) + "/><NGAYLAP>"),
        F,
        "DOCUMENT_TOO_COMPLEX",
    ),
    "too many namespaces": (
        put("<NGAYLAP>", "".join(f'<A xmlns:n{n}="urn:{n}"/>' for n in range(70)) + "<NGAYLAP>"),
        F,
        "DOCUMENT_TOO_COMPLEX",
    ),
    "too large": (lambda document: document + b" " * LARGEST_DOCUMENT, F, "DOCUMENT_TOO_LARGE"),
    "cut off": (lambda document: document[:-20], F, "XML_MALFORMED"),
    "not XML": (lambda _: b"%PDF-1.7", F, "XML_MALFORMED"),
    "empty": (lambda _: b"", F, "XML_MALFORMED"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_mutation_has_its_reason(name: str, signed: bytes) -> None:
    mutate, sub_indication, reason = MUTATIONS[name]
    document = mutate(signed)
    assert document != signed
    assert refused(document) == (sub_indication, reason)


@pytest.mark.parametrize("path", sorted(DATA.glob("xmlsec1-[re]*.xml")), ids=lambda path: path.stem)
def test_what_xmlsec1_signed(path: Path) -> None:
    facts = verify_xmldsig(path.read_bytes())
    assert facts.algorithm == ("rsa-pkcs1v15-sha256" if "rsa" in path.stem else "ecdsa-p256-sha256")
    assert (facts.scope, facts.digest_algorithm, facts.claimed_signing_time) == (SignatureScope.FULL, "sha256", None)
    assert refused(path.read_bytes().replace(b"01001", b"01002")) == (H, "DIGEST_MISMATCH")


def test_sha1_of_xmlsec1_is_refused() -> None:
    assert refused((DATA / "xmlsec1-sha1.xml").read_bytes()) == (C, "SIGNATURE_ALGORITHM_WEAK")


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_facts(kind: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    facts = verify_xmldsig(sign_envelope(DOCUMENT, signers[kind]))
    assert facts.signer_certificate_der == signers[kind].certificate
    # What was digested is the document without its signature, and nothing else.
    assert facts.covered == etree.tostring(etree.fromstring(DOCUMENT), method="c14n")


def test_another_registered_key_does_not_fit(signed: bytes, pki: Pki) -> None:
    document = replaced("X509Certificate", pki.signer("01001").certificate_der)(signed)
    assert refused(document) == (S, "SIGNATURE_VALUE_WRONG")


@pytest.mark.parametrize("algorithm", ["rsa1024", "rsa2048"])
def test_short_keys_are_refused(algorithm: str, pki: Pki, signed: bytes) -> None:
    document = replaced("X509Certificate", pki.signer("01001", algorithm=algorithm).certificate_der)(signed)
    expected = (C, "KEY_TOO_SMALL") if algorithm == "rsa1024" else (S, "SIGNATURE_VALUE_WRONG")
    assert refused(document) == expected


def test_hints_about_the_certificate_are_ignored(signed: bytes) -> None:
    hints = "<X509Data><X509SubjectName>CN=someone</X509SubjectName><X509IssuerSerial><X509SerialNumber>1</X509SerialNumber></X509IssuerSerial>"
    assert verify_xmldsig(put("<X509Data>", hints)(signed)) == verify_xmldsig(signed)


def test_base64_may_be_broken_over_lines_as_java_does(signed: bytes) -> None:
    assert verify_xmldsig(put("<SignatureValue>", "<SignatureValue>&#13;\n ")(signed)) == verify_xmldsig(signed)


def test_a_byte_order_mark_is_allowed(signed: bytes) -> None:
    assert verify_xmldsig(b"\xef\xbb\xbf" + signed).covered == verify_xmldsig(signed).covered


def test_consumers_read_the_canonical_bytes(signers: Mapping[str, Pkcs12Signer]) -> None:
    document = DOCUMENT.replace(b"01001", b"<![CDATA[01]]>0&#48;1")
    covered = verify_xmldsig(sign_envelope(document, signers["rsa"])).covered
    assert b"<MACSKCB>01001</MACSKCB>" in covered
    assert etree.fromstring(covered).findtext("THONGTINDONVI/MACSKCB") == "01001"


HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3-256": hashes.SHA3_256(),
    "sha3-384": hashes.SHA3_384(),
    "sha3-512": hashes.SHA3_512(),
}
ALGORITHMS = [
    *[(kind, digest) for kind in ("pss", "p256", "p384", "p521") for digest in HASHES],
    *[("rsa", digest) for digest in HASHES if "sha3-" not in digest],
    ("ed25519", "sha512"),
]


def method_of(kind: str, digest: str) -> str:
    """Name of a signature algorithm (RFC 9231)."""
    if kind == "ed25519":
        return "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519"
    if kind == "pss":
        return f"http://www.w3.org/2007/05/xmldsig-more#{digest}-rsa-MGF1"
    if kind != "rsa" and "sha3-" in digest:
        return f"http://www.w3.org/2021/04/xmldsig-more#ecdsa-{digest}"
    return f"{MORE}{'rsa' if kind == 'rsa' else 'ecdsa'}-{digest}"


@pytest.mark.parametrize(("kind", "digest"), ALGORITHMS)
def test_every_listed_algorithm(kind: str, digest: str, identities: Mapping[str, Identity], signed: bytes) -> None:
    """Signs by hand what the agent does not: other digests, PSS, other curves."""
    identity = identities["rsa" if kind == "pss" else kind]
    key, hash_ = identity.key, HASHES[digest]
    document = put(MORE + "rsa-sha256", method_of(kind, digest))(signed)
    root = etree.fromstring(document)
    information = root.find(f".//{{{DS}}}SignedInfo")
    assert information is not None
    lines = etree.tostring(etree.fromstring(etree.tostring(information)), method="c14n")
    if isinstance(key, rsa.RSAPrivateKey):
        scheme = padding.PSS(padding.MGF1(hash_), hash_.digest_size) if kind == "pss" else padding.PKCS1v15()
        value = key.sign(lines, scheme, hash_)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        width = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(lines, ec.ECDSA(hash_)))
        value = r.to_bytes(width, "big") + s.to_bytes(width, "big")
    else:
        value = key.sign(lines)
    document = replaced("SignatureValue", value)(document)
    document = replaced("X509Certificate", identity.der)(document)
    expected = {"rsa": "rsa-pkcs1v15", "pss": "rsa-pss"}.get(kind, f"ecdsa-{kind}")
    facts = verify_xmldsig(document)
    assert facts.algorithm == (kind if kind == "ed25519" else f"{expected}-{digest}")
    assert refused(flip("SignatureValue", 20)(document)) == (S, "SIGNATURE_VALUE_WRONG")


@pytest.mark.parametrize("digest", [name for name in HASHES if name != "sha256"])
def test_every_listed_digest(digest: str, signed: bytes) -> None:
    """The digest of the content is right, so the signature value is what does not hold."""
    names = {
        "sha384": MORE + "sha384",
        "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
    }
    name = names.get(digest, f"http://www.w3.org/2007/05/xmldsig-more#{digest}")
    bare = signed.replace(signature_of(signed), b"")
    hasher = hashlib.new(digest.replace("-", "_"), etree.tostring(etree.fromstring(bare), method="c14n"))
    changed = put("http://www.w3.org/2001/04/xmlenc#sha256", name)(replaced("DigestValue", hasher.digest())(signed))
    assert refused(changed) == (S, "SIGNATURE_VALUE_WRONG")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_of_the_content_survives(data: st.DataObject, signed: bytes) -> None:
    """Whatever is changed, either the signature is refused or what it covers is exactly what was signed."""
    covered = verify_xmldsig(signed).covered
    document = bytearray(signed)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(document) - 1))
        piece = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"<", b">", b"&", b"<!--", b"<X/>", b"</", b"'", b'"'])
        )
        document[place : place + data.draw(st.integers(0, 3))] = piece
    try:
        facts = verify_xmldsig(bytes(document))
    except Finding:
        return
    assert facts.covered == covered


def test_the_worst_document_within_bounds_is_judged_quickly(signed: bytes) -> None:
    """300 elements with 90 attributes each, and 60 namespaces around 90,000 elements."""
    attributes = " ".join(f'a{number}=""' for number in range(90))
    names = "".join(f'<N xmlns:n{number}="urn:{number}">' for number in range(60))
    for filling in (f"<A {attributes}/>" * 300, names + "<B/>" * 90_000 + "</N>" * 60):
        started = time.process_time()
        assert refused(put("<NGAYLAP>", filling + "<NGAYLAP>")(signed)) == (H, "DIGEST_MISMATCH")
        assert time.process_time() - started < 5


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_by_name(content: bytes) -> None:
    for document in (content, b"<G><CHUKYDONVI>" + content + b"</CHUKYDONVI></G>"):
        with pytest.raises(Finding):
            verify_xmldsig(document)
