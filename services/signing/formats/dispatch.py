"""One door to every format. What a signature covers is decided here by the bytes that the verifier gets: the whole
document or one named part as the document's reader decoded it, never what a signature says it covers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from services.signing.formats.batch import BatchVerifier
from services.signing.formats.cms import verify_cms
from services.signing.formats.facts import Finding, SignatureFacts, SubIndication
from services.signing.formats.jws import verify_jws
from services.signing.formats.pades import verify_pades
from services.signing.formats.xmldsig import Holder, verify_xades_detached, verify_xmldsig
from services.signing.model import CarriedSignature, DocumentPart, SignatureFormat, SignedDocument

LARGEST_SIGNATURE: Final = 64 * 1024
"""Longest signature beside a document, in bytes."""

MOST_SIGNATURES: Final = 8
"""Most signatures beside a document."""

MOST_PARTS: Final = 16
"""Most parts of a document."""

Place: TypeAlias = CarriedSignature | DocumentPart | None
"""Where a signature is: beside the document, in one of its parts, or in the document itself (None)."""

Registered: TypeAlias = Mapping[str, bytes]

_batches = BatchVerifier()

_DETACHED: Mapping[SignatureFormat, Callable[[bytes, CarriedSignature, Registered], SignatureFacts]] = {
    SignatureFormat.CMS_DETACHED: lambda content, one, registered: verify_cms(content, one.content, registered),
    SignatureFormat.XADES_DETACHED: lambda content, one, _: verify_xades_detached(content, one.content),
    SignatureFormat.JWS_DETACHED: lambda content, one, _: verify_jws(content, one.content),
    SignatureFormat.BATCH: lambda content, one, registered: _batches.verify(
        content, one.content, one.batch, registered
    ),
}
_INSIDE: Mapping[SignatureFormat, Callable[[bytes], SignatureFacts]] = {
    SignatureFormat.XMLDSIG_ENVELOPED: verify_xmldsig,
    SignatureFormat.XADES_ENVELOPED: verify_xmldsig,
    SignatureFormat.PADES: verify_pades,
}


def places(document: SignedDocument) -> tuple[Place, ...]:
    """Where the document's signatures are, for `verify`; one place where there is none, which finds that.

    Raises a Finding when the document has more signatures or parts than are looked at.
    """
    if len(document.signatures) > MOST_SIGNATURES or len(document.parts) > MOST_PARTS:
        raise _format("SIGNATURES_TOO_MANY", f"at most {MOST_SIGNATURES} signatures and {MOST_PARTS} parts")
    inside: tuple[Place, ...] = () if document.format is None else (None,)
    parts = tuple(part for part in document.parts if part.enveloped)
    return (*inside, *parts, *document.signatures) or (None,)


def verify(document: SignedDocument, place: Place = None, registered: Registered | None = None) -> SignatureFacts:
    """Facts of one of the document's signatures. Raises a Finding; never anything else, whatever the bytes.

    `place` is one of `places`; `registered` gives certificates by the hex SHA-256 of their DER, for signatures that do
    not carry the signer's own.
    """
    if place is None:
        return _inside(document)
    if isinstance(place, DocumentPart):
        part = _part(document, place.name)
        return replace(verify_xmldsig(part.content, Holder.RESERVED), part=part.name)
    if place.format not in _DETACHED:
        raise _format("FORMAT_NOT_DETACHED", "a signature of this form is inside the document")
    if not place.content:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "there is no signature")
    if len(place.content) > LARGEST_SIGNATURE:
        raise _format("SIGNATURE_TOO_LARGE", f"a signature has at most {LARGEST_SIGNATURE} bytes")
    content = _part(document, place.part).content if place.part else document.content
    facts = _DETACHED[place.format](content, place, registered or {})
    return replace(facts, part=place.part) if place.part else facts


def _inside(document: SignedDocument) -> SignatureFacts:
    if document.format is None:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "the document has no signature")
    if document.format not in _INSIDE:
        raise _format("FORMAT_NOT_ENVELOPED", "a signature of this form is beside the document")
    return _INSIDE[document.format](document.content)


def _part(document: SignedDocument, name: str) -> DocumentPart:
    found = [part for part in document.parts if part.name == name]
    if not found:
        raise Finding(
            SubIndication.SIGNED_DATA_NOT_FOUND, "PART_MISSING", "the part that was signed is not in the document"
        )
    if len(found) > 1:
        raise _format("PART_NOT_UNIQUE", "two parts of the document have the same name")
    return found[0]


def _format(reason: str, text: str) -> Finding:
    return Finding(SubIndication.FORMAT_FAILURE, reason, text)
