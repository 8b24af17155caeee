"""Strict profile of XMLDSig (W3C XML Signature 1.1) as the insurance portal practises it: one enveloped signature in
CHUKYDONVI.

Accepted is exactly this: UTF-8; no comment, processing instruction or DTD; CHUKYDONVI is a child of the root and its
only child element is the one Signature of the document, made of SignedInfo, SignatureValue and KeyInfo; one Reference
with URI="" and the transforms `enveloped-signature` and at most one C14N (without it inclusive C14N applies, XML
Signature §4.4.3.2); X509Data with one certificate. Everything else is refused, because what is not parsed cannot be
misread.

lxml writes a spurious `xmlns=""` when it canonicalises a *subtree* whose default namespace is its own (all versions up
to 6.1.3), which prefix-less signatures have. So SignedInfo is rebuilt as the root of a document of its own, with the
namespaces and xml: attributes in scope.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import TypeVar, cast

from lxml import etree

from services.signing.formats.facts import Finding, SignatureFacts, SignatureScope, SubIndication
from services.signing.formats.keys import Algorithm, Family, digest, signer_certificate, verify
from services.signing.model import SignatureFormat

LARGEST_DOCUMENT = 16 * 1024 * 1024
"""Longest document that is parsed, in bytes."""

DEEPEST_ELEMENT = 100
"""Most levels of elements."""

MOST_TAGS = 100_000
"""Most start and end tags of a document, and most equals signs, of which every attribute has one."""

MOST_ATTRIBUTES = 100
"""Most attributes of one element. libxml2 sorts them in quadratic time to canonicalise: 300,000 take ten minutes."""

T = TypeVar("T")

_MOST_NAMESPACES = 64
_DS = "http://www.w3.org/2000/09/xmldsig#"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_ENVELOPED = _DS + "enveloped-signature"
_C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_C14N_METHODS = {_C14N: False, _EXCLUSIVE: True}

_DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    _MORE + "sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}
_SIGNATURES = {
    **{f"{_MORE}rsa-sha{bits}": Algorithm(Family.RSA_PKCS1V15, f"sha{bits}") for bits in (256, 384, 512)},
    **{f"{_MORE}ecdsa-sha{bits}": Algorithm(Family.ECDSA_RAW, f"sha{bits}") for bits in (256, 384, 512)},
    # RFC 9231 §2.3.10: the salt is as long as the digest.
    **{
        f"http://www.w3.org/2007/05/xmldsig-more#sha{bits}-rsa-MGF1": Algorithm(Family.RSA_PSS, f"sha{bits}", bits // 8)
        for bits in (256, 384, 512)
    },
}
_WEAK = {_DS + "sha1", _DS + "rsa-sha1", _DS + "dsa-sha1", _MORE + "md5", _MORE + "rsa-md5", _MORE + "ecdsa-sha1"}

_DOCTYPE = re.compile(rb"<!\s*(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n]+")
_WHITE = " \t\r\n"
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (DEEPEST_ELEMENT + 1) + ")")
_IDS = etree.XPath("//@*[local-name()='Id' or local-name()='ID' or local-name()='id']")


def verify_xmldsig(document: bytes) -> SignatureFacts:
    """Verifies the facility's signature over a whole document. Raises a Finding; never anything else, whatever the
    bytes.
    """
    root = parse_document(document)
    signature, holder = _signature(root)
    signed_info, value, certificate_der = _parts(signature)
    method, algorithm, exclusive, digest_name, expected = _signed_info(signed_info)
    to_verify = _canonical_signed_info(signed_info, method)
    # The enveloped-signature transform: the element goes, the white space behind it stays.
    tail = signature.tail
    holder.remove(signature)
    holder.text = (holder.text or "") + (tail or "") or None
    covered = _canonical(root, exclusive)
    certificate = signer_certificate(certificate_der)
    if digest(digest_name, covered) != expected:
        raise Finding(SubIndication.HASH_FAILURE, "DIGEST_MISMATCH", "the document is not the one that was signed")
    name = verify(certificate, algorithm, value, to_verify)
    return SignatureFacts(
        format=SignatureFormat.XMLDSIG_ENVELOPED,
        scope=SignatureScope.FULL,
        signer_certificate_der=certificate_der,
        algorithm=name,
        digest_algorithm=digest_name,
        claimed_signing_time=None,
        covered=covered,
    )


def parse_document(document: bytes) -> etree._Element:
    """Root of a document within the profile's bounds. Raises a Finding."""
    _check_bytes(document)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, collect_ids=False, recover=False
    )
    try:
        root = etree.fromstring(document, parser)
    except (etree.LxmlError, ValueError, LookupError) as error:
        reason = "DOCUMENT_TOO_DEEP" if "depth" in str(error).lower() else "XML_MALFORMED"
        raise _format(reason, f"not well-formed XML ({_position(error)})") from None
    information = root.getroottree().docinfo
    if (information.encoding or "UTF-8").upper() != "UTF-8":
        raise _format("ENCODING_UNSUPPORTED", "a document is UTF-8")
    if information.xml_version != "1.0" or information.internalDTD is not None:
        raise _format("DTD_FORBIDDEN", "a document is XML 1.0 without DTD")
    beside = root.getprevious() is not None or root.getnext() is not None
    if beside or next(root.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None) is not None:
        raise _format("COMMENT_FORBIDDEN", "a document has no comments and no processing instructions")
    if document.count(b"=") > MOST_ATTRIBUTES and any(len(element.attrib) > MOST_ATTRIBUTES for element in root.iter()):
        raise _format("DOCUMENT_TOO_COMPLEX", f"an element has at most {MOST_ATTRIBUTES} attributes")
    if _TOO_DEEP(root):
        raise _format("DOCUMENT_TOO_DEEP", f"a document has at most {DEEPEST_ELEMENT} levels")
    return root


def _check_bytes(document: bytes) -> None:
    """What can be refused before a parser sees it."""
    if len(document) > LARGEST_DOCUMENT:
        raise _format("DOCUMENT_TOO_LARGE", f"a document has at most {LARGEST_DOCUMENT} bytes")
    if document.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in document:
        raise _format("ENCODING_UNSUPPORTED", "a document is UTF-8")
    if _DOCTYPE.search(document):
        raise _format("DTD_FORBIDDEN", "a document has no DTD and no entities")
    # Every declaration and attribute has an equals sign, and counting one byte is far cheaper than counting a word.
    equals = document.count(b"=")
    namespaces = document.count(b"xmlns") if equals > _MOST_NAMESPACES else 0
    if max(document.count(b"<"), equals) > MOST_TAGS or namespaces > _MOST_NAMESPACES:
        raise _format("DOCUMENT_TOO_COMPLEX", "a document has too many elements, attributes or namespaces")


def _signature(root: etree._Element) -> tuple[etree._Element, etree._Element]:
    """The document's one Signature and the CHUKYDONVI that holds it."""
    found = list(root.iter(f"{{{_DS}}}Signature"))
    if not found:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "the document has no signature")
    if len(found) > 1:
        raise _format("SIGNATURE_NOT_UNIQUE", "the document has more than one signature")
    holder = found[0].getparent()
    if holder is None or holder.tag != "CHUKYDONVI" or holder.getparent() is not root or len(holder) != 1:
        raise _format("SIGNATURE_MISPLACED", "the signature is not the only child of a CHUKYDONVI under the root")
    if sum(1 for _ in root.iter("CHUKYDONVI")) != 1:
        raise _format("SIGNATURE_MISPLACED", "the document has more than one CHUKYDONVI")
    return found[0], holder


def _parts(signature: etree._Element) -> tuple[etree._Element, bytes, bytes]:
    """SignedInfo, signature value and certificate of a Signature of exactly three children."""
    document = signature.getroottree()
    _check_ids(document)
    signed_info, value, key_info = _children(signature, "SignedInfo", "SignatureValue", "KeyInfo", attributes={"Id"})
    if len(value) or set(value.attrib) - {"Id"}:
        raise _format("SIGNATURE_STRUCTURE", "SignatureValue holds base64 only")
    (data,) = _children(key_info, "X509Data", attributes={"Id"})
    _elements_only(data, set())
    certificates = []
    for child in data:
        if child.tag == f"{{{_DS}}}X509Certificate":
            certificates.append(child)
        elif child.tag not in (f"{{{_DS}}}X509SubjectName", f"{{{_DS}}}X509IssuerSerial"):
            raise _format("KEY_INFO_UNEXPECTED", "X509Data holds something else than one certificate")
    if len(certificates) != 1:
        raise _format("CERTIFICATE_NOT_UNIQUE", "X509Data holds one certificate")
    if len(certificates[0]) or certificates[0].attrib:
        raise _format("KEY_INFO_UNEXPECTED", "X509Certificate holds base64 only")
    return signed_info, _base64(value), _base64(certificates[0])


def _signed_info(signed_info: etree._Element) -> tuple[bool, Algorithm, bool, str, bytes]:
    """Whether SignedInfo is canonicalised exclusively, the algorithm, whether the document is, digest name and digest
    value.
    """
    canonicalization, method, reference = _children(
        signed_info, "CanonicalizationMethod", "SignatureMethod", "Reference", attributes={"Id"}
    )
    exclusive_info = _C14N_METHODS.get(_algorithm(canonicalization))
    if exclusive_info is None:
        raise _format("CANONICALIZATION_UNSUPPORTED", "C14N is inclusive 1.0 or exclusive, without comments")
    algorithm = _known(_SIGNATURES, _algorithm(method), "SIGNATURE_ALGORITHM")
    if reference.get("URI") != "":
        raise _format("REFERENCE_NOT_WHOLE", 'the reference is URI="", the whole document')
    transforms, digest_method, digest_value = _children(
        reference, "Transforms", "DigestMethod", "DigestValue", attributes={"URI"}
    )
    exclusive = _transforms(transforms)
    digest_name = _known(_DIGESTS, _algorithm(digest_method), "DIGEST_ALGORITHM")
    if len(digest_value) or digest_value.attrib:
        raise _format("SIGNATURE_STRUCTURE", "DigestValue holds base64 only")
    return exclusive_info, algorithm, exclusive, digest_name, _base64(digest_value)


def _transforms(transforms: etree._Element) -> bool:
    """Whether the document is canonicalised exclusively."""
    elements = _children(transforms, *["Transform"] * max(1, len(transforms)), attributes=set())
    names = [element.get("Algorithm") for element in elements]
    if names not in ([_ENVELOPED], [_ENVELOPED, _C14N], [_ENVELOPED, _EXCLUSIVE]):
        raise _format("TRANSFORM_UNSUPPORTED", "the transforms are enveloped-signature and at most one C14N")
    for element in elements:
        _algorithm(element)
    return names[-1] == _EXCLUSIVE


def _canonical_signed_info(signed_info: etree._Element, exclusive: bool) -> bytes:
    copy = etree.Element(
        signed_info.tag, {str(name): str(text) for name, text in signed_info.attrib.items()}, _scope(signed_info)
    )
    if not exclusive:
        for ancestor in signed_info.iterancestors():
            for name, value in ancestor.attrib.items():
                if str(name).startswith(_XML) and name not in copy.attrib:
                    copy.set(name, value)
    copy.text = signed_info.text
    copy.extend([deepcopy(child) for child in signed_info])
    return _canonical(copy, exclusive)


def _scope(element: etree._Element) -> dict[str, str]:
    """The namespaces in scope; lxml's stubs do not know that the default one has the prefix None."""
    return cast("dict[str, str]", dict(element.nsmap))


def _canonical(element: etree._Element, exclusive: bool) -> bytes:
    try:
        return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=False)
    except (etree.LxmlError, ValueError) as error:
        raise _format("CANONICALIZATION_IMPOSSIBLE", type(error).__name__) from None


def _children(element: etree._Element, *names: str, attributes: set[str]) -> list[etree._Element]:
    """The child elements, if they are exactly these of the XMLDSig namespace with no text between them."""
    _elements_only(element, attributes)
    if [child.tag for child in element] != [f"{{{_DS}}}{name}" for name in names]:
        raise _format("SIGNATURE_STRUCTURE", f"{etree.QName(element).localname} holds exactly {', '.join(names)}")
    return list(element)


def _elements_only(element: etree._Element, attributes: set[str]) -> None:
    if not set(element.attrib) <= attributes:
        raise _format("SIGNATURE_STRUCTURE", f"{etree.QName(element).localname} has an attribute that is not allowed")
    texts = [element.text, *(child.tail for child in element)]
    if any(text and text.strip(_WHITE) for text in texts):
        raise _format("SIGNATURE_STRUCTURE", f"{etree.QName(element).localname} has text between its children")


def _algorithm(element: etree._Element) -> str:
    """The Algorithm attribute of an element that has nothing else, so no parameters either."""
    if len(element) or (element.text and element.text.strip(_WHITE)) or set(element.attrib) != {"Algorithm"}:
        raise _format("ALGORITHM_PARAMETERS", f"{etree.QName(element).localname} has parameters or no Algorithm")
    return str(element.get("Algorithm"))


def _known(table: Mapping[str, T], name: str, kind: str) -> T:
    if name in table:
        return table[name]
    raise Finding(
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE,
        f"{kind}_{'WEAK' if name in _WEAK else 'UNSUPPORTED'}",
        "SHA-256, SHA-384 or SHA-512 with RSA PKCS#1 v1.5, RSA-PSS or ECDSA",
    )


def _check_ids(document: etree._ElementTree) -> None:
    identifiers = [str(value) for value in cast("list[str]", _IDS(document))]
    if len(identifiers) != len(set(identifiers)):
        raise _format("ID_NOT_UNIQUE", "two elements have the same Id")


def _base64(element: etree._Element) -> bytes:
    """Base64 that may be broken over lines, otherwise in its one spelling."""
    text = element.text or ""
    value = _strict_base64(text) or _strict_base64(_SPACE.sub("", text))
    if not value:
        raise _format("BASE64_MALFORMED", f"{etree.QName(element).localname} is not base64")
    return value


def _strict_base64(text: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return value if base64.b64encode(value).decode("ascii") == text else b""


def _position(error: Exception) -> str:
    """Line and column; the parser's own words may quote the document."""
    line, column = getattr(error, "position", (0, 0))
    return f"line {line}, column {column}"


def _format(reason: str, text: str) -> Finding:
    return Finding(SubIndication.FORMAT_FAILURE, reason, text)
