"""CMS SignedData with one signer (RFC 5652), at level CAdES-B or as a time-stamp token: signed attributes and a reference
to the signing certificate (RFC 5035) are required, because without them a signature can be replayed on other content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from lienthong.client.evidence.der import CONTEXT_0, OCTETS, SEQUENCE, SET, DerInvalid, Value, read

LARGEST = 1024 * 1024
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_SHA1 = "1.3.14.3.2.26"
DIGESTS: Mapping[str, str] = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.8": "sha3_256",
    "2.16.840.1.101.3.4.2.9": "sha3_384",
    "2.16.840.1.101.3.4.2.10": "sha3_512",
}
HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
}
_RSA, _PSS, _ED25519 = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.3.101.112"
# Algorithms that name their digest themselves.
_NAMED = {
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
    "2.16.840.1.101.3.4.3.10": "sha3_256",
    "2.16.840.1.101.3.4.3.11": "sha3_384",
    "2.16.840.1.101.3.4.3.12": "sha3_512",
    "2.16.840.1.101.3.4.3.14": "sha3_256",
    "2.16.840.1.101.3.4.3.15": "sha3_384",
    "2.16.840.1.101.3.4.3.16": "sha3_512",
}
_LEAST_RSA_BITS = 2048


class SignedDataInvalid(ValueError):
    """The structure or its signature does not hold."""


@dataclass(frozen=True)
class SignedData:
    """A parsed structure; nothing of it is verified yet. `content` is None when it is detached."""

    content_type: str
    content: bytes | None
    certificates: tuple[bytes, ...]
    issuer_serial: tuple[bytes, int] | None
    digest: str
    algorithm: str
    attributes: bytes
    values: Mapping[str, Value]
    signature: bytes

    @property
    def signing_time(self) -> Value | None:
        """The time that the signer claims, where it does."""
        return self.values.get(_SIGNING_TIME)


def parse(encoded: bytes) -> SignedData:
    """Reads the structure. Raises SignedDataInvalid."""
    if len(encoded) > LARGEST:
        raise SignedDataInvalid("too large")
    try:
        return _parse(encoded)
    except (DerInvalid, IndexError, KeyError) as error:
        raise SignedDataInvalid("not a SignedData with one signer and signed attributes") from error


def _parse(encoded: bytes) -> SignedData:
    kind, wrapped = read(encoded).expect(SEQUENCE).children()
    if kind.oid() != _SIGNED_DATA:
        raise DerInvalid("not SignedData")
    fields = wrapped.expect(CONTEXT_0).children()[0].expect(SEQUENCE).children()
    encapsulated = fields[2].expect(SEQUENCE).children()
    content = encapsulated[1].expect(CONTEXT_0).children()[0].expect(OCTETS).content if len(encapsulated) > 1 else None
    certificates = [value for value in fields[3:] if value.tag == CONTEXT_0]
    signers = fields[-1].expect(SET).children()
    if len(signers) != 1:
        raise DerInvalid("not one signer")
    signer = signers[0].expect(SEQUENCE).children()
    sid = signer[1]
    attributes = signer[3].expect(CONTEXT_0)
    values: dict[str, Value] = {}
    for attribute in attributes.children():
        name, found = attribute.expect(SEQUENCE).children()
        one = found.expect(SET).children()
        if len(one) != 1 or name.oid() in values:
            raise DerInvalid("an attribute that does not stand once with one value")
        values[name.oid()] = one[0]
    return SignedData(
        content_type=encapsulated[0].oid(),
        content=content,
        certificates=tuple(one.encoded for one in (certificates[0].children() if certificates else [])),
        issuer_serial=_issuer_serial(sid) if sid.tag == SEQUENCE else None,
        digest=DIGESTS[signer[2].children()[0].oid()],
        algorithm=signer[4].children()[0].oid(),
        # What is signed is the set, not the tag that it travels under (RFC 5652 §5.4).
        attributes=bytes([SET]) + attributes.encoded[1:],
        values=values,
        signature=signer[5].expect(OCTETS).content,
    )


def _issuer_serial(sid: Value) -> tuple[bytes, int]:
    issuer, serial = sid.children()
    return issuer.encoded, serial.integer()


def verify(signed: SignedData, content: bytes, known: tuple[bytes, ...] = ()) -> x509.Certificate:
    """The signer's certificate, from the structure or from `known` (DER), when it signed exactly this content. Whether it
    is trusted is not asked here. Raises SignedDataInvalid.
    """
    try:
        return _verify(signed, content, known)
    except (DerInvalid, IndexError, KeyError, InvalidSignature, ValueError, x509.UnsupportedGeneralNameType) as error:
        raise SignedDataInvalid(str(error) or type(error).__name__) from error


def _verify(signed: SignedData, content: bytes, known: tuple[bytes, ...]) -> x509.Certificate:
    if signed.content is not None and signed.content != content:
        raise SignedDataInvalid("the content inside is another one")
    if signed.values[_CONTENT_TYPE].oid() != signed.content_type:
        raise SignedDataInvalid("the content type is another one")
    if signed.values[_MESSAGE_DIGEST].expect(OCTETS).content != hashlib.new(signed.digest, content).digest():
        raise SignedDataInvalid("the digest of the content is another one")
    certificate = _signer(signed, known)
    check_signature(certificate, signed.algorithm, signed.digest, signed.signature, signed.attributes)
    return certificate


def _signer(signed: SignedData, known: tuple[bytes, ...]) -> x509.Certificate:
    v2 = signed.values.get(_SIGNING_CERTIFICATE_V2)
    reference = v2 or signed.values[_SIGNING_CERTIFICATE]
    first = reference.expect(SEQUENCE).children()[0].children()[0].expect(SEQUENCE).children()
    if v2 is None:
        # ESSCertID of RFC 2634 knows SHA-1 only; time-stamping authorities still use it beside the issuer and serial.
        algorithm, digest = "sha1", first[0]
    elif first[0].tag == SEQUENCE:
        algorithm, digest = DIGESTS[first[0].children()[0].oid()], first[1]
    else:
        algorithm, digest = "sha256", first[0]
    for encoded in (*signed.certificates, *known):
        if hashlib.new(algorithm, encoded, usedforsecurity=False).digest() == digest.expect(OCTETS).content:
            certificate = x509.load_der_x509_certificate(encoded)
            named = signed.issuer_serial
            if named is None or named == (certificate.issuer.public_bytes(), certificate.serial_number):
                return certificate
    raise SignedDataInvalid("the signing certificate is not there")


def check_signature(
    certificate: x509.Certificate, algorithm: str, digest: str, signature: bytes, message: bytes
) -> None:
    """Raises InvalidSignature or ValueError unless the certificate's key signed the message by the algorithm (dotted)."""
    key = certificate.public_key()
    named = _NAMED.get(algorithm)
    used = HASHES[named or digest]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        if algorithm == _PSS:
            form: padding.AsymmetricPadding = padding.PSS(padding.MGF1(used), padding.PSS.AUTO)
        elif algorithm == _RSA or named is not None:
            form = padding.PKCS1v15()
        else:
            raise ValueError("the algorithm does not fit the key")
        key.verify(signature, message, form, used)
    elif isinstance(key, ec.EllipticCurvePublicKey) and named is not None:
        key.verify(signature, message, ec.ECDSA(used))
    elif isinstance(key, ed25519.Ed25519PublicKey) and algorithm == _ED25519:
        key.verify(signature, message)
    else:
        raise ValueError("an algorithm or a key that is not accepted")
