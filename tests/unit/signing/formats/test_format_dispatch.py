"""One door to every format: each signature is verified over the bytes it belongs to, and over no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.client.batch import make_batch

from services.signing.formats import Finding, places, verify
from services.signing.model import (
    BatchMembership,
    CarriedSignature,
    DocumentPart,
    SignatureFormat,
    SignedDocument,
)
from tests.unit.signing.formats.conftest import Identity
from tests.unit.signing.formats.test_format_jws import sign as sign_jws
from tests.unit.signing.formats.test_format_pades import plain_pdf
from tests.unit.signing.formats.test_format_pades import sign as sign_pdf
from tests.unit.signing.formats.xades_writer import sign_xades

AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
ENVELOPE = b"<GIAMDINHHS><MACSKCB>01001</MACSKCB><CHUKYDONVI/></GIAMDINHHS>"
TABLE = b"<CHI_TIEU><MA_LK>1</MA_LK><DU_PHONG/></CHI_TIEU>"
F = "FORMAT_FAILURE"


@pytest.fixture(scope="module")
def document(signers: Mapping[str, Pkcs12Signer], identities: Mapping[str, Identity]) -> SignedDocument:
    """A document with a signature in every place that there is."""
    content = sign_envelope(ENVELOPE, signers["p256"])
    part = DocumentPart("XML13", sign_xades(TABLE, "DU_PHONG", identities["p256"], AT), enveloped=True)
    manifest, paths = make_batch("01001", [b"other", content])
    text = manifest.encode()
    signatures = (
        CarriedSignature(SignatureFormat.CMS_DETACHED, sign_detached(content, signers["rsa"])),
        CarriedSignature(SignatureFormat.CMS_DETACHED, sign_detached(part.content, signers["rsa"]), part="XML13"),
        CarriedSignature(SignatureFormat.JWS_DETACHED, sign_jws(identities["p256"], content=content)),
        CarriedSignature(
            SignatureFormat.XADES_DETACHED,
            sign_xades(None, "", identities["p256"], AT, content=part.content),
            part="XML13",
        ),
        CarriedSignature(
            SignatureFormat.BATCH,
            sign_detached(text.encode(), signers["rsa"]),
            batch=BatchMembership(text, 1, paths[1]),
        ),
    )
    return SignedDocument(
        content=content,
        format=SignatureFormat.XMLDSIG_ENVELOPED,
        facility="01001",
        received_at=AT,
        signatures=signatures,
        parts=(part, DocumentPart("XML1", b"<A/>")),
    )


def test_every_place(document: SignedDocument) -> None:
    found = places(document)
    assert found == (None, document.parts[0], *document.signatures)
    facts = [verify(document, place) for place in found]
    assert [(one.format, one.part, one.facility) for one in facts] == [
        (SignatureFormat.XMLDSIG_ENVELOPED, "", ""),
        (SignatureFormat.XADES_ENVELOPED, "XML13", ""),
        (SignatureFormat.CMS_DETACHED, "", ""),
        (SignatureFormat.CMS_DETACHED, "XML13", ""),
        (SignatureFormat.JWS_DETACHED, "", ""),
        (SignatureFormat.XADES_DETACHED, "XML13", ""),
        (SignatureFormat.BATCH, "", "01001"),
    ]
    whole, part = document.content, document.parts[0].content
    assert [one.covered for one in facts[2:]] == [whole, part, whole, part, whole]


def refused(document: SignedDocument, place: CarriedSignature | DocumentPart | None) -> tuple[str, str]:
    with pytest.raises(Finding) as caught:
        verify(document, place)
    return str(caught.value.sub_indication), caught.value.reason


def test_a_signature_of_one_place_is_none_of_another(document: SignedDocument) -> None:
    """The signature over a part says nothing of the whole, nor the other way round."""
    for signature in document.signatures:
        other = replace(signature, part="" if signature.part else "XML13")
        sub_indication, _ = refused(document, other)
        expected = "SIG_CRYPTO_FAILURE" if signature.format is SignatureFormat.JWS_DETACHED else "HASH_FAILURE"
        assert sub_indication == expected
        assert refused(document, replace(signature, part="XML1"))[0] == expected


def test_what_is_not_where_it_should_be(document: SignedDocument) -> None:
    cms = document.signatures[0]
    assert refused(document, replace(cms, part="XML14")) == ("SIGNED_DATA_NOT_FOUND", "PART_MISSING")
    twice = replace(document, parts=(document.parts[0], document.parts[0]))
    assert refused(twice, document.signatures[1]) == (F, "PART_NOT_UNIQUE")
    assert refused(twice, document.parts[0]) == (F, "PART_NOT_UNIQUE")
    assert refused(document, replace(cms, content=b"")) == ("NO_SIGNATURE_FOUND", "SIGNATURE_MISSING")
    assert refused(document, replace(cms, content=b"x" * 65_537)) == (F, "SIGNATURE_TOO_LARGE")
    assert refused(replace(document, format=None), None) == ("NO_SIGNATURE_FOUND", "SIGNATURE_MISSING")
    for inside in (SignatureFormat.XMLDSIG_ENVELOPED, SignatureFormat.XADES_ENVELOPED, SignatureFormat.PADES):
        assert refused(document, replace(cms, format=inside)) == (F, "FORMAT_NOT_DETACHED")
    for beside in (SignatureFormat.CMS_DETACHED, SignatureFormat.BATCH, SignatureFormat.JWS_DETACHED):
        assert refused(replace(document, format=beside), None) == (F, "FORMAT_NOT_ENVELOPED")
    assert refused(document, replace(cms, format=SignatureFormat.BATCH)) == (F, "BATCH_MEMBERSHIP_MISSING")
    for format_ in (SignatureFormat.JWS_DETACHED, SignatureFormat.XADES_DETACHED):
        assert refused(document, replace(cms, format=format_))[0] == F


def test_every_format_has_its_verifier(document: SignedDocument) -> None:
    """A new format without a verifier would be refused in one of these two ways."""
    for format_ in SignatureFormat:
        beside = refused_or_facts(document, CarriedSignature(format_, b"x"))
        inside = refused_or_facts(replace(document, format=format_), None)
        assert (beside == "FORMAT_NOT_DETACHED") != (inside == "FORMAT_NOT_ENVELOPED")


def refused_or_facts(document: SignedDocument, place: CarriedSignature | None) -> str:
    try:
        return str(verify(document, place).format)
    except Finding as finding:
        return finding.reason


def test_a_pdf(identities: Mapping[str, Identity]) -> None:
    pdf = sign_pdf(plain_pdf(), identities["p256"])
    document = SignedDocument(pdf, SignatureFormat.PADES, "01001", AT)
    assert places(document) == (None,)
    assert verify(document).format is SignatureFormat.PADES


def test_a_document_without_signatures_has_a_place_that_finds_none() -> None:
    document = SignedDocument(b"x", None, "01001", AT)
    assert places(document) == (None,)
    assert refused(document, None) == ("NO_SIGNATURE_FOUND", "SIGNATURE_MISSING")


def test_places_are_bounded(document: SignedDocument) -> None:
    for many in (
        replace(document, signatures=tuple(document.signatures[:1]) * 9),
        replace(document, parts=tuple(document.parts[1:]) * 17),
    ):
        with pytest.raises(Finding) as caught:
            places(many)
        assert caught.value.reason == "SIGNATURES_TOO_MANY"
