"""Strict profile of a detached CMS signature (RFC 5652) at level CAdES-B (ETSI EN 319 122-1), over any bytes.

Accepted is exactly this: one DER ContentInfo with nothing after it; SignedData without content, of type `data`, with
one signer; signed attributes with content-type, message-digest and signing-certificate-v2, once each. Without signed
attributes a genuine signature could be replayed over the DER of its attributes, and without signing-certificate-v2 the
certificate could be swapped, so neither is optional here. Level B also takes the signing-time attribute (EN 319 122-1
§6.3); a signature without it is PLAIN. Certificates in the message only help to find the signer; revocation data in it
is not looked at. Of the unsigned attributes signature-time-stamps are handed on (CAdES-T), the others are not read.

The parser is cryptography's declarative DER decoder, whose API is marked unstable: nothing outside this file uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from services.signing.formats.facts import Finding, SignatureFacts, SignatureScope, SubIndication
from services.signing.formats.keys import (
    ACCEPTED,
    Algorithm,
    Family,
    SignerCertificate,
    digest,
    signer_certificate,
    verify,
)
from services.signing.model import SignatureFormat, SignatureLevel

LARGEST_SIGNATURE = 64 * 1024
"""Longest signature file that is parsed, in bytes."""

MOST_CERTIFICATES = 8
"""Most certificates in a signature."""

MOST_TIMESTAMPS = 4
"""Most time-stamps on a signature."""

_MOST_ATTRIBUTES = 32


@asn1.sequence
class _AlgorithmIdentifier:
    oid: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _Attribute:
    oid: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _SignerInfo:
    version: int
    sid: asn1.TLV
    digest_algorithm: _AlgorithmIdentifier
    signed_attributes: Annotated[asn1.SetOf[_Attribute] | None, asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes
    unsigned_attributes: Annotated[asn1.SetOf[_Attribute] | None, asn1.Implicit(1)]


@asn1.sequence
class _SignedData:
    version: int
    digest_algorithms: asn1.SetOf[_AlgorithmIdentifier]
    content: asn1.TLV
    certificates: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(0)]
    revocations: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(1)]
    signers: asn1.SetOf[_SignerInfo]


@asn1.sequence
class _ContentInfo:
    oid: ObjectIdentifier
    content: Annotated[_SignedData, asn1.Explicit(0)]


@asn1.sequence
class _IssuerAndSerial:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class _IssuerSerial:
    """IssuerSerial of RFC 5035: the issuer is a list of GeneralName."""

    issuer: list[asn1.TLV]
    serial: int


@asn1.sequence
class _EssCertificateId:
    hash_algorithm: _AlgorithmIdentifier | None
    hash: bytes
    issuer_serial: _IssuerSerial | None


@asn1.sequence
class _SigningCertificate:
    certificates: list[_EssCertificateId]
    policies: list[asn1.TLV] | None


@asn1.sequence
class _MaskGeneration:
    oid: ObjectIdentifier
    hash: _AlgorithmIdentifier


@asn1.sequence
class _PssParameters:
    hash: Annotated[_AlgorithmIdentifier | None, asn1.Explicit(0)]
    mask: Annotated[_MaskGeneration | None, asn1.Explicit(1)]
    salt: Annotated[int | None, asn1.Explicit(2)]
    trailer: Annotated[int | None, asn1.Explicit(3)]


@asn1.sequence
class _PssAlgorithm:
    oid: ObjectIdentifier
    parameters: _PssParameters


_SIGNED_DATA = ObjectIdentifier("1.2.840.113549.1.7.2")
_CONTENT_TYPE = ObjectIdentifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = ObjectIdentifier("1.2.840.113549.1.9.4")
_SIGNING_TIME = ObjectIdentifier("1.2.840.113549.1.9.5")
_SIGNING_CERTIFICATE_V2 = ObjectIdentifier("1.2.840.113549.1.9.16.2.47")
_SIGNATURE_POLICY = ObjectIdentifier("1.2.840.113549.1.9.16.2.15")
_SIGNATURE_TIME_STAMP = ObjectIdentifier("1.2.840.113549.1.9.16.2.14")
_MGF1 = ObjectIdentifier("1.2.840.113549.1.1.8")
_PSS = ObjectIdentifier("1.2.840.113549.1.1.10")
_RSA = ObjectIdentifier("1.2.840.113549.1.1.1")
_ED25519 = ObjectIdentifier("1.3.101.112")

_DATA = bytes.fromhex("06092a864886f70d010701")
"""DER of the object identifier of content type `data`, the whole of an EncapsulatedContentInfo without content."""

_DIGESTS = {
    ObjectIdentifier("2.16.840.1.101.3.4.2.1"): "sha256",
    ObjectIdentifier("2.16.840.1.101.3.4.2.2"): "sha384",
    ObjectIdentifier("2.16.840.1.101.3.4.2.3"): "sha512",
    ObjectIdentifier("2.16.840.1.101.3.4.2.8"): "sha3-256",
    ObjectIdentifier("2.16.840.1.101.3.4.2.9"): "sha3-384",
    ObjectIdentifier("2.16.840.1.101.3.4.2.10"): "sha3-512",
}
_WEAK = {
    ObjectIdentifier("1.2.840.113549.2.5"),  # MD5
    ObjectIdentifier("1.3.14.3.2.26"),  # SHA-1
    ObjectIdentifier("1.2.840.113549.1.1.4"),  # md5WithRSAEncryption
    ObjectIdentifier("1.2.840.113549.1.1.5"),  # sha1WithRSAEncryption
    ObjectIdentifier("1.2.840.10045.4.1"),  # ecdsa-with-SHA1
}
_SIGNATURES: Mapping[ObjectIdentifier, tuple[Family, str]] = {
    ObjectIdentifier("1.2.840.113549.1.1.11"): (Family.RSA_PKCS1V15, "sha256"),
    ObjectIdentifier("1.2.840.113549.1.1.12"): (Family.RSA_PKCS1V15, "sha384"),
    ObjectIdentifier("1.2.840.113549.1.1.13"): (Family.RSA_PKCS1V15, "sha512"),
    ObjectIdentifier("1.2.840.10045.4.3.2"): (Family.ECDSA_DER, "sha256"),
    ObjectIdentifier("1.2.840.10045.4.3.3"): (Family.ECDSA_DER, "sha384"),
    ObjectIdentifier("1.2.840.10045.4.3.4"): (Family.ECDSA_DER, "sha512"),
    ObjectIdentifier("2.16.840.1.101.3.4.3.10"): (Family.ECDSA_DER, "sha3-256"),
    ObjectIdentifier("2.16.840.1.101.3.4.3.11"): (Family.ECDSA_DER, "sha3-384"),
    ObjectIdentifier("2.16.840.1.101.3.4.3.12"): (Family.ECDSA_DER, "sha3-512"),
    ObjectIdentifier("2.16.840.1.101.3.4.3.14"): (Family.RSA_PKCS1V15, "sha3-256"),
    ObjectIdentifier("2.16.840.1.101.3.4.3.15"): (Family.RSA_PKCS1V15, "sha3-384"),
    ObjectIdentifier("2.16.840.1.101.3.4.3.16"): (Family.RSA_PKCS1V15, "sha3-512"),
}


@dataclass(frozen=True)
class _Attributes:
    """The signed attributes that count."""

    message_digest: bytes
    signing_certificate: _EssCertificateId
    signing_time: datetime | None


def verify_cms(content: bytes, signature: bytes, registered: Mapping[str, bytes] | None = None) -> SignatureFacts:
    """Verifies a detached signature over `content`. Raises a Finding; never anything else, whatever the bytes.

    `registered` gives certificates by the hex SHA-256 of their DER; it is asked where the signature does not carry the
    signer's own.
    """
    signed = _signed_data(signature)
    signer = _signer(signed)
    digest_name = _digest_name(signer.digest_algorithm, "DIGEST_ALGORITHM")
    algorithm = _algorithm(signer.signature_algorithm, digest_name)
    attributes = _attributes(signer)
    carried = _carried(signed)
    certificate = _certificate(carried, signer, attributes.signing_certificate, registered or {})
    if digest(digest_name, content) != attributes.message_digest:
        raise Finding(SubIndication.HASH_FAILURE, "DIGEST_MISMATCH", "the content is not the one that was signed")
    # What was signed is the set with its universal tag; the decoder refuses a set that is not in DER order.
    name = verify(certificate, algorithm, signer.signature, asn1.encode_der(signer.signed_attributes))
    timestamps = _timestamps(signer)
    return SignatureFacts(
        format=SignatureFormat.CMS_DETACHED,
        scope=SignatureScope.FULL,
        signer_certificate_der=certificate.der,
        algorithm=name,
        digest_algorithm=digest_name,
        claimed_signing_time=attributes.signing_time,
        covered=content,
        level=SignatureLevel.PLAIN if attributes.signing_time is None else SignatureLevel.B,
        timestamps=timestamps,
        timestamped=signer.signature if timestamps else b"",
        embedded=tuple(der for der in carried if der != certificate.der),
        key_bits=certificate.key_bits,
    )


def _signed_data(signature: bytes) -> _SignedData:
    if not signature:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "there is no signature")
    if len(signature) > LARGEST_SIGNATURE:
        raise _format("SIGNATURE_TOO_LARGE", f"a signature has at most {LARGEST_SIGNATURE} bytes")
    try:
        info = asn1.decode_der(_ContentInfo, signature)
    except (ValueError, OverflowError) as error:
        raise _format("CMS_MALFORMED", "not one DER SignedData, or more than that") from error
    if info.oid != _SIGNED_DATA:
        raise _format("CMS_MALFORMED", "not SignedData")
    content = bytes(info.content.content.data)
    if content != _DATA:
        attached = content.startswith(_DATA)
        raise _format("CONTENT_NOT_DETACHED" if attached else "CONTENT_TYPE_UNSUPPORTED", "the signature is detached")
    return info.content


def _signer(signed: _SignedData) -> _SignerInfo:
    signers = signed.signers.as_list()
    if not signers:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "the message has no signer")
    if len(signers) > 1:
        raise _format("SIGNATURE_NOT_UNIQUE", "the message has more than one signer")
    signer = signers[0]
    # RFC 5652 §5.1 and §5.3: version 1 names the signer by issuer and serial number, version 3 by key identifier.
    if signer.version != (1 if signer.sid.tag_bytes == b"\x30" else 3) or signed.version not in (1, signer.version):
        raise _format("CMS_VERSION", "the versions do not fit the signer identifier")
    if signer.digest_algorithm.oid not in [algorithm.oid for algorithm in signed.digest_algorithms.as_list()]:
        raise _format("DIGEST_ALGORITHM_UNLISTED", "the message does not list the signer's digest algorithm")
    return signer


def _attributes(signer: _SignerInfo) -> _Attributes:
    if signer.signed_attributes is None:
        raise _format("SIGNED_ATTRIBUTES_MISSING", "the signature has no signed attributes")
    attributes = signer.signed_attributes.as_list()
    if len(attributes) > _MOST_ATTRIBUTES:
        raise _format("SIGNED_ATTRIBUTES_TOO_MANY", f"a signature has at most {_MOST_ATTRIBUTES} signed attributes")
    values: dict[ObjectIdentifier, Sequence[asn1.TLV]] = {}
    for attribute in attributes:
        if attribute.oid in values:
            raise _format("SIGNED_ATTRIBUTE_NOT_UNIQUE", "a signed attribute occurs twice")
        values[attribute.oid] = attribute.values.as_list()
    if _SIGNATURE_POLICY in values:
        raise Finding(
            SubIndication.SIGNATURE_POLICY_NOT_AVAILABLE,
            "SIGNATURE_POLICY_UNKNOWN",
            "the signature names a signature policy of its own",
        )
    content_type = _single(values, _CONTENT_TYPE, "CONTENT_TYPE_ATTRIBUTE")
    message_digest = _single(values, _MESSAGE_DIGEST, "MESSAGE_DIGEST_ATTRIBUTE")
    certificate = _single(values, _SIGNING_CERTIFICATE_V2, "SIGNING_CERTIFICATE_ATTRIBUTE")
    if content_type.tag_bytes + bytes([len(content_type.data)]) + bytes(content_type.data) != _DATA:
        raise _format("CONTENT_TYPE_ATTRIBUTE_WRONG", "the content-type attribute is not `data`")
    if message_digest.tag_bytes != b"\x04":
        raise _format("MESSAGE_DIGEST_ATTRIBUTE_WRONG", "the message-digest attribute is not an octet string")
    try:
        identifiers = certificate.parse(_SigningCertificate).certificates
    except ValueError as error:
        raise _format("SIGNING_CERTIFICATE_ATTRIBUTE_WRONG", "signing-certificate-v2 cannot be read") from error
    if not identifiers:
        raise _format("SIGNING_CERTIFICATE_ATTRIBUTE_WRONG", "signing-certificate-v2 names no certificate")
    time = _time(_single(values, _SIGNING_TIME, "SIGNING_TIME_ATTRIBUTE")) if _SIGNING_TIME in values else None
    return _Attributes(bytes(message_digest.data), identifiers[0], time)


def _single(values: Mapping[ObjectIdentifier, Sequence[asn1.TLV]], oid: ObjectIdentifier, reason: str) -> asn1.TLV:
    found = values.get(oid)
    if found is None:
        raise _format(f"{reason}_MISSING", "a signed attribute that is required is not there")
    if len(found) != 1:
        raise _format(f"{reason}_WRONG", "a signed attribute does not have one value")
    return found[0]


def _time(value: asn1.TLV) -> datetime:
    try:
        parsed: asn1.UTCTime | asn1.GeneralizedTime = value.parse(
            asn1.UTCTime if value.tag_bytes == b"\x17" else asn1.GeneralizedTime
        )
        return parsed.as_datetime()
    except ValueError as error:
        raise _format("SIGNING_TIME_ATTRIBUTE_WRONG", "the signing-time attribute is not a time") from error


def _certificate(
    carried: Sequence[bytes], signer: _SignerInfo, identifier: _EssCertificateId, registered: Mapping[str, bytes]
) -> SignerCertificate:
    """The certificate that signing-certificate-v2 names, from the message or from the registered ones."""
    name = "sha256"
    if identifier.hash_algorithm is not None:
        name = _digest_name(identifier.hash_algorithm, "SIGNING_CERTIFICATE_DIGEST")
    candidates = [der for der in carried if digest(name, der) == identifier.hash]
    if not candidates and name == "sha256" and identifier.hash.hex() in registered:
        candidates = [registered[identifier.hash.hex()]]
    if not candidates:
        raise _missing("SIGNING_CERTIFICATE_MISMATCH", "no certificate at hand is the one the signature names")
    certificate = signer_certificate(candidates[0])
    if not _identified(signer.sid, certificate):
        raise _missing("IDENTIFIER_MISMATCH", "the signer identifier is of another certificate")
    if identifier.issuer_serial is not None and identifier.issuer_serial.serial != certificate.serial:
        raise _missing("SIGNING_CERTIFICATE_MISMATCH", "signing-certificate-v2 names another serial number")
    return certificate


def _carried(signed: _SignedData) -> Sequence[bytes]:
    """The certificates of the message, DER."""
    certificates = signed.certificates.as_list() if signed.certificates is not None else []
    if len(certificates) > MOST_CERTIFICATES:
        raise _format("CERTIFICATES_TOO_MANY", f"a signature carries at most {MOST_CERTIFICATES} certificates")
    return [_der(certificate) for certificate in certificates]


def _timestamps(signer: _SignerInfo) -> tuple[bytes, ...]:
    """The tokens over the signature value (EN 319 122-1 §5.3), DER, unread."""
    if signer.unsigned_attributes is None:
        return ()
    attributes = signer.unsigned_attributes.as_list()
    if len(attributes) > _MOST_ATTRIBUTES:
        raise _format("UNSIGNED_ATTRIBUTES_TOO_MANY", f"a signature has at most {_MOST_ATTRIBUTES} unsigned attributes")
    tokens = [
        value
        for attribute in attributes
        if attribute.oid == _SIGNATURE_TIME_STAMP
        for value in attribute.values.as_list()
    ]
    if len(tokens) > MOST_TIMESTAMPS:
        raise _format("TIMESTAMPS_TOO_MANY", f"a signature has at most {MOST_TIMESTAMPS} time-stamps")
    return tuple(map(_der, tokens))


def _identified(sid: asn1.TLV, certificate: SignerCertificate) -> bool:
    if sid.tag_bytes == b"\x80":
        return certificate.key_id is not None and bytes(sid.data) == certificate.key_id
    try:
        named = sid.parse(_IssuerAndSerial)
    except ValueError:
        return False
    return named.serial == certificate.serial and _der(named.issuer) == certificate.issuer


def _der(value: asn1.TLV) -> bytes:
    """The element with its header; the decoder keeps tag and content apart."""
    content = bytes(value.data)
    return value.tag_bytes + _length(len(content)) + content


@lru_cache(maxsize=1024)
def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _digest_name(algorithm: _AlgorithmIdentifier, reason: str) -> str:
    if algorithm.oid not in _DIGESTS:
        raise _weak(f"{reason}_{'WEAK' if algorithm.oid in _WEAK else 'UNSUPPORTED'}")
    return _DIGESTS[algorithm.oid]


def _algorithm(value: asn1.TLV, digest_name: str) -> Algorithm:
    """The signature algorithm, which uses the digest of the message (RFC 5652 §5.4)."""
    try:
        plain = value.parse(_AlgorithmIdentifier)
    except ValueError:
        return _pss(value, digest_name)
    if plain.oid == _ED25519:
        # RFC 8419 §2.3: with signed attributes the message is digested with SHA-512; parameters are absent (§2.1).
        if digest_name != "sha512" or plain.parameters is not None:
            raise _format("DIGEST_ALGORITHM_MISMATCH", "Ed25519 goes with SHA-512 and has no parameters")
        return Algorithm(Family.ED25519, digest_name)
    if plain.oid == _RSA:
        return Algorithm(Family.RSA_PKCS1V15, digest_name)
    family, name = _SIGNATURES.get(plain.oid, (None, ""))
    if family is None:
        raise _weak(f"SIGNATURE_ALGORITHM_{'WEAK' if plain.oid in _WEAK else 'UNSUPPORTED'}")
    if name != digest_name:
        raise _format("DIGEST_ALGORITHM_MISMATCH", "signature and message use different digests")
    return Algorithm(family, name)


def _pss(value: asn1.TLV, digest_name: str) -> Algorithm:
    try:
        algorithm = value.parse(_PssAlgorithm)
    except ValueError as error:
        raise _weak("SIGNATURE_ALGORITHM_UNSUPPORTED") from error
    parameters = algorithm.parameters
    # Every default of RFC 4055 §3.1 is SHA-1 or goes with it, so all but the trailer must be given.
    if algorithm.oid != _PSS or parameters.hash is None or parameters.mask is None or parameters.mask.oid != _MGF1:
        raise _weak("SIGNATURE_ALGORITHM_UNSUPPORTED")
    names = {_digest_name(found, "SIGNATURE_ALGORITHM") for found in (parameters.hash, parameters.mask.hash)}
    salt = 20 if parameters.salt is None else parameters.salt
    if names != {digest_name} or parameters.trailer not in (None, 1) or not 0 <= salt <= 1024:
        raise _format("DIGEST_ALGORITHM_MISMATCH", "signature and message use different digests")
    return Algorithm(Family.RSA_PSS, digest_name, salt)


def _weak(reason: str) -> Finding:
    return Finding(SubIndication.CRYPTO_CONSTRAINTS_FAILURE, reason, ACCEPTED)


def _missing(reason: str, text: str) -> Finding:
    return Finding(SubIndication.NO_SIGNING_CERTIFICATE_FOUND, reason, text)


def _format(reason: str, text: str) -> Finding:
    return Finding(SubIndication.FORMAT_FAILURE, reason, text)
