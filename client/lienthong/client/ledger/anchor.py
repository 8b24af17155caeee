"""What ties ledgers into the transparency log: one entry for many heads.

The heads are the leaves of a Merkle tree (RFC 6962 §2.1), and the log's entry names its root. A leaf is salted: neither the entry nor another
person's path tells whose head it is or how long the ledger is, and once the salt is destroyed nobody can show it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from lienthong.client.tlog.merkle import HASH_SIZE
from lienthong.client.tlog.promise import format_time, parse_time

KIND = "LEDGER_ANCHOR"
"""The member `kind` of an anchor's entry, which tells it from receipts."""
SALT_SIZE = 32
MOST_LEAVES = 1 << 16
_FRAME = b"lienthong.vn/ledger-head/v1\n"
_LARGEST = 4096


class AnchorMalformed(Exception):
    """The bytes are not the entry of an anchor."""


@dataclass(frozen=True)
class AnchorEntry:
    """An entry of the log: root (32 bytes) of a tree over so many heads, and when it was made."""

    root: bytes
    size: int
    anchored_at: datetime

    def encode(self) -> bytes:
        """The exact bytes of the entry: JSON with sorted names, no spaces."""
        fields = {
            "v": 1,
            "kind": KIND,
            "root": self.root.hex(),
            "size": self.size,
            "anchored_at": format_time(self.anchored_at),
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, entry: bytes) -> AnchorEntry:
        """Reads an entry; it has one spelling only. Raises AnchorMalformed."""
        try:
            raw = json.loads(entry[:_LARGEST])
            at = parse_time(raw["anchored_at"])
            if at is None:
                raise AnchorMalformed("the time is not RFC 3339 in UTC")
            read = cls(bytes.fromhex(raw["root"]), int(raw["size"]), at)
        except (ValueError, KeyError, TypeError) as error:
            raise AnchorMalformed("not an anchor") from error
        if len(read.root) != HASH_SIZE or not 1 <= read.size <= MOST_LEAVES or read.encode() != entry:
            raise AnchorMalformed("not an anchor of version 1 in its one spelling")
        return read


def is_anchor(entry: bytes) -> bool:
    """Whether an entry of the log is a well-formed anchor."""
    try:
        AnchorEntry.parse(entry)
    except AnchorMalformed:
        return False
    return True


def head_leaf(person: UUID, sequence: int, head: bytes, salt: bytes) -> bytes:
    """The exact bytes of a leaf: frame, salt (32 bytes), person, number of the head (8 bytes, big-endian), hash of the head (32 bytes). Raises
    ValueError for other sizes.
    """
    if len(salt) != SALT_SIZE or len(head) != HASH_SIZE:
        raise ValueError("a salt or hash is not 32 bytes long")
    return _FRAME + salt + person.bytes + sequence.to_bytes(8, "big") + head
