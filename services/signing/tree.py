"""How the log's tree is stored: the hash of every complete subtree, by (level, index).

A tree of size n is complete subtrees, largest first, one per set bit of n; these are its *frontier* (RFC 6962 §2.1). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lienthong.client.tlog.merkle import node_hash


def grow(size: int, edge: Mapping[tuple[int, int], bytes], leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """All subtrees that become complete when leaf hashes are added to a tree of `size`, whose frontier hashes are in `edge`."""
    grown: dict[tuple[int, int], bytes] = {(0, size + offset): digest for offset, digest in enumerate(leaves)}
    level, start, end = 0, size, size + len(leaves)
    while end >> 1 > start >> 1:
        for parent in range(start >> 1, end >> 1):
            left, right = (level, parent * 2), (level, parent * 2 + 1)
            grown[level + 1, parent] = node_hash(grown[left] if left in grown else edge[left], grown[right])
        level, start, end = level + 1, start >> 1, end >> 1
    return grown
