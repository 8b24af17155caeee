"""The request that a log sends to a witness (C2SP tlog-witness, `POST <submission prefix>/add-checkpoint`)."""

from __future__ import annotations

from dataclasses import dataclass

from lienthong.client.tlog.checkpoint import parse_decimal
from lienthong.client.tlog.merkle import HASH_SIZE
from lienthong.client.tlog.note import NoteMalformed, decode64, encode64

PATH = "/add-checkpoint"
"""Path of the call under a witness's submission prefix."""

SIZE_TYPE = "text/x.tlog.size"
"""Content type of an answer 409: the size of the checkpoint that the witness cosigned last."""

LARGEST_REQUEST = 64 * 1024
"""Longest request that our witness reads, in bytes: 63 hashes and a checkpoint with 16 cosignatures take a tenth."""

_MOST_HASHES = 63


class RequestMalformed(Exception):
    """The bytes are not an add-checkpoint request."""


@dataclass(frozen=True)
class AddCheckpoint:
    """A checkpoint to cosign: the size that the witness is thought to have cosigned last, the consistency path from there (hashes of 32
    bytes, RFC 6962 §2.1.2) and the signed note as the log made it.
    """

    old_size: int
    path: tuple[bytes, ...]
    checkpoint: str

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """Reads a request's body; raises RequestMalformed. The note is not looked into."""
        try:
            head, separator, checkpoint = body.decode().partition("\n\n")
        except UnicodeDecodeError as error:
            raise RequestMalformed("not UTF-8") from error
        first, *lines = head.split("\n")
        old_size = parse_decimal(first.removeprefix("old ")) if first.startswith("old ") else None
        if not separator or old_size is None or len(lines) > _MOST_HASHES:
            raise RequestMalformed("no old size, no checkpoint, or hashes too many")
        try:
            path = tuple(decode64(line) for line in lines)
        except NoteMalformed as error:
            raise RequestMalformed("a hash is not base64") from error
        if any(len(digest) != HASH_SIZE for digest in path):
            raise RequestMalformed("a hash is not 32 bytes long")
        return cls(old_size, path, checkpoint)

    def encode(self) -> bytes:
        """The body of the request."""
        lines = [f"old {self.old_size}", *(encode64(digest) for digest in self.path)]
        return ("\n".join(lines) + "\n\n" + self.checkpoint).encode()
