"""Root keys in a file of mode 0600: for development and small sites; a nation keeps them in a token or a key service."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
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
    """Keys in a JSON file `{"current": 1, "blind": [1], "keys": {"1": {"kek": b64, "blind": b64}}}`.

    A version may have either key or both. One version may wrap 2^32 keys, the limit of random nonces under one key (NIST SP 800-38D §8.3):
    rotate long before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            raw = json.loads(path.read_text("utf-8"))
            self._current = int(raw["current"])
            self._keks = _keks(raw)
            self._blinds = {version: _key(raw["keys"][str(version)]["blind"]) for version in _blind_versions(raw)}
            complete = self._current in self._keks and bool(self._blinds)
        except _UNREADABLE:
            complete = False
        if not complete:
            # Without its cause: a parser's error holds the whole document.
            raise KeyringUnreadable(f"{path} is not a keyring") from None
        self._derived: dict[tuple[int, str], bytes] = {}

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

    @property
    def blind_versions(self) -> tuple[int, ...]:
        """The first is written, all are searched."""
        return tuple(self._blinds)

    def blind(self, kind: str, value: str, version: int | None = None) -> bytes:
        """HMAC-SHA256 under a key derived per kind (HKDF), truncated to 16 bytes."""
        chosen = next(iter(self._blinds)) if version is None else version
        key = self._derived.get((chosen, kind))
        if key is None:
            key = HKDF(SHA256(), KEY_BYTES, None, f"lienthong blind {kind}".encode()).derive(self._blinds[chosen])
            self._derived[chosen, kind] = key
        return hmac.digest(key, value.encode(), hashlib.sha256)[:BLIND_BYTES]


def create_keyring(path: Path) -> None:
    """Writes a new keyring file with version 1. Raises FileExistsError rather than overwrite keys."""
    _write(path, {"current": 1, "blind": [1], "keys": {"1": {"kek": _new_key(), "blind": _new_key()}}})


def rotate(path: Path) -> int:
    """Adds a root key and makes it the current one; older ones still open what they sealed. Returns its version.
    Processes wrap with it from their next start, and open with it at once. Two at once: the second raises FileExistsError.
    """
    raw, version = _next(path)
    raw["keys"][str(version)] = {"kek": _new_key()}
    raw["current"] = version
    describe(path, raw)
    return version


def forget(path: Path, version: int) -> None:
    """Destroys a root key: whatever is still wrapped by it is lost for ever. The current one cannot be: raises ValueError."""
    raw = _read(path)
    if version == int(raw["current"]):
        raise ValueError(f"version {version} is in use")
    _drop(raw, version, "kek")
    describe(path, raw)


def add_blind(path: Path) -> int:
    """Adds a blind key that is searched and not yet written. Returns its version; raises ValueError when there are two already."""
    raw, version = _next(path)
    raw["blind"] = blind_added(raw["blind"], version)
    raw["keys"][str(version)] = {"blind": _new_key()}
    describe(path, raw)
    return version


def turn_blind(path: Path) -> None:
    """The other blind key is written from now on; both are searched. Raises ValueError when there is one only."""
    raw = _read(path)
    raw["blind"] = blind_turned(raw["blind"])
    describe(path, raw)


def forget_blind(path: Path) -> int:
    """Destroys the blind key that is no longer written: what is not indexed anew is never found again. Returns its version; raises
    ValueError when there is one only.
    """
    raw = _read(path)
    raw["blind"], version = blind_left(raw["blind"])
    _drop(raw, version, "blind")
    describe(path, raw)
    return version


def blind_added(versions: Sequence[int], version: int) -> list[int]:
    """Two at most: a third would be a rotation within a rotation."""
    if len(versions) > 1:
        raise ValueError("the index is being made anew already")
    return [*versions, version]


def blind_turned(versions: Sequence[int]) -> list[int]:
    """The other one first."""
    if len(versions) != 2:
        raise ValueError("there is one blind key only")
    return list(reversed(versions))


def blind_left(versions: Sequence[int]) -> tuple[list[int], int]:
    """The one that is written, and the one that goes."""
    if len(versions) != 2:
        raise ValueError("there is one blind key only")
    return [versions[0]], versions[1]


def _read(path: Path) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(path.read_text("utf-8"))
    raw["blind"] = _blind_versions(raw)
    return raw


def _next(path: Path) -> tuple[dict[str, Any], int]:
    raw = _read(path)
    return raw, max(map(int, raw["keys"])) + 1


def _drop(raw: dict[str, Any], version: int, key: str) -> None:
    entry = raw["keys"].get(str(version), {})
    entry.pop(key, None)
    if not entry:
        raw["keys"].pop(str(version), None)


def _blind_versions(raw: Any) -> list[int]:
    listed = raw.get("blind", [min(map(int, raw["keys"]))])
    return [int(version) for version in (listed if isinstance(listed, list) else [listed])]


def describe(path: Path, raw: dict[str, Any]) -> None:
    """Puts a new content in the place of a keyring file, at once and as a whole. Raises FileExistsError while another does."""
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


def _new_key() -> str:
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()
