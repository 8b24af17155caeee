"""Anchoring ledgers: many heads under one root, and the root in the transparency log. Pure.

Until a head is anchored, whoever holds the database could still rewrite the lines since the anchor before; afterwards nobody can without the log
showing it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from lienthong.client.ledger import AnchorEntry, head_leaf
from lienthong.client.tlog.merkle import CompactRange, Node, inclusion_path, leaf_hash

MOST_HEADS = 1000
"""Heads under one entry; more are anchored by the entries that follow at once."""


@dataclass(frozen=True)
class AnchorSettings:
    """Anchors are made every `interval_seconds` where ledgers have grown; so long the newest lines rest on this system alone."""

    interval_seconds: float = 10.0

    @property
    def interval(self) -> timedelta:
        """As a span."""
        return timedelta(seconds=self.interval_seconds)


@dataclass(frozen=True)
class Head:
    """The newest line of a ledger that has grown: its number and hash."""

    person: UUID
    sequence: int
    hash: bytes


@dataclass(frozen=True)
class AnchoredHead:
    """A head's leaf in the tree of an anchor. Who knows the salt can show whose head it is."""

    head: Head
    salt: bytes = field(repr=False)
    leaf_index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class Anchoring:
    """An entry of the log and the heads under it."""

    id: UUID
    entry: bytes
    anchored_at: datetime
    heads: Sequence[AnchoredHead]


@dataclass(frozen=True)
class Anchored:
    """A head as it is proven: its leaf, the entry it is under, and that entry's place in the log; the proof is empty while it is being witnessed."""

    leaf: AnchoredHead
    tree_size: int
    entry: bytes
    anchored_at: datetime
    tlog_proof: str


def anchoring(heads: Sequence[Head], id: UUID, at: datetime, salt: Callable[[], bytes]) -> Anchoring:
    """Puts 1 to MOST_HEADS heads under one root."""
    salts = [salt() for _ in heads]
    tree = CompactRange()
    nodes: dict[Node, bytes] = {}
    for head, drawn in zip(heads, salts, strict=True):
        nodes.update(tree.append(leaf_hash(head_leaf(head.person, head.sequence, head.hash, drawn))))
    size = len(heads)
    leaves = [
        AnchoredHead(head, drawn, place, tuple(inclusion_path(place, size, nodes)))
        for place, (head, drawn) in enumerate(zip(heads, salts, strict=True))
    ]
    return Anchoring(id, AnchorEntry(tree.root(), size, at).encode(), at, leaves)
