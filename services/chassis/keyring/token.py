"""Root keys in a PKCS#11 token or HSM: they are made there, never leave it, and wrap by AES-256-GCM inside it.

Keys are found by their labels, `<label>-kek-<version>` (AES, 256 bits) and `<label>-blind` (generic secret, HMAC-SHA256).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import ArgumentsBad, NoSuchKey, NoSuchToken, PKCS11Error, UserAlreadyLoggedIn

from services.chassis.keyring.provider import BLIND_BYTES, KeyringUnreadable
from services.chassis.keyring.sealing import KEY_BYTES, NONCE_BYTES, SealBroken, WrappedKey

_TEXTS = ("module", "token", "label", "pin_file")
_BITS = KEY_BYTES * 8
_SECRET = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}


@dataclass(frozen=True)
class TokenAddress:
    """Where the keys are: PKCS#11 module, label of the token, prefix of the keys' labels, and the file with the PIN alone."""

    module: Path
    token: str
    label: str
    pin_file: Path


class TokenKeyring:
    """`Keyring` in a token. One session behind a lock: sessions must not be shared between threads, and person keys are cached above, so
    calls are few (30 us each in SoftHSM).
    """

    def __init__(self, address: TokenAddress) -> None:
        """Opens a session. Raises KeyringUnreadable when module, token, PIN or a key is not there."""
        self._lock = threading.Lock()
        try:
            self._session = _open(address, writable=False)
            self._keks = dict(_versions(self._session, address.label))
            self._blind = self._session.get_key(
                object_class=ObjectClass.SECRET_KEY, key_type=KeyType.GENERIC_SECRET, label=f"{address.label}-blind"
            )
        except (PKCS11Error, RuntimeError, OSError, StopIteration) as error:
            raise KeyringUnreadable(f"token {address.token}: {type(error).__name__}") from None
        if not self._keks:
            raise KeyringUnreadable(f"token {address.token} holds no key {address.label}-kek-<version>")
        self._current = max(self._keks)

    @classmethod
    def described(cls, path: Path, token: Any) -> TokenKeyring:
        """From a description file; relative paths are taken from its folder. Raises KeyringUnreadable."""
        return cls(token_address(path, token))

    @property
    def remote(self) -> bool:
        """They do: an HSM may be across the network."""
        return True

    @property
    def current_version(self) -> int:
        """Version that wraps: the highest."""
        return self._current

    @property
    def versions(self) -> frozenset[int]:
        """Versions that still open."""
        return frozenset(self._keks)

    def wrap(self, key: bytes, aad: bytes) -> WrappedKey:
        """AES-256-GCM inside the token, with a random nonce."""
        nonce = os.urandom(NONCE_BYTES)
        with self._lock:
            wrapped = self._keks[self._current].encrypt(
                key, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, aad)
            )
        return WrappedKey(self._current, nonce + wrapped)

    def unwrap(self, wrapped: WrappedKey, aad: bytes) -> bytes:
        """The data key."""
        parameters = GCMParams(wrapped.data[:NONCE_BYTES].ljust(NONCE_BYTES, b"\0"), aad)
        try:
            with self._lock:
                key: bytes = self._keks[wrapped.version].decrypt(
                    wrapped.data[NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters
                )
        except (PKCS11Error, KeyError) as error:
            raise SealBroken("the wrapped key does not open") from error
        return key

    def blind(self, kind: str, value: str) -> bytes:
        """HMAC-SHA256 inside the token over kind and value, truncated to 16 bytes."""
        framed = f"lienthong blind {len(kind)} {kind} {value}".encode()
        with self._lock:
            digest: bytes = self._blind.sign(framed, mechanism=Mechanism.SHA256_HMAC)
        return digest[:BLIND_BYTES]


def token_address(path: Path, token: Any) -> TokenAddress:
    """Reads `{"module", "token", "label", "pin_file"}`. Raises KeyringUnreadable."""
    if not isinstance(token, Mapping) or not all(isinstance(token.get(name), str) for name in _TEXTS):
        raise KeyringUnreadable(f"{path} does not describe a token by {', '.join(_TEXTS)}")
    folder = path.resolve().parent
    return TokenAddress(folder / token["module"], token["token"], token["label"], folder / token["pin_file"])


def add_token_version(address: TokenAddress) -> int:
    """Makes the next root key in the token, and the blind key where there is none; processes use it from their next start. Returns its
    version. Raises KeyringUnreadable.
    """
    try:
        session = _open(address, writable=True)
        version = max(dict(_versions(session, address.label)), default=0) + 1
        if version == 1:
            session.generate_key(
                KeyType.GENERIC_SECRET,
                _BITS,
                label=f"{address.label}-blind",
                store=True,
                mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
                template={**_SECRET, Attribute.SIGN: True},
            )
        session.generate_key(
            KeyType.AES, _BITS, label=f"{address.label}-kek-{version}", store=True, template=dict(_SECRET)
        )
    except (PKCS11Error, RuntimeError, OSError) as error:
        raise KeyringUnreadable(f"token {address.token}: {type(error).__name__}") from None
    return version


def forget_token_version(address: TokenAddress, version: int) -> None:
    """Destroys a root key: whatever is still wrapped by it is lost for ever. The current one cannot be: raises ValueError."""
    session = _open(address, writable=True)
    keks = dict(_versions(session, address.label))
    if version == max(keks):
        raise ValueError(f"version {version} is in use")
    if version in keks:
        keks[version].destroy()


def _open(address: TokenAddress, *, writable: bool) -> Any:
    """A session of a process that is logged in. It is never closed by hand: that would log out every other session too (PKCS#11 v2.40 §2.6.8)."""
    pin = address.pin_file.read_text("utf-8").strip()
    try:
        token = pkcs11.lib(str(address.module)).get_token(token_label=address.token)
        try:
            return token.open(rw=writable, user_pin=pin)
        except UserAlreadyLoggedIn:
            return token.open(rw=writable)
    except (NoSuchToken, NoSuchKey, ArgumentsBad) as error:
        raise KeyringUnreadable(f"token {address.token}: {type(error).__name__}") from None


def _versions(session: Any, label: str) -> list[tuple[int, Any]]:
    named = re.compile(re.escape(label) + r"-kek-([1-9][0-9]{0,8})")
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES}
    found = [(named.fullmatch(key.label), key) for key in session.get_objects(wanted)]
    return [(int(match[1]), key) for match, key in found if match]
