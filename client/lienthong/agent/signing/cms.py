"""Detached CMS signature (RFC 5652) at level CAdES-B, or -T with a time-stamp (ETSI EN 319 122-1), DER.

The structure is small and always the same, so it is written out here; no ASN.1 library with a stable interface is at
hand, and cryptography's own PKCS#7 builder cannot add signing-certificate-v2 (RFC 5035), without which the certificate
of a signature could be swapped.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from lienthong.agent.signing.signer import KeyAlgorithm, KeystoreInvalid, Signer
from lienthong.agent.signing.timestamping import Stamp

_SEQUENCE, _SET, _INTEGER, _OCTETS, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x31, 0x02, 0x04, 0x17, 0x18
_CONTEXT_0 = 0xA0
_CONTEXT_1 = 0xA1
_CONTEXT_4 = 0xA4

# Object identifiers as DER.
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_DATA = bytes.fromhex("06092a864886f70d010701")
_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_SIGNING_TIME = bytes.fromhex("06092a864886f70d010905")
_SIGNING_CERTIFICATE_V2 = bytes.fromhex("060b2a864886f70d010910022f")
_TIMESTAMP_TOKEN = bytes.fromhex("060b2a864886f70d010910020e")
_SHA256 = bytes.fromhex("300b0609608648016503040201")
_SIGNATURES = {
    KeyAlgorithm.RSA: bytes.fromhex("300d06092a864886f70d01010b0500"),  # sha256WithRSAEncryption, NULL
    # RSASSA-PSS with SHA-256, MGF1 over SHA-256, salt 32 (RFC 4055 §3.1).
    KeyAlgorithm.RSA_PSS: bytes.fromhex(
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
        "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
    ),
    KeyAlgorithm.P256: bytes.fromhex("300a06082a8648ce3d040302"),  # ecdsa-with-SHA256
}

_LAST_UTC_YEAR = 2049


def sign_detached(
    content: bytes,
    signer: Signer,
    *,
    signing_time: datetime | None = None,
    stamp: Stamp | None = None,
    claims_time: bool = True,
) -> bytes:
    """DER of a SignedData over `content`, which it does not hold. `signing_time` (aware) defaults to the clock; it is
    what the signer claims, unless `claims_time` says that the time stands elsewhere (PAdES). `stamp` gets the time-stamp
    over the signature value.

    Raises SigningError.
    """
    try:
        certificate = x509.load_der_x509_certificate(signer.certificate)
        issuer = certificate.issuer.public_bytes()
    except ValueError as error:
        raise KeystoreInvalid("the signer's certificate cannot be read") from error
    serial = _integer(certificate.serial_number)
    at = (signing_time or datetime.now(UTC)) if claims_time else None
    attributes = _attributes(content, signer.certificate, issuer, serial, at)
    value = _value(signer.algorithm, signer.sign(_tlv(_SET, attributes)))
    unsigned = []
    if stamp is not None:
        token = _tlv(_SEQUENCE, _TIMESTAMP_TOKEN, _tlv(_SET, stamp(value)))
        unsigned.append(_tlv(_CONTEXT_1, token))
    signer_info = _tlv(
        _SEQUENCE,
        _integer(1),
        _tlv(_SEQUENCE, issuer, serial),
        _SHA256,
        _tlv(_CONTEXT_0, attributes),
        _SIGNATURES[signer.algorithm],
        _tlv(_OCTETS, value),
        *unsigned,
    )
    signed_data = _tlv(
        _SEQUENCE,
        _integer(1),
        _tlv(_SET, _SHA256),
        _tlv(_SEQUENCE, _DATA),
        _tlv(_CONTEXT_0, *sorted({signer.certificate, *signer.chain})),
        _tlv(_SET, signer_info),
    )
    return _tlv(_SEQUENCE, _SIGNED_DATA, _tlv(_CONTEXT_0, signed_data))


def _attributes(content: bytes, certificate: bytes, issuer: bytes, serial: bytes, at: datetime | None) -> bytes:
    """The signed attributes in DER order, without the tag of their set."""
    issuer_serial = _tlv(_SEQUENCE, _tlv(_SEQUENCE, _tlv(_CONTEXT_4, issuer)), serial)
    # ESSCertIDv2 leaves out the hash algorithm, whose default is SHA-256.
    identifier = _tlv(_SEQUENCE, _tlv(_OCTETS, hashlib.sha256(certificate).digest()), issuer_serial)
    found = {
        _CONTENT_TYPE: _DATA,
        _MESSAGE_DIGEST: _tlv(_OCTETS, hashlib.sha256(content).digest()),
        _SIGNING_CERTIFICATE_V2: _tlv(_SEQUENCE, _tlv(_SEQUENCE, identifier)),
    }
    if at is not None:
        found[_SIGNING_TIME] = _time(at)
    return b"".join(sorted(_tlv(_SEQUENCE, oid, _tlv(_SET, value)) for oid, value in found.items()))


def _value(algorithm: KeyAlgorithm, signature: bytes) -> bytes:
    if algorithm is not KeyAlgorithm.P256:
        return signature
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def _time(at: datetime) -> bytes:
    """UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5652 §11.3)."""
    utc = at.astimezone(UTC)
    if utc.year <= _LAST_UTC_YEAR:
        return _tlv(_UTC_TIME, utc.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return _tlv(_GENERALIZED_TIME, utc.strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def _integer(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
