"""A person's ledger with what proves it, as one file that can be kept and checked anywhere."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from lienthong.consent.v1 import access_ledger_service_pb2

MEMBER = "lienthong_ledger"
"""Member that says what the file is, and its version."""
MOST_LINES = 1_000_000
_MOST_ANCHORS = 1000


class LedgerProofMalformed(Exception):
    """The text is not a ledger with its proof."""


@dataclass(frozen=True)
class Line:
    """A line as it is hashed. `entry` is the entry of the index whose ledger it is on."""

    entry: UUID
    sequence: int
    canonical: bytes


@dataclass(frozen=True)
class Anchor:
    """Where a head stands: its leaf in the anchor's tree, and the anchor's entry in the log. `tlog_proof` is empty while it is being witnessed."""

    entry: UUID
    sequence: int
    head: bytes
    salt: bytes
    leaf_index: int
    tree_size: int
    path: tuple[bytes, ...]
    log_entry: bytes
    tlog_proof: str


@dataclass(frozen=True)
class LedgerProof:
    """All lines of all entries of a person, each entry's in order, and the newest anchored head of each."""

    person: UUID
    lines: tuple[Line, ...]
    anchors: tuple[Anchor, ...]

    @classmethod
    def of(cls, person: str, pages: Iterable[access_ledger_service_pb2.GetLedgerProofResponse]) -> LedgerProof:
        """From the pages of `GetLedgerProof`."""
        lines: list[Line] = []
        anchors: list[Anchor] = []
        for page in pages:
            lines += [Line(_id(one.person), one.sequence, one.canonical) for one in page.lines]
            anchors += [
                Anchor(
                    _id(one.person),
                    one.sequence,
                    one.head_hash,
                    one.salt,
                    one.leaf_index,
                    one.tree_size,
                    tuple(one.path),
                    one.log_entry,
                    one.tlog_proof,
                )
                for one in page.anchors
            ]
        return cls(_id(person), tuple(lines), tuple(anchors))

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(
            {
                MEMBER: 1,
                "person": str(self.person),
                "lines": [[str(one.entry), one.sequence, one.canonical.decode("ascii")] for one in self.lines],
                "anchors": [
                    {
                        "entry": str(one.entry),
                        "sequence": one.sequence,
                        "head": one.head.hex(),
                        "salt": one.salt.hex(),
                        "leaf_index": one.leaf_index,
                        "tree_size": one.tree_size,
                        "path": [digest.hex() for digest in one.path],
                        "log_entry": b64encode(one.log_entry).decode(),
                        "tlog_proof": one.tlog_proof,
                    }
                    for one in self.anchors
                ],
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> LedgerProof:
        """Reads the file; raises LedgerProofMalformed. Nothing is checked yet."""
        try:
            raw = json.loads(text)
            if raw[MEMBER] != 1 or len(raw["lines"]) > MOST_LINES or len(raw["anchors"]) > _MOST_ANCHORS:
                raise LedgerProofMalformed("not a ledger of version 1, or too long")
            lines = tuple(Line(UUID(entry), int(number), line.encode("ascii")) for entry, number, line in raw["lines"])
            return cls(UUID(raw["person"]), lines, tuple(_anchor(one) for one in raw["anchors"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LedgerProofMalformed("not a ledger with its proof") from error


def _anchor(raw: Any) -> Anchor:
    return Anchor(
        UUID(raw["entry"]),
        int(raw["sequence"]),
        bytes.fromhex(raw["head"]),
        bytes.fromhex(raw["salt"]),
        int(raw["leaf_index"]),
        int(raw["tree_size"]),
        tuple(bytes.fromhex(digest) for digest in raw["path"]),
        b64decode(raw["log_entry"], validate=True),
        str(raw["tlog_proof"]),
    )


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])
