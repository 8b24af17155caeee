"""The stored tree against the plain definition of RFC 6962 §2.1."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.tlog.merkle import (
    CompactRange,
    Node,
    consistency_path,
    frontier,
    inclusion_path,
    leaf_hash,
    nodes_for_consistency,
    nodes_for_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)

from services.signing.tree import LEAST_STORED, folded, grow, leaves_under

LEAVES = [leaf_hash(b"%d" % number) for number in range(300)]


def reference(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, as it is written there."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + reference(leaves[:split]) + reference(leaves[split:])).digest()


class Store:
    """What the database keeps: leaf hashes, and nodes from LEAST_STORED on."""

    def __init__(self, batches: list[int]) -> None:
        self.size, self.rows = 0, dict[Node, bytes]()
        for batch in batches:
            leaves = LEAVES[self.size : self.size + batch]
            grown = grow(self.size, self.nodes(frontier(self.size)), leaves)
            assert not grown.keys() & self.rows.keys()
            self.rows |= {node: digest for node, digest in grown.items() if node[0] >= LEAST_STORED}
            self.size += len(leaves)

    def nodes(self, wanted: list[Node]) -> dict[Node, bytes]:
        leaves = {index: LEAVES[index] for index in leaves_under(wanted) if index < self.size}
        return folded(wanted, leaves) | {node: self.rows[node] for node in wanted if node in self.rows}


batches = st.lists(st.integers(0, 40), min_size=1, max_size=7).filter(lambda sizes: 0 < sum(sizes) <= 300)


@given(batches, st.data())
def test_every_root_and_path_from_what_is_stored(sizes: list[int], data: st.DataObject) -> None:
    store = Store(sizes)
    root = root_of(store.size, store.nodes(frontier(store.size)))
    assert root == reference(LEAVES[: store.size])
    old = data.draw(st.integers(1, store.size))
    old_root = root_of(old, store.nodes(frontier(old)))
    assert old_root == reference(LEAVES[:old])
    path = consistency_path(old, store.size, store.nodes(nodes_for_consistency(old, store.size)))
    verify_consistency(old, store.size, old_root, root, path)
    index = data.draw(st.integers(0, old - 1))
    path = inclusion_path(index, old, store.nodes(nodes_for_inclusion(index, old)))
    verify_inclusion(index, old, LEAVES[index], path, old_root)


def test_few_rows_are_kept() -> None:
    store = Store([256])
    assert len(store.rows) == 32 + 16 + 8 + 4 + 2 + 1
    assert all(level >= LEAST_STORED for level, _ in store.rows)
    edge = CompactRange()
    for leaf in LEAVES[:256]:
        for node, digest in edge.append(leaf):
            assert node[0] < LEAST_STORED or store.rows[node] == digest


def test_a_node_that_lacks_a_leaf_is_absent() -> None:
    assert folded([(0, 5), (1, 0), (2, 1)], {0: LEAVES[0], 4: LEAVES[4], 5: LEAVES[5]}) == {(0, 5): LEAVES[5]}
    assert leaves_under([(3, 0), (2, 1), (1, 3), (0, 9)]) == [4, 5, 6, 7, 9]
