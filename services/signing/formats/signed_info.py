"""SignedInfo and KeyInfo of an XML signature (W3C XML Signature 1.1, algorithms of RFC 9231)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from lxml import etree

from services.signing.formats.facts import Finding, SubIndication
from services.signing.formats.keys import ACCEPTED, Algorithm, Family, digest
from services.signing.formats.markup import (
    DS,
    ID,
    NO_ATTRIBUTES,
    algorithm_of,
    base64_of,
    children,
    elements_only,
    malformed,
    text_of,
)

MOST_CERTIFICATES = 8
"""Most certificates in a signature."""

ENVELOPED: Final = DS + "enveloped-signature"
"""The transform that takes the signature out of its document."""

C14N_METHODS: Final[Mapping[str, bool]] = {
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315": False,
    "http://www.w3.org/2001/10/xml-exc-c14n#": True,
}
"""The accepted canonicalisations, without comments: whether they are exclusive."""

T = TypeVar("T")

_MOST_REFERENCES = 3
_LONGEST_URI = 1024
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_MORE_2007 = "http://www.w3.org/2007/05/xmldsig-more#"
_MORE_2021 = "http://www.w3.org/2021/04/xmldsig-more#"
_SIZES = (256, 384, 512)
_REFERENCE_ATTRIBUTES = frozenset({"Id", "URI", "Type"})

_DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    _MORE + "sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
    **{f"{_MORE_2007}sha3-{bits}": f"sha3-{bits}" for bits in _SIZES},
}
_SIGNATURES = {
    **{f"{_MORE}rsa-sha{bits}": Algorithm(Family.RSA_PKCS1V15, f"sha{bits}") for bits in _SIZES},
    **{f"{_MORE}ecdsa-sha{bits}": Algorithm(Family.ECDSA_RAW, f"sha{bits}") for bits in _SIZES},
    **{f"{_MORE_2021}ecdsa-sha3-{bits}": Algorithm(Family.ECDSA_RAW, f"sha3-{bits}") for bits in _SIZES},
    # RFC 9231 §2.3.10: the salt is as long as the digest.
    **{
        f"{_MORE_2007}{name}{bits}-rsa-MGF1": Algorithm(Family.RSA_PSS, f"{name}{bits}", bits // 8)
        for bits in _SIZES
        for name in ("sha", "sha3-")
    },
    _MORE_2021 + "eddsa-ed25519": Algorithm(Family.ED25519, "sha512"),
}
_WEAK = {DS + "sha1", DS + "rsa-sha1", DS + "dsa-sha1", _MORE + "md5", _MORE + "rsa-md5", _MORE + "ecdsa-sha1"}


@dataclass(frozen=True)
class Reference:
    """What a signature says of one object that it covers; `transforms` are the names in order."""

    id: str | None
    uri: str | None
    type: str | None
    transforms: tuple[str, ...]
    digest_name: str
    digest: bytes

    def check(self, data: bytes) -> None:
        """Raises a Finding unless `data` are the bytes that were signed."""
        if digest(self.digest_name, data) != self.digest:
            raise Finding(SubIndication.HASH_FAILURE, "DIGEST_MISMATCH", "the content is not the one that was signed")

    def exclusive(self) -> bool:
        """Whether an object inside the signature is canonicalised exclusively; a Finding where it takes another
        transform than one canonicalisation. Without one inclusive C14N applies (XML Signature §4.4.3.2).
        """
        if len(self.transforms) > 1 or not set(self.transforms) <= C14N_METHODS.keys():
            raise malformed("TRANSFORM_UNSUPPORTED", "the transforms are at most one C14N")
        return any(C14N_METHODS[name] for name in self.transforms)


@dataclass(frozen=True)
class SignedInfo:
    """What the signature value is made over: `exclusive` says how SignedInfo itself is canonicalised."""

    exclusive: bool
    algorithm: Algorithm
    references: tuple[Reference, ...]


def read_signed_info(element: etree._Element) -> SignedInfo:
    """Reads SignedInfo with one to three references. Raises a Finding."""
    references = max(1, len(element) - 2)
    if references > _MOST_REFERENCES:
        raise malformed("SIGNATURE_STRUCTURE", f"a signature has at most {_MOST_REFERENCES} references")
    canonicalization, method, *found = children(
        element, "CanonicalizationMethod", "SignatureMethod", *["Reference"] * references, attributes=ID
    )
    exclusive = canonicalization_of(canonicalization)
    algorithm = known(_SIGNATURES, algorithm_of(method), "SIGNATURE_ALGORITHM")
    return SignedInfo(exclusive, algorithm, tuple(map(_reference, found)))


def canonicalization_of(element: etree._Element) -> bool:
    """Whether a CanonicalizationMethod is the exclusive one. Raises a Finding."""
    exclusive = C14N_METHODS.get(algorithm_of(element))
    if exclusive is None:
        raise malformed("CANONICALIZATION_UNSUPPORTED", "C14N is inclusive 1.0 or exclusive, without comments")
    return exclusive


def read_digest(method: etree._Element, value: etree._Element, kind: str = "DIGEST_ALGORITHM") -> tuple[str, bytes]:
    """Name and value of a digest. Raises a Finding."""
    name = known(_DIGESTS, algorithm_of(method), kind)
    text_of(value)
    return name, base64_of(value)


def read_certificates(key_info: etree._Element) -> tuple[bytes, ...]:
    """The certificates of a KeyInfo with one X509Data, 1 to 8. Raises a Finding."""
    (data,) = children(key_info, "X509Data", attributes=ID)
    elements_only(data)
    certificates = []
    for child in data:
        if child.tag == f"{{{DS}}}X509Certificate":
            if len(child) or child.attrib:
                raise malformed("KEY_INFO_UNEXPECTED", "X509Certificate holds base64 only")
            certificates.append(child)
        elif child.tag not in (f"{{{DS}}}X509SubjectName", f"{{{DS}}}X509IssuerSerial"):
            raise malformed("KEY_INFO_UNEXPECTED", "X509Data holds something else than certificates")
    if len(certificates) > MOST_CERTIFICATES:
        raise malformed("CERTIFICATES_TOO_MANY", f"a signature carries at most {MOST_CERTIFICATES} certificates")
    return tuple(map(base64_of, certificates))


def known(table: Mapping[str, T], name: str, kind: str) -> T:
    """What a table says of an algorithm; a Finding when it is weak or unknown."""
    if name in table:
        return table[name]
    weak = "WEAK" if name in _WEAK else "UNSUPPORTED"
    raise Finding(SubIndication.CRYPTO_CONSTRAINTS_FAILURE, f"{kind}_{weak}", ACCEPTED)


def _reference(element: etree._Element) -> Reference:
    with_transforms = len(element) == 0 or element[0].tag == f"{{{DS}}}Transforms"
    names = ["Transforms"] if with_transforms else []
    *transforms, method, value = children(
        element, *names, "DigestMethod", "DigestValue", attributes=_REFERENCE_ATTRIBUTES
    )
    applied = _transforms(transforms[0]) if transforms else ()
    digest_name, digest_value = read_digest(method, value)
    uri = element.get("URI")
    if uri is not None and len(uri) > _LONGEST_URI:
        raise malformed("REFERENCE_UNEXPECTED", f"an address has at most {_LONGEST_URI} characters")
    return Reference(element.get("Id"), uri, element.get("Type"), applied, digest_name, digest_value)


def _transforms(element: etree._Element) -> tuple[str, ...]:
    found = children(element, *["Transform"] * max(1, len(element)), attributes=NO_ATTRIBUTES)
    names = tuple(str(transform.get("Algorithm")) for transform in found)
    if not set(names) <= {ENVELOPED, *C14N_METHODS}:
        raise malformed("TRANSFORM_UNSUPPORTED", "the transforms are enveloped-signature and at most one C14N")
    for transform in found:
        algorithm_of(transform)
    return names
