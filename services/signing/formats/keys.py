"""Signers' public keys and the signature algorithms that are accepted (Circular 15/2025/TT-BKHCN; SHA-1 and short keys
never).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TypeAlias, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from services.signing.formats.facts import Finding, SubIndication

LARGEST_CERTIFICATE = 16 * 1024
"""Longest certificate that is looked at, in bytes."""

SHORTEST_RSA, LONGEST_RSA = 2048, 8192
"""Accepted RSA moduli in bits; the upper bound keeps a verification under a millisecond."""

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

ACCEPTED = "SHA-2 or SHA-3 of 256 to 512 bits with RSA PKCS#1 v1.5, RSA-PSS or ECDSA; Ed25519"
"""What is accepted, for a person to read."""

_CURVES = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384", "secp521r1": "ecdsa-p521"}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3-256": hashes.SHA3_256(),
    "sha3-384": hashes.SHA3_384(),
    "sha3-512": hashes.SHA3_512(),
}
# Made once: their constructors check types at some cost.
_ECDSA = {name: ec.ECDSA(hash_) for name, hash_ in _HASHES.items()}
_DIGESTS = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "sha3-256": hashlib.sha3_256,
    "sha3-384": hashlib.sha3_384,
    "sha3-512": hashlib.sha3_512,
}


class Family(Enum):
    """How a signature value is made; ECDSA values come as DER or, in XML and JSON, as the two numbers side by side."""

    RSA_PKCS1V15 = "rsa-pkcs1v15"
    RSA_PSS = "rsa-pss"
    ECDSA_DER = "ecdsa"
    ECDSA_RAW = "ecdsa-raw"
    ED25519 = "ed25519"


@dataclass(frozen=True)
class Algorithm:
    """A signature algorithm with its digest, such as `sha256` or `sha3-256`, which Ed25519 (RFC 8032) brings itself;
    `salt` is the length of a PSS salt in bytes.
    """

    family: Family
    digest: str
    salt: int = 0


@dataclass(frozen=True)
class SignerCertificate:
    """A parsed signer's certificate. `key_name` is such as `rsa` or `ecdsa-p256`, `key_bits` the length of the modulus
    or of the curve's field; `families` are those its key can verify; `issuer` is the issuer's name as DER.
    """

    der: bytes
    key: PublicKey
    key_name: str
    key_bits: int
    families: frozenset[Family]
    issuer: bytes
    serial: int
    key_id: bytes | None


def digest(name: str, data: bytes) -> bytes:
    """Digest of `data` with `sha256`, `sha384`, `sha512`, `sha3-256`, `sha3-384` or `sha3-512`."""
    return _DIGESTS[name](data).digest()


def parse_certificate(der: bytes) -> x509.Certificate:
    """One DER certificate and nothing after it; a Finding otherwise."""
    if len(der) > LARGEST_CERTIFICATE:
        raise _unreadable("the certificate is too long")
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise _unreadable("the certificate is not DER") from error
    if certificate.serial_number <= 0:
        # RFC 5280 §4.1.2.2. The library only warns of it.
        raise _unreadable("the certificate's serial number is not positive")
    return certificate


def checked_key(certificate: x509.Certificate) -> tuple[PublicKey, str]:
    """The certificate's key and its name, if it is of a kind that any policy may allow; a Finding otherwise."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unreadable("the certificate's key cannot be read") from error
    if isinstance(key, rsa.RSAPublicKey) and SHORTEST_RSA <= key.key_size <= LONGEST_RSA:
        return key, "rsa"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key, _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key, "ed25519"
    short = isinstance(key, rsa.RSAPublicKey) and key.key_size < SHORTEST_RSA
    raise Finding(
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE,
        "KEY_TOO_SMALL" if short else "KEY_UNSUPPORTED",
        f"keys are RSA of {SHORTEST_RSA} to {LONGEST_RSA} bits, P-256, P-384, P-521 or Ed25519",
    )


@lru_cache(maxsize=4096)
def signer_certificate(der: bytes) -> SignerCertificate:
    """The certificate of a signer with a key that the policy allows; a Finding otherwise."""
    certificate = parse_certificate(der)
    key, name = checked_key(certificate)
    try:
        issuer = certificate.issuer.public_bytes()
        key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        key_id = None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise _unreadable("the certificate has a wrong name or extension") from error
    return SignerCertificate(der, key, name, _bits(key), _families(key), issuer, certificate.serial_number, key_id)


def _families(key: PublicKey) -> frozenset[Family]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return frozenset({Family.ECDSA_DER, Family.ECDSA_RAW})
    if isinstance(key, ed25519.Ed25519PublicKey):
        return frozenset({Family.ED25519})
    return frozenset({Family.RSA_PKCS1V15, Family.RSA_PSS})


def _bits(key: PublicKey) -> int:
    return 256 if isinstance(key, ed25519.Ed25519PublicKey) else key.key_size


def verify(certificate: SignerCertificate, algorithm: Algorithm, signature: bytes, data: bytes) -> str:
    """Verifies a signature value over `data`. Returns the name of the algorithm; raises a Finding when the value is
    wrong.
    """
    key, family = certificate.key, algorithm.family
    if family not in certificate.families:
        raise _wrong("KEY_TYPE_MISMATCH", "the certificate's key is of another type than the signature algorithm")
    try:
        if family is Family.ED25519:
            cast("ed25519.Ed25519PublicKey", key).verify(signature, data)
            return certificate.key_name
        if family in (Family.ECDSA_DER, Family.ECDSA_RAW):
            curve_key = cast("ec.EllipticCurvePublicKey", key)
            value = _der(curve_key, signature) if family is Family.ECDSA_RAW else signature
            curve_key.verify(value, data, _ECDSA[algorithm.digest])
            return f"{certificate.key_name}-{algorithm.digest}"
        hash_ = _HASHES[algorithm.digest]
        pss = family is Family.RSA_PSS
        scheme = padding.PSS(padding.MGF1(hash_), algorithm.salt) if pss else padding.PKCS1v15()
        cast("rsa.RSAPublicKey", key).verify(signature, data, scheme, hash_)
        return f"{family.value}-{algorithm.digest}"
    except (InvalidSignature, ValueError) as error:
        raise _wrong(
            "SIGNATURE_VALUE_WRONG", "the signature value does not verify with the certificate's key"
        ) from error


def _der(key: ec.EllipticCurvePublicKey, raw: bytes) -> bytes:
    width = (key.curve.key_size + 7) // 8
    if len(raw) != 2 * width:
        raise _wrong("SIGNATURE_VALUE_WRONG", "an ECDSA value in XML or JSON is two numbers of the curve's width")
    return encode_dss_signature(int.from_bytes(raw[:width], "big"), int.from_bytes(raw[width:], "big"))


def _wrong(reason: str, text: str) -> Finding:
    return Finding(SubIndication.SIG_CRYPTO_FAILURE, reason, text)


def _unreadable(text: str) -> Finding:
    return Finding(SubIndication.NO_SIGNING_CERTIFICATE_FOUND, "CERTIFICATE_UNREADABLE", text)
