"""Envelope encryption at rest: a fresh key per item, wrapped by a versioned key of the keyring, bound to its place.

Nobody passes a nonce: data keys are used once, and wrapping nonces are drawn here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
BLIND_BYTES = 16
_NONCE = 12
_ONCE = bytes(_NONCE)
"""The nonce of a data key that encrypts exactly one item."""


class SealBroken(Exception):
    """The ciphertext was altered, moved to another place, or its key is gone."""


@dataclass(frozen=True)
class WrappedKey:
    """A data key under version `version` of the keyring."""

    version: int
    data: bytes


class Keyring(Protocol):
    """Holds the key-encryption keys; adapters are a file, PKCS#11, or a key service."""

    def wrap(self, key: bytes, aad: bytes) -> WrappedKey:
        """Wraps a data key under the current version."""

    def unwrap(self, wrapped: WrappedKey, aad: bytes) -> bytes:
        """The data key; SealBroken when it does not open."""

    def blind(self, kind: str, value: str) -> bytes:
        """Keyed blind index of a canonical value, 16 bytes; other kinds give unrelated results."""


class KeyringUnreadable(Exception):
    """The keyring file is missing, malformed, or lacks its current key. The text names the file, never what is in it."""


class FileKeyring:
    """Keys in a JSON file `{"current": 1, "keys": {"1": {"kek": b64, "blind": b64}}}`, mode 0600; for development and
    small sites.

    The blind key is that of the lowest version: changing it means indexing anew, which is a job of its own. One version
    may wrap 2^32 keys, the limit of random nonces under one key (NIST SP 800-38D §8.3): rotate long before.
    """

    def __init__(self, path: Path) -> None:
        try:
            raw = json.loads(path.read_text("utf-8"))
            self._current = int(raw["current"])
            keys = {int(version): entry for version, entry in raw["keys"].items()}
            self._keks = {version: AESGCM(_key(entry["kek"])) for version, entry in keys.items()}
            self._blind = _key(keys[min(keys)]["blind"])
            complete = self._current in self._keks
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            complete = False
        if not complete:
            # Without its cause: a parser's error holds the whole document.
            raise KeyringUnreadable(f"{path} is not a keyring") from None
        self._kinds: dict[str, bytes] = {}

    def wrap(self, key: bytes, aad: bytes) -> WrappedKey:
        """AES-256-GCM with a random nonce."""
        nonce = os.urandom(_NONCE)
        return WrappedKey(self._current, nonce + self._keks[self._current].encrypt(nonce, key, aad))

    def unwrap(self, wrapped: WrappedKey, aad: bytes) -> bytes:
        """The data key."""
        try:
            return self._keks[wrapped.version].decrypt(wrapped.data[:_NONCE], wrapped.data[_NONCE:], aad)
        except (InvalidTag, KeyError, ValueError) as error:
            raise SealBroken("the wrapped key does not open") from error

    def blind(self, kind: str, value: str) -> bytes:
        """HMAC-SHA256 under a key derived per kind (HKDF), truncated to 16 bytes."""
        key = self._kinds.get(kind)
        if key is None:
            key = HKDF(SHA256(), KEY_BYTES, None, f"lienthong blind {kind}".encode()).derive(self._blind)
            self._kinds[kind] = key
        return hmac.digest(key, value.encode(), hashlib.sha256)[:BLIND_BYTES]


def create_keyring(path: Path) -> None:
    """Writes a new keyring file with version 1. Raises FileExistsError rather than overwrite keys."""
    _write(path, {"current": 1, "keys": {"1": _new_version()}})


def rotate(path: Path) -> int:
    """Adds a version and makes it the current one; older ones still open what they sealed. Returns the version.
    Processes use it from their next start. Two at once: the second raises FileExistsError.
    """
    raw = json.loads(path.read_text("utf-8"))
    version = max(map(int, raw["keys"])) + 1
    raw["keys"][str(version)] = _new_version()
    raw["current"] = version
    partial = path.with_suffix(".part")
    _write(partial, raw)
    partial.replace(path)
    return version


def _write(path: Path, content: dict[str, Any]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        # What is sealed with a key that a power cut took is lost for ever.
        os.fsync(file.fileno())


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    return key


def _new_version() -> dict[str, str]:
    return {name: base64.b64encode(os.urandom(KEY_BYTES)).decode() for name in ("kek", "blind")}


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


def seal(keyring: Keyring, plaintext: bytes, aad: bytes) -> Sealed:
    """Encrypts an item under a fresh key; `aad` names its place (`table|id`), so that it opens nowhere else."""
    key = os.urandom(KEY_BYTES)
    return Sealed(keyring.wrap(key, aad), AESGCM(key).encrypt(_ONCE, plaintext, aad))


def open_sealed(keyring: Keyring, sealed: Sealed, aad: bytes) -> bytes:
    """Decrypts an item; SealBroken when anything about it was changed."""
    key = keyring.unwrap(sealed.wrapped, aad)
    try:
        return AESGCM(key).decrypt(_ONCE, sealed.ciphertext, aad)
    except InvalidTag as error:
        raise SealBroken("the item does not open") from error
