"""Key and database of a witness: made once, loaded at every start."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from lienthong.client.tlog.checkpoint import Cosigner
from lienthong.client.tlog.note import VerifierKey
from lienthong.witness.config import ConfigInvalid, WitnessConfig
from lienthong.witness.store import WitnessStore


def load_cosigner(config: WitnessConfig) -> Cosigner:
    """The witness's key; raises ConfigInvalid."""
    try:
        key = load_pem_private_key(config.key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigInvalid(f"key: {type(error).__name__}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigInvalid("key: not an Ed25519 key")
    return Cosigner(config.name, key)


def initialise(config: WitnessConfig) -> VerifierKey:
    """Makes what is not there, mode 0600, and returns the public key; an existing key or database stays as it is."""
    if not config.key.exists():
        descriptor = os.open(config.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            key = Ed25519PrivateKey.generate()
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if not config.database.exists():
        WitnessStore.create(config.database)
    return load_cosigner(config).verifier_key
