"""A small writer of XAdES for the shapes that signxml does not make: exclusive C14N, detached, without prefix.

It canonicalises by writing every piece as a document of its own, so it shares no code with what it tests.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from tests.unit.signing.formats.conftest import Identity

DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_XSI = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def sign_xades(
    document: bytes | None,
    holder: str,
    identity: Identity,
    at: datetime | None,
    *,
    content: bytes = b"",
    exclusive: bool = False,
    prefix: str = "",
    sign_key_info: bool = False,
) -> bytes:
    """The document with a P-256 signature in its empty holder; without document the signature file over `content`."""
    p = f"{prefix}:" if prefix else ""
    method = EXCLUSIVE if exclusive else C14N
    # What stands around the signature, as C14N sees it; the exclusive one drops what is not used.
    language = ' xml:lang="vi"' if document is not None and b"xml:lang" in document else ""
    around = (
        (_XSI if document is not None and b"xmlns:xsi" in document else "")
        + language
        + (f' xmlns:{prefix}="{DS}"' if prefix else f' xmlns="{DS}"')
    )
    certificate = base64.b64encode(identity.der).decode()
    digest = base64.b64encode(hashlib.sha256(identity.der).digest()).decode()
    time = f"<xades:SigningTime>{at:%Y-%m-%dT%H:%M:%S}Z</xades:SigningTime>" if at else ""
    properties = (
        f'<xades:SignedProperties xmlns:xades="{XADES}" Id="properties"><xades:SignedSignatureProperties>{time}'
        f'<xades:SigningCertificateV2><xades:Cert><xades:CertDigest><{p}DigestMethod Algorithm="{_SHA256}"/>'
        f"<{p}DigestValue>{digest}</{p}DigestValue></xades:CertDigest></xades:Cert></xades:SigningCertificateV2>"
        f"</xades:SignedSignatureProperties></xades:SignedProperties>"
    )
    key_info = f'<{p}KeyInfo Id="key"><{p}X509Data><{p}X509Certificate>{certificate}</{p}X509Certificate></{p}X509Data></{p}KeyInfo>'
    inner = f'<{p}Transforms><{p}Transform Algorithm="{method}"/></{p}Transforms>'
    if document is None:
        first = _reference(p, 'Id="document" URI="table.xml"', "", content)
    else:
        transforms = (
            f'<{p}Transforms><{p}Transform Algorithm="{DS}enveloped-signature"/>'
            f'<{p}Transform Algorithm="{method}"/></{p}Transforms>'
        )
        first = _reference(p, 'Id="document" URI=""', transforms, _canonical(document.decode(), exclusive))
    kind = 'URI="#properties" Type="http://uri.etsi.org/01903#SignedProperties"'
    second = _reference(p, kind, inner, _canonical(_around(properties, around), exclusive))
    third = (
        _reference(p, 'URI="#key"', inner, _canonical(_around(key_info, around), exclusive)) if sign_key_info else ""
    )
    info = (
        f'<{p}SignedInfo><{p}CanonicalizationMethod Algorithm="{method}"/>'
        f'<{p}SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>'
        f"{first}{second}{third}</{p}SignedInfo>"
    )
    assert isinstance(identity.key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(
        identity.key.sign(_canonical(_around(info, around), exclusive), ec.ECDSA(hashes.SHA256()))
    )
    value = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    signature = (
        f'<{p}Signature xmlns{":" + prefix if prefix else ""}="{DS}" Id="signature">{info}'
        f'<{p}SignatureValue Id="value">{value}</{p}SignatureValue>{key_info}'
        f'<{p}Object><xades:QualifyingProperties xmlns:xades="{XADES}" Target="#signature">'
        f"{properties}"
        f"</xades:QualifyingProperties></{p}Object></{p}Signature>"
    )
    if document is None:
        return signature.encode()
    return document.replace(f"<{holder}/>".encode(), f"<{holder}>{signature}</{holder}>".encode(), 1)


def with_timestamp(file: bytes, tokens: Sequence[bytes], method: str = "") -> bytes:
    """Adds SignatureTimeStamps to a signature without prefix."""
    canonicalization = f'<CanonicalizationMethod Algorithm="{method}"/>' if method else ""
    stamps = "".join(
        f"<xades:SignatureTimeStamp>{canonicalization}<xades:EncapsulatedTimeStamp>{base64.b64encode(token).decode()}"
        f"</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>"
        for token in tokens
    )
    added = (
        f"<xades:UnsignedProperties><xades:UnsignedSignatureProperties>{stamps}"
        f"</xades:UnsignedSignatureProperties></xades:UnsignedProperties></xades:QualifyingProperties>"
    )
    return file.replace(b"</xades:QualifyingProperties>", added.encode(), 1)


def _reference(p: str, attributes: str, transforms: str, data: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return (
        f'<{p}Reference {attributes}>{transforms}<{p}DigestMethod Algorithm="{_SHA256}"/>'
        f"<{p}DigestValue>{digest}</{p}DigestValue></{p}Reference>"
    )


def _around(element: str, declarations: str) -> str:
    """The element as a document of its own, with what is declared around it."""
    return re.sub(r"^<[^ >/]+", lambda name: name[0] + declarations, element)


def _canonical(text: str, exclusive: bool) -> bytes:
    root = etree.fromstring(text.encode())
    canonical = etree.tostring(root, method="c14n", exclusive=exclusive)
    # Exclusive C14N does not inherit attributes of the xml: namespace, and the outer document keeps its own.
    if exclusive and root.tag != "GIAMDINHHS":
        return canonical.replace(b' xml:lang="vi"', b"")
    return canonical
