"""XAdES writer (ETSI EN 319 132-1) at level B, or T with a time-stamp: inside CHUKYDONVI, or in a file of its own.

SignedInfo, the signed properties and the time-stamped value are canonicalised exclusively (W3C Exclusive C14N 1.0), so they are the same bytes
wherever the signature stands; they are written in canonical form at once.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from datetime import UTC, datetime
from urllib.parse import quote

from lienthong.agent.signing.signer import Signer
from lienthong.agent.signing.timestamping import Stamp
from lienthong.agent.signing.xmldsig import C14N, DS, METHODS, canonical, find_holder, parse_envelope, splice

_XADES = "http://uri.etsi.org/01903/v1.3.2#"
_SIGNED_PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


def sign_xades_envelope(
    document: bytes, signer: Signer, *, stamp: Stamp | None = None, signing_time: datetime | None = None
) -> bytes:
    """The document with the signature in its empty CHUKYDONVI; nothing else changes. `signing_time` (aware) is what the signer claims.

    Raises DocumentUnsignable, SigningError.
    """
    root, _ = parse_envelope(document)
    place = find_holder(document)
    transforms = f"<Transforms>{_transform(DS + 'enveloped-signature')}{_transform(C14N)}</Transforms>"
    reference = f'<Reference URI="">{transforms}{_digest(canonical(root))}</Reference>'
    return splice(document, place, _signature(reference, signer, stamp, signing_time))


def sign_xades_detached(
    content: bytes,
    signer: Signer,
    *,
    name: str,
    stamp: Stamp | None = None,
    signing_time: datetime | None = None,
) -> bytes:
    """A signature file over exactly `content`, any bytes; `name` is the address that the reference gives it, such as `XML13.xml`.

    Raises SigningError.
    """
    reference = f'<Reference URI="{quote(name)}">{_digest(content)}</Reference>'
    return _signature(reference, signer, stamp, signing_time)


def _signature(reference: str, signer: Signer, stamp: Stamp | None, at: datetime | None) -> bytes:
    own = f"xades-{uuid.uuid4().hex}"
    properties = _properties(own, signer.certificate, at or datetime.now(UTC))
    signed_info = (
        f'<CanonicalizationMethod Algorithm="{_EXCLUSIVE}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{METHODS[signer.algorithm]}"></SignatureMethod>'
        f"{reference}"
        f'<Reference Type="{_SIGNED_PROPERTIES}" URI="#{own}-properties">'
        f"<Transforms>{_transform(_EXCLUSIVE)}</Transforms>{_digest(properties)}</Reference>"
    )
    value = _base64(signer.sign(f'<SignedInfo xmlns="{DS}">{signed_info}</SignedInfo>'.encode("ascii")))
    unsigned = ""
    if stamp is not None:
        token = stamp(f'<SignatureValue xmlns="{DS}" Id="{own}-value">{value}</SignatureValue>'.encode("ascii"))
        unsigned = (
            f"<xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:SignatureTimeStamp>"
            f'<CanonicalizationMethod Algorithm="{_EXCLUSIVE}"></CanonicalizationMethod>'
            f"<xades:EncapsulatedTimeStamp>{_base64(token)}</xades:EncapsulatedTimeStamp>"
            f"</xades:SignatureTimeStamp></xades:UnsignedSignatureProperties></xades:UnsignedProperties>"
        )
    certificates = "".join(
        f"<X509Certificate>{_base64(one)}</X509Certificate>" for one in (signer.certificate, *signer.chain)
    )
    return (
        f'<Signature xmlns="{DS}" Id="{own}"><SignedInfo>{signed_info}</SignedInfo>'
        f'<SignatureValue Id="{own}-value">{value}</SignatureValue>'
        f"<KeyInfo><X509Data>{certificates}</X509Data></KeyInfo>"
        f'<Object><xades:QualifyingProperties xmlns:xades="{_XADES}" Target="#{own}">'
        f"{properties.decode('ascii')}{unsigned}</xades:QualifyingProperties></Object></Signature>"
    ).encode("ascii")


def _properties(own: str, certificate: bytes, at: datetime) -> bytes:
    """The signed properties in their exclusive canonical form."""
    digest = base64.b64encode(hashlib.sha256(certificate).digest()).decode("ascii")
    return (
        f'<xades:SignedProperties xmlns:xades="{_XADES}" Id="{own}-properties"><xades:SignedSignatureProperties>'
        f"<xades:SigningTime>{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}</xades:SigningTime>"
        f"<xades:SigningCertificateV2><xades:Cert><xades:CertDigest>"
        f'<DigestMethod xmlns="{DS}" Algorithm="{_SHA256}"></DigestMethod>'
        f'<DigestValue xmlns="{DS}">{digest}</DigestValue>'
        f"</xades:CertDigest></xades:Cert></xades:SigningCertificateV2>"
        f"</xades:SignedSignatureProperties></xades:SignedProperties>"
    ).encode("ascii")


def _digest(data: bytes) -> str:
    value = _base64(hashlib.sha256(data).digest())
    return f'<DigestMethod Algorithm="{_SHA256}"></DigestMethod><DigestValue>{value}</DigestValue>'


def _transform(algorithm: str) -> str:
    return f'<Transform Algorithm="{algorithm}"></Transform>'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
