"""Keys at rest: root keys of a role, keys of persons under them, and a fresh data key per item (trust.md §6)."""

from services.chassis.keyring.file import FileKeyring, create_keyring, forget, rotate
from services.chassis.keyring.persons import DataErased, PersonKey, PersonKeys, create_person_key, person_key_table
from services.chassis.keyring.provider import Keyring, KeyringUnreadable, open_keyring
from services.chassis.keyring.sealing import (
    SealBroken,
    Sealed,
    WrappedKey,
    Wrapping,
    open_sealed,
    rewrap,
    seal,
    sealed_from_bytes,
)

__all__ = [
    "DataErased",
    "FileKeyring",
    "Keyring",
    "KeyringUnreadable",
    "PersonKey",
    "PersonKeys",
    "SealBroken",
    "Sealed",
    "WrappedKey",
    "Wrapping",
    "create_keyring",
    "create_person_key",
    "forget",
    "open_keyring",
    "open_sealed",
    "person_key_table",
    "rewrap",
    "rotate",
    "seal",
    "sealed_from_bytes",
]
