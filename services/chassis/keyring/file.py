"""Root keys in a file of mode 0600: for development and small sites; a nation keeps them in a token or a key service."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.chassis.keyring.provider import BLIND_BYTES, KeyringUnreadable
from services.chassis.keyring.sealing import KEY_BYTES, NONCE_BYTES, SealBroken, WrappedKey

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)


class FileKeyring:
    """Keys in a JSON file `{"current": 1, "blind": 1, "keys": {"1": {"kek": b64, "blind": b64}}}`.

    The blind key is that of version `blind`, by default the lowest: changing it means indexing anew, a job of its own.
    One version may wrap 2^32 keys, the limit of random nonces under one key (NIST SP 800-38D §8.3): rotate long before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            raw = json.loads(path.read_text("utf-8"))
            self._current = int(raw["current"])
            self._keks = _keks(raw)
            self._blind = _key(raw["keys"][str(raw.get("blind", min(map(int, raw["keys"]))))]["blind"])
            complete = self._current in self._keks
        except _UNREADABLE:
            complete = False
        if not complete:
            # Without its cause: a parser's error holds the whole document.
            raise KeyringUnreadable(f"{path} is not a keyring") from None
        self._kinds: dict[str, bytes] = {}

    @property
    def remote(self) -> bool:
        """They do not: the keys are in memory."""
        return False

    @property
    def current_version(self) -> int:
        """Version that wraps."""
        return self._current

    @property
    def versions(self) -> frozenset[int]:
        """Versions that still open."""
        return frozenset(self._keks)

    def wrap(self, key: bytes, aad: bytes) -> WrappedKey:
        """AES-256-GCM with a random nonce."""
        nonce = os.urandom(NONCE_BYTES)
        return WrappedKey(self._current, nonce + self._keks[self._current].encrypt(nonce, key, aad))

    def unwrap(self, wrapped: WrappedKey, aad: bytes) -> bytes:
        """The data key. A version that was added since the start is looked for in the file."""
        if wrapped.version not in self._keks:
            with suppress(*_UNREADABLE):
                self._keks |= _keks(json.loads(self._path.read_text("utf-8")))
        try:
            return self._keks[wrapped.version].decrypt(wrapped.data[:NONCE_BYTES], wrapped.data[NONCE_BYTES:], aad)
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
    Processes wrap with it from their next start, and open with it at once. Two at once: the second raises FileExistsError.
    """
    raw = json.loads(path.read_text("utf-8"))
    raw.setdefault("blind", min(map(int, raw["keys"])))
    version = max(map(int, raw["keys"])) + 1
    raw["keys"][str(version)] = _new_version()
    raw["current"] = version
    _replace(path, raw)
    return version


def forget(path: Path, version: int) -> None:
    """Destroys a root key: whatever is still wrapped by it is lost for ever. The current one cannot be: raises ValueError. A blind key
    that is in use stays.
    """
    raw = json.loads(path.read_text("utf-8"))
    if version == int(raw["current"]):
        raise ValueError(f"version {version} is in use")
    raw.setdefault("blind", min(map(int, raw["keys"])))
    if version == raw["blind"]:
        raw["keys"][str(version)].pop("kek", None)
    else:
        raw["keys"].pop(str(version), None)
    _replace(path, raw)


def _replace(path: Path, raw: dict[str, Any]) -> None:
    partial = path.with_suffix(".part")
    _write(partial, raw)
    partial.replace(path)


def _write(path: Path, content: dict[str, Any]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        # What is sealed with a key that a power cut took is lost for ever.
        os.fsync(file.fileno())


def _keks(raw: Any) -> dict[int, AESGCM]:
    return {int(version): AESGCM(_key(entry["kek"])) for version, entry in raw["keys"].items() if "kek" in entry}


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    return key


def _new_version() -> dict[str, str]:
    return {name: base64.b64encode(os.urandom(KEY_BYTES)).decode() for name in ("kek", "blind")}
