"""The port behind which a role's root keys lie, and how a role opens its own.

Adapters: a file (`file.py`) and a PKCS#11 token (`token.py`). A key service over HTTP is a third one of the same shape. `blind` in either file
lists the versions of the blind key, as `blind_versions` says; by default the lowest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from services.chassis.keyring.sealing import Wrapping
from services.chassis.settings import SettingsError

BLIND_BYTES = 16


class KeyringUnreadable(SettingsError):
    """The keyring is missing, malformed, or lacks its current key, which stops the start. The text names the file, never what is in it."""

    def __init__(self, text: str) -> None:
        super().__init__([f"LIENTHONG_KEYRING: {text}"])
        self.args = (text,)


class Keyring(Wrapping, Protocol):
    """The root keys of one role: versions that wrap keys, and a key that blinds."""

    @property
    def remote(self) -> bool:
        """Whether its calls leave the process, and so may take their time."""

    @property
    def current_version(self) -> int:
        """Version that `wrap` uses."""

    @property
    def versions(self) -> frozenset[int]:
        """Versions that `unwrap` opens."""

    @property
    def blind_versions(self) -> tuple[int, ...]:
        """Versions of the blind key: the first is written, all are searched. More than one only while the index is made anew."""

    def blind(self, kind: str, value: str, version: int | None = None) -> bytes:
        """Keyed blind index of a canonical value, 16 bytes, by default under the version that is written; other kinds give unrelated
        results.
        """


def open_keyring(path: Path) -> Keyring:
    """The keyring that a file holds or describes: `{"current", "keys"}` are keys, `{"token": {...}}` names a PKCS#11 token.

    Raises KeyringUnreadable.
    """
    from services.chassis.keyring.file import FileKeyring

    try:
        raw = json.loads(path.read_text("utf-8"))
        token = raw.get("token")
    except (OSError, ValueError, AttributeError):
        raise KeyringUnreadable(f"{path} is not a keyring") from None
    if token is None:
        return FileKeyring(path)
    # Loaded where there is a token only: the module is native code.
    from services.chassis.keyring.token import TokenKeyring

    return TokenKeyring.described(path, token, raw.get("blind"))
