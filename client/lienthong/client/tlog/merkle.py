"""Merkle tree of a transparency log (RFC 6962 §2.1, SHA-256): hashing, growing, proving and verifying.

A node is named by (level, index): level 0 are the leaf hashes, and node (l, i) covers the 2^l leaves from i·2^l on.
Only *complete* subtrees are nodes, so a node never changes once written and a store may keep nodes for ever. What an
incomplete tree needs beyond them is folded together here. Proofs are made in two steps, so that a store can fetch
everything in one batch: `nodes_for_...` lists the nodes, `..._path` combines them. Everything is pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

HASH_SIZE = 32
"""Length of every hash, in bytes."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962 §2.1)."""

LARGEST_SIZE = 2**63 - 1
"""Largest tree size that is accepted; sizes are 64-bit in every protocol around a log."""

Node: TypeAlias = tuple[int, int]
"""(level, index) of a complete subtree."""


class MerkleProofInvalid(Exception):
    """A proof does not lead to the root it should, has hashes too many or too few, or speaks of sizes that cannot
    be.
    """


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf: SHA-256 of 0x00 and the exact entry bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256 of 0x01 and the hashes of both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def frontier(size: int) -> list[Node]:
    """The complete subtrees that make up a tree of this size, largest first; empty for the empty tree."""
    return _cover(0, _checked_size(size))


def root_of(size: int, nodes: Mapping[Node, bytes]) -> bytes:
    """Root of the tree of this size from the nodes of its `frontier`; KeyError when one is missing."""
    return _fold(frontier(size), nodes) if size else EMPTY_ROOT


class CompactRange:
    """The right edge of a tree: enough to append leaves and to give the root, whatever the size (at most 63 hashes)."""

    def __init__(self, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        """Resumes at `size` with the hashes of `frontier(size)`, in that order. Raises ValueError when their number is
        wrong.
        """
        self._size = _checked_size(size)
        self._edge = list(edge)
        if len(self._edge) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has an edge of {size.bit_count()} hashes")

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    @property
    def edge(self) -> tuple[bytes, ...]:
        """Hashes of `frontier(size)`, in that order."""
        return tuple(self._edge)

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Adds a leaf hash. Returns every node that became complete, the leaf first, for the caller to store."""
        grown: list[tuple[Node, bytes]] = [((0, self._size), leaf)]
        level, index, digest = 0, self._size, leaf
        while index & 1:
            digest = node_hash(self._edge.pop(), digest)
            level, index = level + 1, index >> 1
            grown.append(((level, index), digest))
        self._edge.append(digest)
        self._size += 1
        return grown

    def root(self) -> bytes:
        """Root of the tree as it is now."""
        return _fold_hashes(self._edge) if self._edge else EMPTY_ROOT


def nodes_for_inclusion(index: int, size: int) -> list[Node]:
    """The nodes that `inclusion_path` needs. Raises ValueError unless 0 <= index < size."""
    return [node for start, end in _inclusion_ranges(index, size) for node in _cover(start, end)]


def inclusion_path(index: int, size: int, nodes: Mapping[Node, bytes]) -> list[bytes]:
    """Inclusion proof of a leaf, from the leaf's sibling up (RFC 6962 §2.1.1). `nodes` holds at least
    `nodes_for_inclusion`.
    """
    return [_fold(_cover(start, end), nodes) for start, end in _inclusion_ranges(index, size)]


def nodes_for_consistency(old_size: int, new_size: int) -> list[Node]:
    """The nodes that `consistency_path` needs. Raises ValueError unless 0 <= old_size <= new_size."""
    return [node for start, end in _consistency_ranges(old_size, new_size) for node in _cover(start, end)]


def consistency_path(old_size: int, new_size: int, nodes: Mapping[Node, bytes]) -> list[bytes]:
    """Consistency proof between two sizes (RFC 6962 §2.1.2); empty from the empty tree and between equal sizes."""
    return [_fold(_cover(start, end), nodes) for start, end in _consistency_ranges(old_size, new_size)]


def root_from_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 §2.1.3.2). The caller MUST take `size` from a verified
    checkpoint and MUST compare the result with that checkpoint's root. Raises MerkleProofInvalid when the proof has the
    wrong shape.
    """
    _checked_hashes([leaf, *path])
    if not 0 <= index < size <= LARGEST_SIZE:
        raise MerkleProofInvalid("index is not below the tree size")
    position, last, digest = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise MerkleProofInvalid("the proof has hashes too many")
        if position & 1 or position == last:
            digest = node_hash(sibling, digest)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise MerkleProofInvalid("the proof has hashes too few")
    return digest


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Raises MerkleProofInvalid unless the proof shows the leaf hash at `index` of the tree with this size and root."""
    if root_from_inclusion(index, size, leaf, path) != root:
        raise MerkleProofInvalid("the proof leads to another root")


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raises MerkleProofInvalid unless the proof shows the old tree to be a prefix of the new one (RFC 9162 §2.1.4.2).

    From the empty tree the proof is empty and the old root MUST be the empty tree's; between equal sizes it is empty
    and the roots are equal.
    """
    _checked_hashes([old_root, new_root, *path])
    if not 0 <= old_size <= new_size <= LARGEST_SIZE:
        raise MerkleProofInvalid("the old size is above the new one")
    if old_size in (0, new_size):
        _trivially_consistent(old_size, new_size, old_root, new_root, path)
        return
    # A complete old tree is itself a node of the new one; RFC 9162 leaves its hash out of the proof.
    hashes = [old_root, *path] if old_size.bit_count() == 1 else list(path)
    if not path or _roots_from_consistency(old_size, new_size, hashes) != (old_root, new_root):
        raise MerkleProofInvalid("the proof leads to another root")


def _roots_from_consistency(old_size: int, new_size: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise MerkleProofInvalid("the proof has hashes too many")
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise MerkleProofInvalid("the proof has hashes too few")
    return old, new


def _trivially_consistent(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    if path:
        raise MerkleProofInvalid("the proof has hashes too many")
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise MerkleProofInvalid("the root of the empty tree is wrong")
    if old_size == new_size and old_root != new_root:
        raise MerkleProofInvalid("equal sizes with different roots")


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Leaf ranges [start, end) whose roots make up the path of a leaf, from the leaf up (RFC 6962 §2.1.1 unrolled)."""
    if not 0 <= index < _checked_size(size):
        raise ValueError(f"index {index} is not below the tree size {size}")
    start, end, ranges = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """Leaf ranges of a consistency proof in its order (SUBPROOF of RFC 6962 §2.1.2 unrolled)."""
    if not 0 <= old_size <= _checked_size(new_size):
        raise ValueError(f"old size {old_size} is above the new size {new_size}")
    start, end, ranges = 0, new_size, []
    if old_size == 0:
        return []
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        ranges.append((start, end))
    return ranges[::-1]


def _split(width: int) -> int:
    """Largest power of two below `width`, which is at least 2."""
    return 1 << ((width - 1).bit_length() - 1)


def _cover(start: int, end: int) -> list[Node]:
    """Complete subtrees that make up the leaves [start, end), left to right; `start` is aligned as RFC 6962 splits
    ranges.
    """
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _fold(cover: Sequence[Node], nodes: Mapping[Node, bytes]) -> bytes:
    return _fold_hashes([nodes[node] for node in cover])


def _fold_hashes(hashes: Sequence[bytes]) -> bytes:
    digest = hashes[-1]
    for left in reversed(hashes[:-1]):
        digest = node_hash(left, digest)
    return digest


def _checked_size(size: int) -> int:
    if not 0 <= size <= LARGEST_SIZE:
        raise ValueError(f"tree size {size} is out of range")
    return size


def _checked_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(digest) != HASH_SIZE for digest in hashes):
        raise MerkleProofInvalid("a hash is not 32 bytes long")
