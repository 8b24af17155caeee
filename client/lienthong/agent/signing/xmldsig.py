"""XMLDSig writer: the facility's enveloped signature in CHUKYDONVI, as the insurance portal expects it.

Without prefix, inclusive C14N, SHA-256, X509Data with the signer's certificate. The signature is spliced into the
bytes, so that nothing else of the document changes, not even white space or the spelling of an empty element elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import cast

from lxml import etree

from lienthong.agent.signing.signer import DocumentUnsignable, KeyAlgorithm, Signer

DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_XML = "{http://www.w3.org/XML/1998/namespace}"
METHODS = {
    KeyAlgorithm.RSA: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    KeyAlgorithm.RSA_PSS: "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
    KeyAlgorithm.P256: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
}
_HOLDER = re.compile(rb"<CHUKYDONVI(?P<space>[ \t\r\n]*)(?:/>|>(?P<inside>[ \t\r\n]*)</CHUKYDONVI[ \t\r\n]*>)")
_DECLARATION = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


def sign_envelope(document: bytes, signer: Signer) -> bytes:
    """The signed document. Raises DocumentUnsignable when it is not UTF-8 XML of the profile with one empty CHUKYDONVI
    under its root, and SigningError when the key fails.
    """
    root, holder = parse_envelope(document)
    place = find_holder(document)
    digest = base64.b64encode(hashlib.sha256(canonical(root)).digest()).decode("ascii")
    content = _signed_info_content(signer.algorithm, digest)
    value = base64.b64encode(signer.sign(_canonical_signed_info(holder, content))).decode("ascii")
    certificate = base64.b64encode(signer.certificate).decode("ascii")
    signature = (
        f'<Signature xmlns="{DS}"><SignedInfo>{content}</SignedInfo><SignatureValue>{value}</SignatureValue>'
        f"<KeyInfo><X509Data><X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></Signature>"
    )
    return splice(document, place, signature.encode("ascii"))


def find_holder(document: bytes) -> re.Match[bytes]:
    """Where the empty CHUKYDONVI stands in the bytes. Raises DocumentUnsignable."""
    places = list(_HOLDER.finditer(document))
    if len(places) != 1 or document.count(b"CHUKYDONVI") != (1 if places[0].group().endswith(b"/>") else 2):
        raise DocumentUnsignable("the document needs one empty CHUKYDONVI, and the word nowhere else")
    return places[0]


def parse_envelope(document: bytes) -> tuple[etree._Element, etree._Element]:
    """Root and CHUKYDONVI of a document that the verifier's profile allows. Raises DocumentUnsignable."""
    if _DECLARATION.search(document) or b"\x00" in document:
        raise DocumentUnsignable("the document has a DTD or is not UTF-8")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, collect_ids=False
    )
    try:
        root = etree.fromstring(document, parser)
    except (etree.LxmlError, ValueError, LookupError) as error:
        line, column = getattr(error, "position", (0, 0))
        raise DocumentUnsignable(f"not well-formed XML (line {line}, column {column})") from None
    if (root.getroottree().docinfo.encoding or "UTF-8").upper() != "UTF-8":
        raise DocumentUnsignable("the document is not UTF-8")
    beside = root.getprevious() is not None or root.getnext() is not None
    if beside or next(root.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None) is not None:
        raise DocumentUnsignable("the document has a comment or a processing instruction")
    if next(root.iter(f"{{{DS}}}Signature"), None) is not None:
        raise DocumentUnsignable("the document is signed already")
    holders = root.findall("CHUKYDONVI")
    if len(holders) != 1 or len(holders[0]) or (holders[0].text or "").strip():
        raise DocumentUnsignable("the document has no empty CHUKYDONVI under its root")
    return root, holders[0]


def _signed_info_content(algorithm: KeyAlgorithm, digest: str) -> str:
    """What SignedInfo holds, already in canonical form but for the namespaces in scope."""
    return (
        f'<CanonicalizationMethod Algorithm="{C14N}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{METHODS[algorithm]}"></SignatureMethod>'
        f'<Reference URI=""><Transforms><Transform Algorithm="{DS}enveloped-signature"></Transform>'
        f'<Transform Algorithm="{C14N}"></Transform></Transforms>'
        f'<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></DigestMethod>'
        f"<DigestValue>{digest}</DigestValue></Reference>"
    )


def _canonical_signed_info(holder: etree._Element, content: str) -> bytes:
    """SignedInfo as inclusive C14N sees it at its place: with the namespaces and xml: attributes of the elements around
    it.

    It is built as a root of its own, because lxml canonicalises subtrees with a default namespace wrongly (a spurious
    `xmlns=""`).
    """
    scope = {**holder.nsmap, None: DS}
    # lxml's stubs do not know that the default namespace has the prefix None.
    root = etree.Element(f"{{{DS}}}SignedInfo", nsmap=cast("dict[str, str]", scope))
    for element in (holder, *holder.iterancestors()):
        for name, value in element.attrib.items():
            if str(name).startswith(_XML) and name not in root.attrib:
                root.set(name, value)
    root.extend(list(etree.fromstring(f'<SignedInfo xmlns="{DS}">{content}</SignedInfo>')))
    return canonical(root)


def canonical(root: etree._Element) -> bytes:
    """Inclusive C14N 1.0 of a document. Raises DocumentUnsignable."""
    try:
        return etree.tostring(root, method="c14n", exclusive=False, with_comments=False)
    except (etree.LxmlError, ValueError) as error:
        raise DocumentUnsignable("the document cannot be canonicalised") from error


def splice(document: bytes, place: re.Match[bytes], signature: bytes) -> bytes:
    """Puts the signature right after the start tag; white space inside the element stays behind it and is signed as it
    is.
    """
    inside = place["inside"] or b""
    start = b"<CHUKYDONVI" + place["space"] + b">"
    return document[: place.start()] + start + signature + inside + b"</CHUKYDONVI>" + document[place.end() :]
