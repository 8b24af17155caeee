"""The system's seal: a detached CAdES-B signature over the manifest of an evidence package, by the key of the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.signer import KeyAlgorithm

from services.chassis.clock import Clock
from services.chassis.settings import SettingsError

_P256_BYTES = 32
_LEAST_RSA_BITS = 2048


class PemSigner:
    """A key in a PEM file, RSA or P-256, with its certificate and those above it in another."""

    def __init__(self, key: Path, certificate: Path) -> None:
        """Raises SettingsError when the files do not belong together or the key is of another kind."""
        signer, *above = x509.load_pem_x509_certificates(certificate.read_bytes())
        loaded = load_pem_private_key(key.read_bytes(), None)
        if isinstance(loaded, rsa.RSAPrivateKey) and loaded.key_size >= _LEAST_RSA_BITS:
            self.algorithm = KeyAlgorithm.RSA
        elif isinstance(loaded, ec.EllipticCurvePrivateKey) and isinstance(loaded.curve, ec.SECP256R1):
            self.algorithm = KeyAlgorithm.P256
        else:
            raise SettingsError(["LIENTHONG_SEAL_KEY: neither RSA of at least 2048 bits nor P-256"])
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if loaded.public_key().public_bytes(*form) != signer.public_key().public_bytes(*form):
            raise SettingsError(["LIENTHONG_SEAL_CERTIFICATE: of another key"])
        self._key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = loaded
        self.certificate = signer.public_bytes(Encoding.DER)
        self.chain = tuple(one.public_bytes(Encoding.DER) for one in above)

    def sign(self, data: bytes) -> bytes:
        """As the formats want it: PKCS#1 v1.5, or r and s side by side, with SHA-256."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")


def seal_with(signer: PemSigner, clock: Clock) -> Callable[[bytes], bytes]:
    """A function that seals; the time it claims is the clock's."""

    def seal(content: bytes) -> bytes:
        return sign_detached(content, signer, signing_time=clock())

    return seal
