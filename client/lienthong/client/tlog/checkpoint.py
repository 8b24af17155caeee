"""Checkpoints of a log (C2SP tlog-checkpoint) and the cosignatures of witnesses on them (C2SP tlog-cosignature,
Ed25519).

Our logs sign no extension lines, and a checkpoint that has some is refused. The name of the log's key is the origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lienthong.client.tlog.merkle import HASH_SIZE, LARGEST_SIZE
from lienthong.client.tlog.note import (
    COSIGNATURE,
    NoteKeyUnknown,
    NoteMalformed,
    NoteSignature,
    NoteSignatureInvalid,
    NoteSigner,
    OpenedNote,
    SignedNote,
    VerifierKey,
    decode64,
    encode64,
    open_note,
    sign_note,
)

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


class CheckpointMalformed(NoteMalformed):
    """A note's text is not a checkpoint of our profile."""


@dataclass(frozen=True)
class Checkpoint:
    """Head of a log's tree: origin (identity of the log), number of leaves and root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Reads the text of a note; raises CheckpointMalformed."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise CheckpointMalformed("a checkpoint has three lines")
        size = parse_decimal(lines[1])
        try:
            root = decode64(lines[2])
        except NoteMalformed as error:
            raise CheckpointMalformed("the root hash is not base64") from error
        if size is None or len(root) != HASH_SIZE:
            raise CheckpointMalformed("wrong tree size or root hash")
        return cls(lines[0], size, root)

    def encode(self) -> str:
        """The text to sign; raises CheckpointMalformed when a value cannot be written."""
        text = f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"
        if Checkpoint.parse(text) != self:
            raise CheckpointMalformed("a value cannot be written")
        return text


@dataclass(frozen=True)
class Cosignature:
    """A witness's statement that it saw the checkpoint at a time (whole seconds, UTC)."""

    key: VerifierKey
    seen_at: datetime


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> str:
    """The signed checkpoint. The caller MUST have checked that it extends every checkpoint signed before. Raises
    CheckpointMalformed when the key's name is not the origin.
    """
    if signer.name != checkpoint.origin:
        raise CheckpointMalformed("the name of the log's key is not the origin")
    return sign_note(checkpoint.encode(), [signer])


def open_checkpoint(note: str, logs: Iterable[VerifierKey]) -> tuple[Checkpoint, OpenedNote]:
    """Verifies a checkpoint with the keys of known logs.

    Raises NoteMalformed (CheckpointMalformed), NoteSignatureInvalid, and NoteKeyUnknown when no known log signed it or
    the log that signed it is not the one in the origin line.
    """
    opened = open_note(note, logs)
    checkpoint = Checkpoint.parse(opened.text)
    if all(key.name != checkpoint.origin for key in opened.keys):
        raise NoteKeyUnknown("the checkpoint is signed by the key of another log")
    return checkpoint, opened


class Cosigner:
    """A witness's named key. The witness MUST have checked consistency with what it signed before."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier_key = VerifierKey(name, COSIGNATURE, key.public_key().public_bytes_raw())

    def cosign(self, note: str, at: datetime) -> str:
        """Adds a cosignature with the given time to a signed checkpoint."""
        return note + self.signature(SignedNote.parse(note).text, at).encode()

    def signature(self, text: str, at: datetime) -> NoteSignature:
        """The cosignature of a checkpoint's text (whole seconds of `at`)."""
        seconds = int(at.timestamp())
        value = seconds.to_bytes(8, "big") + self._key.sign(cosigned_message(text, seconds))
        return NoteSignature(self.verifier_key.name, self.verifier_key.key_id, value)


def cosignatures(opened: OpenedNote, witnesses: Iterable[VerifierKey]) -> list[Cosignature]:
    """The cosignatures of known witnesses; raises NoteSignatureInvalid when one of them is wrong, NoteMalformed when a witness signs twice."""
    known = {(key.name, key.key_id): key for key in witnesses if key.type == COSIGNATURE}
    found: list[Cosignature] = []
    for signature in opened.note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if any(cosignature.key == key for cosignature in found):
            raise NoteMalformed(f"two cosignatures of {key.name}")
        if len(signature.signature) != 8 + 64:
            raise NoteSignatureInvalid(f"the cosignature of {key.name} has the wrong length")
        seconds = int.from_bytes(signature.signature[:8], "big")
        key.verify(cosigned_message(opened.text, seconds), signature.signature[8:])
        try:
            found.append(Cosignature(key, datetime.fromtimestamp(seconds, UTC)))
        except (OverflowError, OSError, ValueError) as error:
            raise NoteSignatureInvalid(f"the cosignature of {key.name} has no possible time") from error
    return found


def cosigned_message(text: str, seconds: int) -> bytes:
    """What a witness signs: two header lines and the checkpoint's text."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def parse_decimal(text: str) -> int | None:
    """A decimal number without leading zeroes up to 2^63 - 1, else None."""
    if not _DECIMAL.fullmatch(text) or not text.isascii():
        return None
    value = int(text)
    return value if value <= LARGEST_SIZE else None
