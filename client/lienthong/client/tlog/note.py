"""Signed notes (C2SP signed-note): text with signature lines, Ed25519 keys, verifier keys as text.

Parsing is strict: one spelling of base64, no control characters, no second signature of a known key. Signatures of
unknown keys are ignored, as the specification demands. Nothing of a note's text MUST be used before `open_note` has
returned it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
"""Signature type of a plain Ed25519 note signature."""

COSIGNATURE = 0x04
"""Signature type of a timestamped Ed25519 witness cosignature (C2SP tlog-cosignature)."""

LARGEST_NOTE = 256 * 1024
"""Longest note that is looked at, in UTF-8 bytes: 16 post-quantum signatures fit well."""

MOST_SIGNATURES = 64
"""Most signature lines that are looked at; the specification asks for at least 16."""

_DASH = "\u2014 "
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")


class NoteError(Exception):
    """A note cannot be used."""


class NoteMalformed(NoteError):
    """The text is not a signed note, or a key is not a verifier key."""


class NoteKeyUnknown(NoteError):
    """No signature is of a known key."""


class NoteSignatureInvalid(NoteError):
    """A signature of a known key does not verify."""


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: name and 4-byte id of the key, and the signature bytes after the id."""

    name: str
    key_id: bytes
    signature: bytes

    def encode(self) -> str:
        """The line with its final newline."""
        return f"{_DASH}{self.name} {encode64(self.key_id + self.signature)}\n"


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name (`vkey` of the specification). `type` is ED25519 or COSIGNATURE, `public` 32 bytes."""

    name: str
    type: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Reads `name+hash+base64(type || key)`; raises NoteMalformed, also when the hash is not that of the key."""
        parts = text.split("+", 2)
        if len(parts) != 3 or not _name_allowed(parts[0]) or not re.fullmatch(r"[0-9a-f]{8}", parts[1]):
            raise NoteMalformed("not a verifier key")
        material = decode64(parts[2])
        if len(material) != 33 or material[0] not in (ED25519, COSIGNATURE):
            raise NoteMalformed("not an Ed25519 verifier key")
        key = cls(parts[0], material[0], material[1:])
        if key.key_id.hex() != parts[1]:
            raise NoteMalformed("the hash of the verifier key is wrong")
        return key

    @cached_property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256 over name, newline, type and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raises NoteSignatureInvalid unless `signature` (64 bytes) is this key's Ed25519 signature of `message`."""
        try:
            _public_key(self.public).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise NoteSignatureInvalid(f"the signature of {self.name} is wrong") from error

    def encode(self) -> str:
        """The key as text, as `parse` reads it."""
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.type]) + self.public)}"


class NoteSigner:
    """A named Ed25519 private key that signs notes."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        if not _name_allowed(name):
            raise NoteMalformed("not a key name")
        self._key = key
        self.verifier_key = VerifierKey(name, ED25519, key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> NoteSigner:
        """A signer with a fresh key."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> NoteSigner:
        """Reads `PRIVATE+KEY+name+hash+base64(type || seed)`, the form of Go's sumdb/note; raises NoteMalformed without
        repeating the key.
        """
        parts = text.strip().split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise NoteMalformed("not a signer key")
        material = decode64(parts[4])
        if len(material) != 33 or material[0] != ED25519:
            raise NoteMalformed("not an Ed25519 signer key")
        signer = cls(parts[2], Ed25519PrivateKey.from_private_bytes(material[1:]))
        if signer.verifier_key.key_id.hex() != parts[3]:
            raise NoteMalformed("the hash of the signer key is wrong")
        return signer

    @property
    def name(self) -> str:
        """Name of the key."""
        return self.verifier_key.name

    def encode_private(self) -> str:
        """The private key as text, as `parse` reads it. Secret."""
        seed = self._key.private_bytes_raw()
        return f"PRIVATE+KEY+{self.name}+{self.verifier_key.key_id.hex()}+{encode64(bytes([ED25519]) + seed)}"

    def sign(self, text: str) -> NoteSignature:
        """Signs a note's text."""
        return NoteSignature(self.name, self.verifier_key.key_id, self._key.sign(text.encode()))


@dataclass(frozen=True)
class SignedNote:
    """A parsed note, nothing of it verified. `text` ends in a newline."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, note: str) -> SignedNote:
        """Splits a note at its last empty line; raises NoteMalformed."""
        if len(note) > LARGEST_NOTE or _CONTROL.search(note) or not _encodable(note):
            raise NoteMalformed("too long, or with characters that a note cannot have")
        body, separator, tail = note.rpartition("\n\n")
        if not separator or not tail.endswith("\n"):
            raise NoteMalformed("no signature lines")
        lines = tail[:-1].split("\n")
        if len(lines) > MOST_SIGNATURES:
            raise NoteMalformed("too many signatures")
        return cls(body + "\n", tuple(_signature(line) for line in lines))

    def encode(self) -> str:
        """The note as text."""
        return self.text + "\n" + "".join(signature.encode() for signature in self.signatures)


@dataclass(frozen=True)
class OpenedNote:
    """A verified note: its text, the known keys that signed it, and all its signature lines."""

    text: str
    keys: tuple[VerifierKey, ...]
    note: SignedNote


def sign_note(text: str, signers: Sequence[NoteSigner]) -> str:
    """Signs a text that ends in a newline; raises NoteMalformed when it cannot be a note's text."""
    if not text.endswith("\n") or not _encodable(text):
        raise NoteMalformed("not the text of a note")
    note = SignedNote(text, tuple(signer.sign(text) for signer in signers)).encode()
    if SignedNote.parse(note).text != text:
        raise NoteMalformed("not the text of a note")
    return note


def open_note(note: str, keys: Iterable[VerifierKey]) -> OpenedNote:
    """Verifies a note with Ed25519 keys.

    Raises NoteMalformed; NoteSignatureInvalid when a signature of a known key is wrong, even if another's is right;
    NoteKeyUnknown when none is of a known key.
    """
    parsed = SignedNote.parse(note)
    known = {(key.name, key.key_id): key for key in keys if key.type == ED25519}
    found: list[VerifierKey] = []
    for signature in parsed.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if key in found:
            raise NoteMalformed("two signatures of one key")
        key.verify(parsed.text.encode(), signature.signature)
        found.append(key)
    if not found:
        raise NoteKeyUnknown("no signature of a known key")
    return OpenedNote(parsed.text, tuple(found), parsed)


def encode64(value: bytes) -> str:
    """Base64 of RFC 4648 §4 with padding."""
    return base64.b64encode(value).decode("ascii")


def decode64(text: str) -> bytes:
    """Reads base64 in its one canonical spelling; raises NoteMalformed."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteMalformed("not base64") from error
    if encode64(value) != text:
        raise NoteMalformed("a second spelling of base64")
    return value


def _signature(line: str) -> NoteSignature:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2 or not _name_allowed(parts[0]):
        raise NoteMalformed("not a signature line")
    value = decode64(parts[1])
    if len(value) < 5:
        raise NoteMalformed("a signature is too short")
    return NoteSignature(parts[0], value[:4], value[4:])


def _name_allowed(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name) and _encodable(name)


def _encodable(text: str) -> bool:
    """False for lone surrogates, which no UTF-8 text has."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text) if not text.isascii() else True


@lru_cache(maxsize=64)
def _public_key(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)
