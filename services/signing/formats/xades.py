"""Qualifying properties of an XML signature: XAdES-B and -T (ETSI EN 319 132-1 v1.2.1).

Accepted is one Object with one QualifyingProperties that targets this very signature. Among the signed properties are
SigningCertificateV2 and SigningTime; those that would need a meaning of their own (a signature policy, time-stamps over
content) are refused. Of the unsigned properties the SignatureTimeStamps are handed on; the others are not read, because
nothing here rests on them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from services.signing.formats.facts import Finding, SubIndication
from services.signing.formats.keys import digest
from services.signing.formats.markup import DS, ID, base64_of, children, elements_only, malformed, text_of
from services.signing.formats.signed_info import canonicalization_of, read_digest

SIGNED_PROPERTIES: Final = "http://uri.etsi.org/01903#SignedProperties"
"""Type of the reference to the signed properties (§4.4.2)."""

XADES: Final = "http://uri.etsi.org/01903/v1.3.2#"
"""Namespace of the properties."""

MOST_TIMESTAMPS = 4
"""Most time-stamps on a signature."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_MOST_PROPERTIES = 32
_TARGET = frozenset({"Target", "Id"})
_ENCODING = frozenset({"Encoding", "Id"})
_DER = (None, "http://uri.etsi.org/01903/v1.2.2#DER")
_SIGNATURE_PROPERTIES = {
    f"{{{XADES}}}{name}"
    for name in (
        "SigningTime",
        "SigningCertificateV2",
        "SignaturePolicyIdentifier",
        "SignatureProductionPlace",
        "SignatureProductionPlaceV2",
        "SignerRole",
        "SignerRoleV2",
    )
}
_OBJECT_PROPERTIES = {f"{{{XADES}}}DataObjectFormat", f"{{{XADES}}}CommitmentTypeIndication"}


@dataclass(frozen=True)
class Properties:
    """What counts of the properties. `certificate_digest` is name and value of the digest of the signer's certificate;
    `timestamps` are tokens over the SignatureValue element, canonicalised exclusively or not.
    """

    element: etree._Element
    id: str
    certificate_digest: tuple[str, bytes]
    signing_time: datetime | None
    timestamps: tuple[bytes, ...]
    timestamps_exclusive: bool

    def signer_of(self, certificates: tuple[bytes, ...]) -> bytes:
        """The one certificate that is the signed one; a Finding when it is not there."""
        name, value = self.certificate_digest
        for der in certificates:
            if digest(name, der) == value:
                return der
        raise Finding(
            SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
            "SIGNING_CERTIFICATE_MISMATCH",
            "no certificate of the signature is the one that was signed",
        )


def read_properties(element: etree._Element, signature: etree._Element, references: Collection[str]) -> Properties:
    """Reads the Object of a signature whose references have these Ids. Raises a Finding."""
    (qualifying,) = children(element, "QualifyingProperties", attributes=ID, namespace=XADES)
    identifier = signature.get("Id")
    if not identifier or qualifying.get("Target") != f"#{identifier}":
        raise malformed("QUALIFYING_TARGET", "the qualifying properties are of another signature")
    names = ["SignedProperties", "UnsignedProperties"][: max(1, len(qualifying))]
    signed, *unsigned = children(qualifying, *names, attributes=_TARGET, namespace=XADES)
    own = signed.get("Id")
    if not own:
        raise malformed("SIGNED_PROPERTIES_ID", "the signed properties have no Id")
    parts = ["SignedSignatureProperties", "SignedDataObjectProperties"][: max(1, len(signed))]
    about_signature, *about_objects = children(signed, *parts, attributes=ID, namespace=XADES)
    found = _signature_properties(about_signature)
    for objects in about_objects:
        _each_of(objects, _OBJECT_PROPERTIES)
        for named in objects.iterfind(f"{{{XADES}}}DataObjectFormat"):
            if str(named.get("ObjectReference")).removeprefix("#") not in references:
                raise malformed("OBJECT_REFERENCE_WRONG", "a data object format is of no reference of the signature")
    tokens, exclusive = _timestamps(unsigned[0]) if unsigned else ((), False)
    return Properties(
        element=signed,
        id=own,
        certificate_digest=_certificate_digest(found),
        signing_time=_signing_time(found),
        timestamps=tokens,
        timestamps_exclusive=exclusive,
    )


def _signature_properties(element: etree._Element) -> dict[str, etree._Element]:
    """The signed signature properties by name, each once."""
    if f"{{{XADES}}}SigningCertificate" in [child.tag for child in element]:
        raise malformed("SIGNING_CERTIFICATE_DEPRECATED", "the signing certificate is named by SigningCertificateV2")
    _each_of(element, _SIGNATURE_PROPERTIES)
    found = {etree.QName(child).localname: child for child in element}
    if len(found) != len(element):
        raise malformed("SIGNED_PROPERTY_NOT_UNIQUE", "a signed property occurs twice")
    policy = found.get("SignaturePolicyIdentifier")
    if policy is not None and [child.tag for child in policy] != [f"{{{XADES}}}SignaturePolicyImplied"]:
        raise Finding(
            SubIndication.SIGNATURE_POLICY_NOT_AVAILABLE,
            "SIGNATURE_POLICY_UNKNOWN",
            "the signature names a signature policy of its own",
        )
    return found


def _each_of(element: etree._Element, names: set[str]) -> None:
    elements_only(element, ID)
    if len(element) > _MOST_PROPERTIES or not {str(child.tag) for child in element} <= names:
        raise malformed("SIGNED_PROPERTY_UNEXPECTED", f"{etree.QName(element).localname} holds an unknown property")


def _certificate_digest(found: dict[str, etree._Element]) -> tuple[str, bytes]:
    """Digest of the first certificate in SigningCertificateV2, which is the signer's (§5.2.2)."""
    property_ = found.get("SigningCertificateV2")
    if property_ is None:
        raise malformed("SIGNING_CERTIFICATE_MISSING", "the signing certificate is not among what was signed")
    certificate, *_ = children(property_, *["Cert"] * max(1, len(property_)), namespace=XADES)
    names = ["CertDigest", "IssuerSerialV2"][: max(1, len(certificate))]
    # A file address of the certificate (attribute URI) is refused with every other attribute.
    cert_digest, *_ = children(certificate, *names, namespace=XADES)
    elements_only(cert_digest)
    method, value = children(cert_digest, "DigestMethod", "DigestValue")
    return read_digest(method, value, "SIGNING_CERTIFICATE_DIGEST")


def _signing_time(found: dict[str, etree._Element]) -> datetime | None:
    property_ = found.get("SigningTime")
    if property_ is None:
        return None
    text = text_of(property_).strip(" \t\r\n")
    try:
        if not _TIME.fullmatch(text):
            raise ValueError("not a dateTime of XML Schema")
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise malformed("SIGNING_TIME_WRONG", "the signing time has no time zone")
        return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise malformed("SIGNING_TIME_WRONG", "the signing time is not a time") from error


def _timestamps(unsigned: etree._Element) -> tuple[tuple[bytes, ...], bool]:
    """The tokens of the SignatureTimeStamps (§5.3), and whether SignatureValue is canonicalised exclusively for them."""
    (properties,) = children(unsigned, "UnsignedSignatureProperties", attributes=ID, namespace=XADES)
    found = [child for child in properties if child.tag == f"{{{XADES}}}SignatureTimeStamp"]
    if len(found) > MOST_TIMESTAMPS or len(properties) > _MOST_PROPERTIES:
        raise malformed("TIMESTAMPS_TOO_MANY", f"a signature has at most {MOST_TIMESTAMPS} time-stamps")
    tokens, exclusive = [], set()
    for stamp in found:
        elements_only(stamp, ID)
        method = stamp.find(f"{{{DS}}}CanonicalizationMethod")
        encapsulated = [child for child in stamp if child is not method]
        if len(encapsulated) != 1 or encapsulated[0].tag != f"{{{XADES}}}EncapsulatedTimeStamp":
            raise malformed("TIMESTAMP_STRUCTURE", "a time-stamp is over the signature value and holds one token")
        text_of(encapsulated[0], _ENCODING)
        if encapsulated[0].get("Encoding") not in _DER:
            raise malformed("TIMESTAMP_STRUCTURE", "a time-stamp is DER")
        # Without a method inclusive C14N 1.0 applies, as for any node set (XML Signature §4.4.3.2).
        exclusive.add(method is not None and canonicalization_of(method))
        tokens.append(base64_of(encapsulated[0]))
    if len(exclusive) > 1:
        raise malformed("TIMESTAMP_STRUCTURE", "the time-stamps are canonicalised in different ways")
    return tuple(tokens), True in exclusive
