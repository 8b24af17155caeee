"""How the log's tree is stored: leaf hashes beside their entries, and the hash of every complete subtree of 8 leaves or more.

A tree of size n is complete subtrees, largest first, one per set bit of n; these are its *frontier* (RFC 6962 §2.1). The smaller subtrees are
folded from at most 4 leaf hashes when a proof needs them: that leaves out seven eighths of all node rows. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lienthong.client.tlog.merkle import Node, node_hash

LEAST_STORED = 3
"""Lowest level of a node that has a row of its own."""


def grow(size: int, edge: Mapping[Node, bytes], leaves: Sequence[bytes]) -> dict[Node, bytes]:
    """All subtrees that become complete when leaf hashes are added to a tree of `size`, whose frontier hashes are in `edge`."""
    grown: dict[Node, bytes] = {(0, size + offset): digest for offset, digest in enumerate(leaves)}
    level, start, end = 0, size, size + len(leaves)
    while end >> 1 > start >> 1:
        for parent in range(start >> 1, end >> 1):
            left, right = (level, parent * 2), (level, parent * 2 + 1)
            grown[level + 1, parent] = node_hash(grown[left] if left in grown else edge[left], grown[right])
        level, start, end = level + 1, start >> 1, end >> 1
    return grown


def leaves_under(wanted: Iterable[Node]) -> list[int]:
    """Indexes of the leaves from which the nodes below LEAST_STORED are folded, in order."""
    return sorted(
        {
            leaf
            for level, index in wanted
            if level < LEAST_STORED
            for leaf in range(index << level, (index + 1) << level)
        }
    )


def folded(wanted: Iterable[Node], leaves: Mapping[int, bytes]) -> dict[Node, bytes]:
    """The nodes below LEAST_STORED from their leaf hashes; those that lack a leaf are absent."""
    found: dict[Node, bytes] = {}
    for level, index in wanted:
        if level < LEAST_STORED:
            digests = [leaves[leaf] for leaf in range(index << level, (index + 1) << level) if leaf in leaves]
            if len(digests) == 1 << level:
                while len(digests) > 1:
                    digests = [node_hash(*pair) for pair in zip(digests[::2], digests[1::2], strict=True)]
                found[level, index] = digests[0]
    return found
