"""Offline proof that an entry is in a log (C2SP tlog-proof@v1): index, inclusion path and the signed checkpoint, as
text.

Our proofs carry the exact entry bytes as `extra`. Extra data is not authenticated by the format: whoever reads a proof
MUST take the bytes from there only after their leaf hash led to the checkpoint's root.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lienthong.client.tlog.checkpoint import parse_decimal
from lienthong.client.tlog.merkle import HASH_SIZE
from lienthong.client.tlog.note import NoteMalformed, decode64, encode64

HEADER = "c2sp.org/tlog-proof@v1"
"""First line of every proof."""

MEDIA_SUFFIX = ".tlog-proof"
"""File name ending that the specification asks for."""

_LONGEST = 512 * 1024
_MOST_HASHES = 63


class ProofPart(Enum):
    """Where a proof's text is malformed."""

    HEADER = "HEADER"
    EXTRA = "EXTRA"
    INDEX = "INDEX"
    PATH = "PATH"
    CHECKPOINT = "CHECKPOINT"


class ProofMalformed(Exception):
    """The text is not a tlog-proof@v1; `part` says where."""

    def __init__(self, part: ProofPart, text: str) -> None:
        super().__init__(text)
        self.part = part


@dataclass(frozen=True)
class TlogProof:
    """A proof: leaf index, path of 32-byte hashes from the leaf's sibling up, signed checkpoint as carried, extra bytes
    or None.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> TlogProof:
        """Reads a proof; raises ProofMalformed. The checkpoint is not looked into."""
        if len(text) > _LONGEST:
            raise ProofMalformed(ProofPart.HEADER, "too long")
        head, separator, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if lines[0] != HEADER:
            raise ProofMalformed(ProofPart.HEADER, f"the first line is not {HEADER}")
        if not separator or not checkpoint:
            raise ProofMalformed(ProofPart.CHECKPOINT, "no checkpoint")
        extra = None
        if len(lines) > 1 and lines[1].startswith("extra "):
            extra = _base64(lines.pop(1)[len("extra ") :], ProofPart.EXTRA)
        if len(lines) < 2 or not lines[1].startswith("index "):
            raise ProofMalformed(ProofPart.INDEX, "no index line")
        index = parse_decimal(lines[1][len("index ") :])
        if index is None:
            raise ProofMalformed(ProofPart.INDEX, "the index is not a decimal number")
        path = tuple(_base64(line, ProofPart.PATH) for line in lines[2 : 3 + _MOST_HASHES])
        if len(path) > _MOST_HASHES or any(len(digest) != HASH_SIZE for digest in path):
            raise ProofMalformed(ProofPart.PATH, "too many hashes or one that is not 32 bytes long")
        return cls(index, path, checkpoint, extra)

    def encode(self) -> str:
        """The proof as text; raises ProofMalformed when a value cannot be written."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encode64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(encode64(digest) for digest in self.path)
        text = "\n".join(lines) + "\n\n" + self.checkpoint
        if TlogProof.parse(text) != self:
            raise ProofMalformed(ProofPart.HEADER, "a value cannot be written")
        return text


def _base64(text: str, part: ProofPart) -> bytes:
    try:
        return decode64(text)
    except NoteMalformed as error:
        raise ProofMalformed(part, "not base64 in its one spelling") from error
