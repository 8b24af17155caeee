"""XML as the signature profiles allow it: parsed within bounds, canonicalised rightly, read without leniency.

UTF-8 only; no comment, processing instruction or DTD. lxml writes a spurious `xmlns=""` when it canonicalises a
*subtree* whose default namespace is its own (all versions up to 6.1.3), which prefix-less signatures have. So a subtree
is written out with the namespaces in scope, read back as a document of its own, and that is canonicalised.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, cast

from lxml import etree

from services.signing.formats.facts import Finding, SubIndication

LARGEST_DOCUMENT = 16 * 1024 * 1024
"""Longest document that is parsed, in bytes."""

DEEPEST_ELEMENT = 100
"""Most levels of elements."""

MOST_TAGS = 100_000
"""Most start and end tags of a document, and most equals signs, of which every attribute has one."""

MOST_ATTRIBUTES = 100
"""Most attributes of one element. libxml2 sorts them in quadratic time to canonicalise: 300,000 take ten minutes."""

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
"""Namespace of XML Signature."""

NO_ATTRIBUTES: Final[frozenset[str]] = frozenset()
"""For elements that have none."""

ID: Final = frozenset({"Id"})
"""For elements that may have an Id."""

_MOST_NAMESPACES = 64
_XML = "{http://www.w3.org/XML/1998/namespace}"
_DOCTYPE = re.compile(rb"<!\s*(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n]+")
_WHITE = " \t\r\n"
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (DEEPEST_ELEMENT + 1) + ")")
_IDS = etree.XPath("//@*[local-name()='Id' or local-name()='ID' or local-name()='id']")


def parse_document(document: bytes) -> etree._Element:
    """Root of a document within the profile's bounds. Raises a Finding."""
    _check_bytes(document)
    try:
        root = etree.fromstring(document, _parser())
    except (etree.LxmlError, ValueError, LookupError) as error:
        reason = "DOCUMENT_TOO_DEEP" if "depth" in str(error).lower() else "XML_MALFORMED"
        raise malformed(reason, f"not well-formed XML ({_position(error)})") from None
    information = root.getroottree().docinfo
    if (information.encoding or "UTF-8").upper() != "UTF-8":
        raise malformed("ENCODING_UNSUPPORTED", "a document is UTF-8")
    if information.xml_version != "1.0" or information.internalDTD is not None:
        raise malformed("DTD_FORBIDDEN", "a document is XML 1.0 without DTD")
    beside = root.getprevious() is not None or root.getnext() is not None
    if beside or next(root.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None) is not None:
        raise malformed("COMMENT_FORBIDDEN", "a document has no comments and no processing instructions")
    if document.count(b"=") > MOST_ATTRIBUTES and any(len(element.attrib) > MOST_ATTRIBUTES for element in root.iter()):
        raise malformed("DOCUMENT_TOO_COMPLEX", f"an element has at most {MOST_ATTRIBUTES} attributes")
    if _TOO_DEEP(root):
        raise malformed("DOCUMENT_TOO_DEEP", f"a document has at most {DEEPEST_ELEMENT} levels")
    return root


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, collect_ids=False, recover=False
    )


def _check_bytes(document: bytes) -> None:
    """What can be refused before a parser sees it."""
    if len(document) > LARGEST_DOCUMENT:
        raise malformed("DOCUMENT_TOO_LARGE", f"a document has at most {LARGEST_DOCUMENT} bytes")
    if document.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in document:
        raise malformed("ENCODING_UNSUPPORTED", "a document is UTF-8")
    if _DOCTYPE.search(document):
        raise malformed("DTD_FORBIDDEN", "a document has no DTD and no entities")
    # Every declaration and attribute has an equals sign, and counting one byte is far cheaper than counting a word.
    equals = document.count(b"=")
    namespaces = document.count(b"xmlns") if equals > _MOST_NAMESPACES else 0
    if max(document.count(b"<"), equals) > MOST_TAGS or namespaces > _MOST_NAMESPACES:
        raise malformed("DOCUMENT_TOO_COMPLEX", "a document has too many elements, attributes or namespaces")


def check_ids(root: etree._Element) -> None:
    """Raises a Finding when two elements of the document have the same Id."""
    identifiers = [str(value) for value in cast("list[str]", _IDS(root.getroottree()))]
    if len(identifiers) != len(set(identifiers)):
        raise malformed("ID_NOT_UNIQUE", "two elements have the same Id")


def canonical_subtree(element: etree._Element, exclusive: bool) -> bytes:
    """Canonical XML of an element as it stands in its document, by inclusive C14N 1.0 or the exclusive one."""
    root = etree.fromstring(etree.tostring(element, with_tail=False), _parser())
    if not exclusive:
        # Inclusive C14N draws xml: attributes in from the elements around (C14N §2.4).
        for ancestor in element.iterancestors():
            for name, value in ancestor.attrib.items():
                if str(name).startswith(_XML) and name not in root.attrib:
                    root.set(name, value)
    return canonical(root, exclusive)


def canonical(element: etree._Element, exclusive: bool) -> bytes:
    """Canonical XML of a root; for an element inside a document there is `canonical_subtree`."""
    try:
        return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=False)
    except (etree.LxmlError, ValueError) as error:
        raise malformed("CANONICALIZATION_IMPOSSIBLE", type(error).__name__) from None


def children(
    element: etree._Element, *names: str, attributes: frozenset[str] = NO_ATTRIBUTES, namespace: str = DS
) -> list[etree._Element]:
    """The child elements, if they are exactly these of the namespace with no text between them and the element has no
    other attributes than these.
    """
    elements_only(element, attributes)
    if [child.tag for child in element] != [f"{{{namespace}}}{name}" for name in names]:
        raise malformed("SIGNATURE_STRUCTURE", f"{etree.QName(element).localname} holds exactly {', '.join(names)}")
    return list(element)


def elements_only(element: etree._Element, attributes: frozenset[str] = NO_ATTRIBUTES) -> None:
    """Raises a Finding when the element has other attributes than these, or text."""
    if not set(element.attrib) <= attributes:
        raise malformed("SIGNATURE_STRUCTURE", f"{etree.QName(element).localname} has an attribute that is not allowed")
    texts = [element.text, *(child.tail for child in element)]
    if any(text and text.strip(_WHITE) for text in texts):
        raise malformed("SIGNATURE_STRUCTURE", f"{etree.QName(element).localname} has text between its children")


def algorithm_of(element: etree._Element) -> str:
    """The Algorithm attribute of an element that has nothing else, so no parameters either."""
    if len(element) or (element.text and element.text.strip(_WHITE)) or set(element.attrib) != {"Algorithm"}:
        raise malformed("ALGORITHM_PARAMETERS", f"{etree.QName(element).localname} has parameters or no Algorithm")
    return str(element.get("Algorithm"))


def text_of(element: etree._Element, attributes: frozenset[str] = NO_ATTRIBUTES) -> str:
    """The text of an element that has nothing else."""
    if len(element) or not set(element.attrib) <= attributes:
        raise malformed("SIGNATURE_STRUCTURE", f"{etree.QName(element).localname} holds text only")
    return element.text or ""


def base64_of(element: etree._Element) -> bytes:
    """Base64 that may be broken over lines, otherwise in its one spelling."""
    text = element.text or ""
    value = _strict_base64(text) or _strict_base64(_SPACE.sub("", text))
    if not value:
        raise malformed("BASE64_MALFORMED", f"{etree.QName(element).localname} is not base64")
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


def malformed(reason: str, text: str) -> Finding:
    """The finding that a signature is not of the profile."""
    return Finding(SubIndication.FORMAT_FAILURE, reason, text)
