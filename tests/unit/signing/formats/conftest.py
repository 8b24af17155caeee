"""Signers with throw-away keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lienthong.agent.signing import Pkcs12Signer

from deploy.local.pki import Pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def signers(pki: Pki) -> Mapping[str, Pkcs12Signer]:
    pairs = {name: pki.signer("01001", algorithm=name) for name in ("rsa", "p256")}
    return {name: Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8")) for name, pair in pairs.items()}


Key: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Identity:
    """A key with its certificate."""

    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate, DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        """The certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    @property
    def key_pem(self) -> bytes:
        """The key, PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="session")
def identities(pki: Pki) -> Mapping[str, Identity]:
    keys: Mapping[str, Key] = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.KeyUsage(True, True, False, False, False, False, False, False, False), True)
    ]
    return {name: Identity(key, pki.signing_authority.issue("x", key, extensions)) for name, key in keys.items()}
