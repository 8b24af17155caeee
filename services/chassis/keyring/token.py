"""Root keys in a PKCS#11 token or HSM: they are made there, never leave it, and wrap by AES-256-GCM inside it.

Keys are found by their labels, `<label>-kek-<version>` (AES, 256 bits) and `<label>-blind-<version>` (generic secret, HMAC-SHA256).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import (
    ArgumentsBad,
    DataInvalid,
    DataLenRange,
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    GeneralError,
    NoSuchKey,
    NoSuchToken,
    PinIncorrect,
    PKCS11Error,
    UserAlreadyLoggedIn,
)

from services.chassis.errors import DomainError, Kind
from services.chassis.keyring.provider import BLIND_BYTES, KeyringUnreadable
from services.chassis.keyring.sealing import KEY_BYTES, NONCE_BYTES, SealBroken, WrappedKey

T = TypeVar("T")
_TEXTS = ("module", "token", "label", "pin_file")
_BITS = KEY_BYTES * 8
_SECRET = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}
_KINDS = {"kek": KeyType.AES, "blind": KeyType.GENERIC_SECRET}
# What modules say of bytes that were altered; SoftHSM says the last, and so of nothing else.
_ALTERED = (EncryptedDataInvalid, EncryptedDataLenRange, DataInvalid, DataLenRange, ArgumentsBad, GeneralError)


class RootKeysUnavailable(DomainError):
    """The token does not answer; what it is asked for again may be found."""

    kind = Kind.UNAVAILABLE
    reason = "ROOT_KEYS_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the root keys do not answer")


class PinRefused(KeyringUnreadable):
    """The token does not take the PIN."""


@dataclass(frozen=True)
class TokenAddress:
    """Where the keys are: PKCS#11 module, label of the token, prefix of the keys' labels, and the file with the PIN alone. `blind` are the
    versions of the blind key, the first of them written; by default the lowest in the token.
    """

    module: Path
    token: str
    label: str
    pin_file: Path
    blind: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Opened:
    """A session with the keys it found."""

    session: Any
    keks: dict[int, Any]
    blinds: dict[int, Any]


class TokenKeyring:
    """`Keyring` in a token. One session behind a lock: sessions must not be shared between threads, and person keys are cached above, so
    calls are few (30 us each in SoftHSM). A session that the token lost is opened anew, once a call.
    """

    def __init__(self, address: TokenAddress) -> None:
        """Opens a session. Raises KeyringUnreadable when module, token, PIN or a key is not there."""
        self._lock = threading.Lock()
        self._address = address
        self._refused = False
        self._opened = _keys(address)
        if not self._opened.keks:
            raise KeyringUnreadable(f"token {address.token} holds no key {address.label}-kek-<version>")
        self._blind_versions = address.blind or tuple(sorted(self._opened.blinds)[:1])
        for version in self._blind_versions or (1,):
            if version not in self._opened.blinds:
                raise KeyringUnreadable(f"token {address.token} holds no key {address.label}-blind-{version}")
        self._current = max(self._opened.keks)

    @classmethod
    def described(cls, path: Path, token: Any, blind: Any = None) -> TokenKeyring:
        """From a description file; relative paths are taken from its folder. Raises KeyringUnreadable."""
        return cls(token_address(path, token, blind))

    @property
    def remote(self) -> bool:
        """They do: an HSM may be across the network."""
        return True

    @property
    def current_version(self) -> int:
        """Version that wraps: the highest at the start."""
        return self._current

    @property
    def versions(self) -> frozenset[int]:
        """Versions that still open."""
        return frozenset(self._opened.keks)

    def wrap(self, key: bytes, aad: bytes) -> WrappedKey:
        """AES-256-GCM inside the token, with a random nonce. Raises RootKeysUnavailable."""
        nonce = os.urandom(NONCE_BYTES)

        def encrypted() -> bytes:
            kek = self._opened.keks[self._current]
            data: bytes = kek.encrypt(key, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, aad))
            return data

        return WrappedKey(self._current, nonce + self._ask(encrypted))

    def unwrap(self, wrapped: WrappedKey, aad: bytes) -> bytes:
        """The data key. A version that was added since the start is looked for in the token. Raises SealBroken, RootKeysUnavailable."""
        parameters = GCMParams(wrapped.data[:NONCE_BYTES].ljust(NONCE_BYTES, b"\0"), aad)

        def decrypted() -> bytes:
            kek = self._opened.keks[wrapped.version]
            data: bytes = kek.decrypt(
                wrapped.data[NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters
            )
            return data

        try:
            return self._ask(decrypted)
        except (*_ALTERED, KeyError) as error:
            raise SealBroken("the wrapped key does not open") from error

    @property
    def blind_versions(self) -> tuple[int, ...]:
        """The first is written, all are searched."""
        return self._blind_versions

    def blind(self, kind: str, value: str, version: int | None = None) -> bytes:
        """HMAC-SHA256 inside the token over kind and value, truncated to 16 bytes. Raises RootKeysUnavailable."""
        framed = f"lienthong blind {len(kind)} {kind} {value}".encode()
        chosen = self._blind_versions[0] if version is None else version

        def signed() -> bytes:
            data: bytes = self._opened.blinds[chosen].sign(framed, mechanism=Mechanism.SHA256_HMAC)
            return data

        return self._ask(signed)[:BLIND_BYTES]

    def _ask(self, work: Callable[[], T]) -> T:
        with self._lock:
            try:
                return work()
            except _ALTERED:
                raise
            except KeyError:
                self._opened = self._again(lambda: _found(self._opened.session, self._address))
            except PKCS11Error:
                self._opened = self._again(lambda: _keys(self._address))
            try:
                return work()
            except (*_ALTERED, KeyError):
                raise
            except PKCS11Error:
                raise RootKeysUnavailable from None

    def _again(self, find: Callable[[], _Opened]) -> _Opened:
        if self._refused:
            raise RootKeysUnavailable
        try:
            return find()
        except PinRefused:
            # Once: a token locks itself after a few.
            self._refused = True
            raise RootKeysUnavailable from None
        except (KeyringUnreadable, PKCS11Error):
            raise RootKeysUnavailable from None


def token_address(path: Path, token: Any, blind: Any = None) -> TokenAddress:
    """Reads `{"module", "token", "label", "pin_file"}`. Raises KeyringUnreadable."""
    if not isinstance(token, Mapping) or not all(isinstance(token.get(name), str) for name in _TEXTS):
        raise KeyringUnreadable(f"{path} does not describe a token by {', '.join(_TEXTS)}")
    if blind is not None and not (isinstance(blind, list) and all(isinstance(version, int) for version in blind)):
        raise KeyringUnreadable(f"{path} does not list the versions of the blind key")
    folder = path.resolve().parent
    versions = tuple(blind or ())
    return TokenAddress(folder / token["module"], token["token"], token["label"], folder / token["pin_file"], versions)


def add_token_version(address: TokenAddress) -> int:
    """Makes the next root key in the token, and the blind key where there is none; processes wrap with it from their next start. Returns
    its version. Raises KeyringUnreadable.
    """
    opened = _keys(address, writable=True)
    if not opened.blinds:
        _generate(address, "blind", 1)
    return _generate(address, "kek", max(opened.keks, default=0) + 1)


def add_token_blind(address: TokenAddress) -> int:
    """Makes the next blind key in the token. Returns its version. Raises KeyringUnreadable."""
    return _generate(address, "blind", max(_keys(address, writable=True).blinds, default=0) + 1)


def forget_token_version(address: TokenAddress, version: int) -> None:
    """Destroys a root key: whatever is still wrapped by it is lost for ever. The current one cannot be: raises ValueError."""
    keks = _keys(address, writable=True).keks
    if version == max(keks):
        raise ValueError(f"version {version} is in use")
    if version in keks:
        keks[version].destroy()


def forget_token_blind(address: TokenAddress, version: int) -> None:
    """Destroys a blind key: what is not indexed anew is never found again. One that is in use cannot be: raises ValueError."""
    blinds = _keys(address, writable=True).blinds
    if version in (address.blind or sorted(blinds)[:1]):
        raise ValueError(f"version {version} is in use")
    if version in blinds:
        blinds[version].destroy()


def _generate(address: TokenAddress, kind: str, version: int) -> int:
    label = f"{address.label}-{kind}-{version}"
    try:
        session = _session(address, writable=True)
        if kind == "blind":
            session.generate_key(
                KeyType.GENERIC_SECRET,
                _BITS,
                label=label,
                store=True,
                mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
                template={**_SECRET, Attribute.SIGN: True},
            )
        else:
            session.generate_key(KeyType.AES, _BITS, label=label, store=True, template=dict(_SECRET))
    except (PKCS11Error, RuntimeError, OSError) as error:
        raise KeyringUnreadable(f"token {address.token}: {type(error).__name__}") from None
    return version


def _keys(address: TokenAddress, *, writable: bool = False) -> _Opened:
    try:
        session = _session(address, writable=writable)
        return _found(session, address)
    except PinIncorrect as error:
        raise PinRefused(f"token {address.token}: {type(error).__name__}") from None
    except (PKCS11Error, RuntimeError, OSError, StopIteration) as error:
        raise KeyringUnreadable(f"token {address.token}: {type(error).__name__}") from None


def _found(session: Any, address: TokenAddress) -> _Opened:
    return _Opened(session, *(dict(_versions(session, address.label, kind)) for kind in _KINDS))


def _session(address: TokenAddress, *, writable: bool) -> Any:
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


def _versions(session: Any, label: str, kind: str) -> list[tuple[int, Any]]:
    named = re.compile(re.escape(f"{label}-{kind}-") + r"([1-9][0-9]{0,8})")
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: _KINDS[kind]}
    found = [(named.fullmatch(key.label), key) for key in session.get_objects(wanted)]
    return [(int(match[1]), key) for match, key in found if match]
