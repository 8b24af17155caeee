"""Strict profile of XML signatures (W3C XML Signature 1.1): plain as the insurance portal practises it, or XAdES-B/T.

Accepted in a document is exactly this: one Signature, the only child element of CHUKYDONVI under the root (or, in an
inner table, of a DU_PHONG), made of SignedInfo, SignatureValue, KeyInfo and for XAdES one Object. Exactly these
references: the document with URI="" and the transforms `enveloped-signature` and at most one C14N; for XAdES also the
own SignedProperties, and optionally the own KeyInfo. What a reference covers is never looked up by its address: the
bytes come from the place of the element in the one Signature, and the address has to fit. Everything else is refused,
because what is not parsed cannot be misread.

Detached is the same Signature in a file of its own, XAdES only: the reference to the document has any address, which
nobody follows, and no transforms, so the exact bytes at hand are digested.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import islice

from lxml import etree

from services.signing.formats.facts import Finding, SignatureFacts, SignatureScope, SubIndication
from services.signing.formats.keys import signer_certificate, verify
from services.signing.formats.markup import (
    DEEPEST_ELEMENT,
    DS,
    ID,
    LARGEST_DOCUMENT,
    base64_of,
    canonical,
    canonical_subtree,
    check_ids,
    children,
    malformed,
    parse_document,
    text_of,
)
from services.signing.formats.signed_info import (
    C14N_METHODS,
    ENVELOPED,
    Reference,
    SignedInfo,
    read_certificates,
    read_signed_info,
)
from services.signing.formats.xades import SIGNED_PROPERTIES, Properties, read_properties
from services.signing.model import SignatureFormat, SignatureLevel

__all__ = [
    "DEEPEST_ELEMENT",
    "LARGEST_DOCUMENT",
    "LARGEST_SIGNATURE",
    "Holder",
    "parse_document",
    "verify_xades_detached",
    "verify_xmldsig",
]

LARGEST_SIGNATURE = 64 * 1024
"""Longest signature file that is parsed, in bytes."""

MOST_ELEMENTS = 500
"""Most elements of a Signature; parts of it are canonicalised up to four times."""

_ENVELOPED_TRANSFORMS = [(ENVELOPED,), *[(ENVELOPED, name) for name in C14N_METHODS]]


class Holder(Enum):
    """The element that holds the signature."""

    FACILITY = "CHUKYDONVI"
    """The facility's signature over the whole envelope: one such element, under the root."""

    RESERVED = "DU_PHONG"
    """The reserve field, in which practice puts the signature over an inner table (format 3176)."""

    TRUST_LIST = "{http://uri.etsi.org/02231/v2#}TrustServiceStatusList"
    """The root of a trusted list, whose last child is the signature of its scheme operator (ETSI TS 119 612 §5.7.1)."""


@dataclass(frozen=True)
class _Signature:
    """A Signature that is taken apart: the elements that are digested or canonicalised, and what they say."""

    element: etree._Element
    info_element: etree._Element
    value_element: etree._Element
    key_info: etree._Element
    info: SignedInfo
    value: bytes
    certificate: bytes
    embedded: tuple[bytes, ...]
    properties: Properties | None


def verify_xmldsig(document: bytes, holder: Holder = Holder.FACILITY) -> SignatureFacts:
    """Verifies the signature in a document over the whole of it, plain or XAdES as found. Raises a Finding; never
    anything else, whatever the bytes.
    """
    root = parse_document(document)
    element, parent = _in_document(root, holder)
    signature = _read(element)
    reference = _document_reference(signature, enveloped=True)
    to_verify, timestamped = _inner_bytes(signature, reference)
    # The enveloped-signature transform: the element goes, the white space behind it stays.
    tail, before = element.tail, element.getprevious()
    parent.remove(element)
    if before is None:
        parent.text = (parent.text or "") + (tail or "") or None
    else:
        before.tail = (before.tail or "") + (tail or "") or None
    covered = canonical(root, C14N_METHODS.get(reference.transforms[-1], False))
    plain = signature.properties is None
    format_ = SignatureFormat.XMLDSIG_ENVELOPED if plain else SignatureFormat.XADES_ENVELOPED
    return _facts(format_, signature, reference, covered, to_verify, timestamped)


def verify_xades_detached(content: bytes, signature: bytes) -> SignatureFacts:
    """Verifies a XAdES signature in a file of its own over exactly `content`. Raises a Finding; never anything else,
    whatever the bytes.
    """
    if not signature:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "there is no signature")
    if len(signature) > LARGEST_SIGNATURE:
        raise malformed("SIGNATURE_TOO_LARGE", f"a signature has at most {LARGEST_SIGNATURE} bytes")
    root = parse_document(signature)
    if root.tag != f"{{{DS}}}Signature":
        raise malformed("SIGNATURE_MISPLACED", "the root of the file is not a Signature")
    if sum(1 for _ in root.iter(f"{{{DS}}}Signature")) != 1:
        raise malformed("SIGNATURE_NOT_UNIQUE", "the file has more than one signature")
    parsed = _read(root)
    if parsed.properties is None:
        raise malformed("SIGNED_PROPERTIES_MISSING", "a detached XML signature is XAdES")
    reference = _document_reference(parsed, enveloped=False)
    to_verify, timestamped = _inner_bytes(parsed, reference)
    return _facts(SignatureFormat.XADES_DETACHED, parsed, reference, content, to_verify, timestamped)


def _in_document(root: etree._Element, holder: Holder) -> tuple[etree._Element, etree._Element]:
    """The document's one Signature and the element that holds it."""
    found = list(root.iter(f"{{{DS}}}Signature"))
    if not found:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "the document has no signature")
    if len(found) > 1:
        raise malformed("SIGNATURE_NOT_UNIQUE", "the document has more than one signature")
    parent = found[0].getparent()
    if holder is Holder.TRUST_LIST:
        if parent is not root or root.tag != holder.value or found[0].getnext() is not None:
            raise malformed("SIGNATURE_MISPLACED", "the signature is not the last child of a trusted list")
        return found[0], root
    if parent is None or parent.tag != holder.value or len(parent) != 1:
        raise malformed("SIGNATURE_MISPLACED", f"the signature is not the only child of a {holder.value}")
    if holder is Holder.FACILITY and (parent.getparent() is not root or sum(1 for _ in root.iter(holder.value)) != 1):
        raise malformed("SIGNATURE_MISPLACED", f"a document has one {holder.value}, under its root")
    return found[0], parent


def _read(signature: etree._Element) -> _Signature:
    """Takes a Signature of exactly three or four children apart."""
    if next(islice(signature.iter(), MOST_ELEMENTS, None), None) is not None:
        raise malformed("SIGNATURE_TOO_COMPLEX", f"a signature has at most {MOST_ELEMENTS} elements")
    check_ids(signature)
    names = ["SignedInfo", "SignatureValue", "KeyInfo", "Object"][: max(3, len(signature))]
    if len(signature) > 4:
        raise malformed("SIGNATURE_STRUCTURE", "Signature holds at most one Object")
    info_element, value, key_info, *objects = children(signature, *names, attributes=ID)
    text_of(value, ID)
    embedded = read_certificates(key_info)
    info = read_signed_info(info_element)
    identifiers = {reference.id for reference in info.references if reference.id is not None}
    properties = read_properties(objects[0], signature, identifiers) if objects else None
    if properties is not None:
        certificate = properties.signer_of(embedded)
    elif len(embedded) == 1:
        certificate = embedded[0]
    else:
        raise malformed("CERTIFICATE_NOT_UNIQUE", "X509Data holds one certificate")
    return _Signature(
        element=signature,
        info_element=info_element,
        value_element=value,
        key_info=key_info,
        info=info,
        value=base64_of(value),
        certificate=certificate,
        embedded=tuple(der for der in embedded if der != certificate),
        properties=properties,
    )


def _document_reference(signature: _Signature, *, enveloped: bool) -> Reference:
    """The one reference to the document, if the others are exactly those that may be."""
    found = [reference for reference in signature.info.references if _to_document(reference, enveloped)]
    if not found:
        # PARTIAL and foreign references end here: there is no other way to cover a document than as a whole.
        if enveloped:
            raise malformed("REFERENCE_NOT_WHOLE", 'the reference is URI="", the whole document')
        raise Finding(
            SubIndication.SIGNED_DATA_NOT_FOUND, "REFERENCE_NOT_DOCUMENT", "no reference is to the document at hand"
        )
    reference = found[0]
    if reference.type is not None:
        raise malformed("SIGNATURE_STRUCTURE", "the reference to the document has a Type")
    if reference.transforms not in (_ENVELOPED_TRANSFORMS if enveloped else [()]):
        raise malformed("TRANSFORM_UNSUPPORTED", "the transforms are enveloped-signature and at most one C14N")
    properties = [other for other in signature.info.references if other.type == SIGNED_PROPERTIES]
    expected = 0 if signature.properties is None else 1
    if len(properties) < expected:
        raise malformed("SIGNED_PROPERTIES_NOT_SIGNED", "no reference is to the signed properties")
    key_info = [other for other in signature.info.references if _to_key_info(other, signature)]
    if len(found) != 1 or len(properties) > expected or len(key_info) > expected:
        raise malformed("REFERENCE_UNEXPECTED", "a reference stands twice")
    if len(signature.info.references) != len(found) + len(properties) + len(key_info):
        raise malformed("REFERENCE_UNEXPECTED", "a reference is to something else than document and signature")
    return reference


def _to_document(reference: Reference, enveloped: bool) -> bool:
    if enveloped:
        return reference.uri == ""
    return reference.uri is None or (reference.uri != "" and not reference.uri.startswith("#"))


def _to_key_info(reference: Reference, signature: _Signature) -> bool:
    own = signature.key_info.get("Id")
    return bool(own) and reference.uri == f"#{own}" and reference.type is None


def _inner_bytes(signature: _Signature, document: Reference) -> tuple[bytes, bytes]:
    """What the signature value and its time-stamps are made over. Checks the references to what is in the signature."""
    properties = signature.properties
    for reference in signature.info.references:
        if reference is document:
            continue
        if properties is not None and reference.type == SIGNED_PROPERTIES:
            if reference.uri != f"#{properties.id}":
                raise malformed("SIGNED_PROPERTIES_NOT_SIGNED", "the reference is to other signed properties")
            element = properties.element
        else:
            element = signature.key_info
        reference.check(canonical_subtree(element, reference.exclusive()))
    timestamped = b""
    if properties is not None and properties.timestamps:
        timestamped = canonical_subtree(signature.value_element, properties.timestamps_exclusive)
    return canonical_subtree(signature.info_element, signature.info.exclusive), timestamped


def _facts(
    format_: SignatureFormat,
    signature: _Signature,
    reference: Reference,
    covered: bytes,
    to_verify: bytes,
    timestamped: bytes,
) -> SignatureFacts:
    certificate = signer_certificate(signature.certificate)
    reference.check(covered)
    name = verify(certificate, signature.info.algorithm, signature.value, to_verify)
    properties = signature.properties
    time = properties.signing_time if properties is not None else None
    return SignatureFacts(
        format=format_,
        scope=SignatureScope.FULL,
        signer_certificate_der=certificate.der,
        algorithm=name,
        digest_algorithm=reference.digest_name,
        claimed_signing_time=time,
        covered=covered,
        level=SignatureLevel.PLAIN if time is None else SignatureLevel.B,
        timestamps=properties.timestamps if properties is not None else (),
        timestamped=timestamped,
        embedded=signature.embedded,
        key_bits=certificate.key_bits,
    )
