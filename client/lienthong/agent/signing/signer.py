"""Where a signing key is: the port that the formats sign through, and a PKCS#12 file behind it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

_LARGEST_KEYSTORE = 1024 * 1024
_P256_BYTES = 32

PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
"""The one form of RSASSA-PSS in use: MGF1 with SHA-256, salt as long as the digest."""


class SigningError(Exception):
    """A document cannot be signed. The text names no person and no secret."""


class KeystoreInvalid(SigningError):
    """The key file cannot be opened or holds no key of an accepted kind with its certificate."""


class DocumentUnsignable(SigningError):
    """The document is not of the form that can carry the signature."""


class TokenUnavailable(SigningError):
    """The PKCS#11 module or the token is not there, or the token refuses to work."""


class TokenPinWrong(SigningError):
    """The token does not accept the PIN, or has locked itself after too many wrong ones."""


class TokenKeyMissing(SigningError):
    """The token holds no such key, or more than one."""


class TokenCertificateMissing(SigningError):
    """Neither token nor profile holds a certificate of the key."""


class KeyAlgorithm(Enum):
    """Kinds of keys; signatures use SHA-256."""

    RSA = "RSA"
    """RSASSA-PKCS1-v1_5, at least 2048 bits."""

    RSA_PSS = "RSA_PSS"
    """RSASSA-PSS with MGF1 over SHA-256 and a salt of 32 bytes, at least 2048 bits."""

    P256 = "P256"
    """ECDSA on NIST P-256."""


class Signer(Protocol):
    """A key that signs, wherever it is: a file, a token, an HSM."""

    @property
    def algorithm(self) -> KeyAlgorithm:
        """Kind of the key."""

    @property
    def certificate(self) -> bytes:
        """The signer's certificate, DER."""

    @property
    def chain(self) -> Sequence[bytes]:
        """Certificates of the authorities above it, DER, nearest first; may be empty."""

    def sign(self, data: bytes) -> bytes:
        """Signature over `data` with SHA-256: for RSA the PKCS#1 value, for P-256 r and s side by side (64 bytes), as
        tokens give it.

        Raises SigningError.
        """


class Pkcs12Signer:
    """A key in a PKCS#12 file (`.p12`, `.pfx`). `pss` pads RSA signatures by RSASSA-PSS."""

    def __init__(self, path: Path, passphrase: str, *, pss: bool = False) -> None:
        """Opens the file. Raises KeystoreInvalid."""
        self._key, self.algorithm, self.certificate, self.chain = _open(path, passphrase)
        if pss and self.algorithm is KeyAlgorithm.RSA:
            self.algorithm = KeyAlgorithm.RSA_PSS

    def sign(self, data: bytes) -> bytes:
        """Signs as the port says."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            pss = self.algorithm is KeyAlgorithm.RSA_PSS
            return self._key.sign(data, PSS if pss else padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")


def _open(
    path: Path, passphrase: str
) -> tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, KeyAlgorithm, bytes, tuple[bytes, ...]]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_KEYSTORE + 1)
    except OSError as error:
        raise KeystoreInvalid(f"{path.name}: {type(error).__name__}") from error
    if len(content) > _LARGEST_KEYSTORE:
        raise KeystoreInvalid(f"{path.name}: too long")
    try:
        store = pkcs12.load_pkcs12(content, passphrase.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeystoreInvalid(f"{path.name}: not PKCS#12, or the passphrase is wrong") from error
    if store.key is None or store.cert is None:
        raise KeystoreInvalid(f"{path.name}: no key with a certificate")
    certificate = store.cert.certificate.public_bytes(Encoding.DER)
    chain = tuple(extra.certificate.public_bytes(Encoding.DER) for extra in store.additional_certs)
    key = store.key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return key, KeyAlgorithm.RSA, certificate, chain
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key, KeyAlgorithm.P256, certificate, chain
    raise KeystoreInvalid(f"{path.name}: the key is neither RSA of at least 2048 bits nor P-256")
