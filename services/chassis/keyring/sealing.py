"""Envelope encryption: a fresh data key per item, wrapped by a longer-lived key, bound to its place.

Nobody passes a nonce: data keys are used once, and wrapping nonces are drawn where keys are wrapped.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
_ONCE = bytes(NONCE_BYTES)
"""The nonce of a data key that encrypts exactly one item."""


class SealBroken(Exception):
    """The ciphertext was altered, moved to another place, or its key is gone."""


@dataclass(frozen=True)
class WrappedKey:
    """A data key under version `version` of the key that wraps it."""

    version: int
    data: bytes


class Wrapping(Protocol):
    """A key that wraps other keys: the keyring of a role, or the key of a person."""

    def wrap(self, key: bytes, aad: bytes) -> WrappedKey:
        """Wraps a data key under the current version."""

    def unwrap(self, wrapped: WrappedKey, aad: bytes) -> bytes:
        """The data key; SealBroken when it does not open."""


@dataclass(frozen=True)
class Sealed:
    """An encrypted item with its wrapped key."""

    wrapped: WrappedKey
    ciphertext: bytes

    def to_bytes(self) -> bytes:
        """One column: version (u32), length of the wrapped key (u16), wrapped key, ciphertext."""
        return struct.pack(">IH", self.wrapped.version, len(self.wrapped.data)) + self.wrapped.data + self.ciphertext


def sealed_from_bytes(data: bytes) -> Sealed:
    """Reads what `Sealed.to_bytes` wrote."""
    try:
        version, length = struct.unpack_from(">IH", data)
    except struct.error:
        raise SealBroken("too short") from None
    return Sealed(WrappedKey(version, data[6 : 6 + length]), data[6 + length :])


def seal(wrapping: Wrapping, plaintext: bytes, aad: bytes) -> Sealed:
    """Encrypts an item under a fresh key; `aad` names its place (`service|table.column|id`), so that it opens nowhere else."""
    key = os.urandom(KEY_BYTES)
    return Sealed(wrapping.wrap(key, aad), AESGCM(key).encrypt(_ONCE, plaintext, aad))


def open_sealed(wrapping: Wrapping, sealed: Sealed, aad: bytes) -> bytes:
    """Decrypts an item; SealBroken when anything about it was changed."""
    key = wrapping.unwrap(sealed.wrapped, aad)
    try:
        return AESGCM(key).decrypt(_ONCE, sealed.ciphertext, aad)
    except InvalidTag as error:
        raise SealBroken("the item does not open") from error


def rewrap(sealed: Sealed, old: Wrapping, new: Wrapping, aad: bytes) -> Sealed:
    """The same item under another key, as when it goes to another person: its ciphertext is not touched."""
    return Sealed(new.wrap(old.unwrap(sealed.wrapped, aad), aad), sealed.ciphertext)
