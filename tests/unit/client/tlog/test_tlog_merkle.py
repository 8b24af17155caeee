"""Merkle tree: known answers of RFC 6962 implementations, and properties against a direct reading of the RFC."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.tlog.merkle import (
    EMPTY_ROOT,
    LARGEST_SIZE,
    CompactRange,
    MerkleProofInvalid,
    Node,
    consistency_path,
    frontier,
    inclusion_path,
    leaf_hash,
    nodes_for_consistency,
    nodes_for_inclusion,
    root_from_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# Leaves and roots of the sample tree of the certificate-transparency code base, used by all RFC 6962 implementations.
SAMPLE = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
SAMPLE_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def rfc_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + rfc_root(leaves[:half]) + rfc_root(leaves[half:])).digest()


def rfc_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < half:
        return [*rfc_path(index, leaves[:half]), rfc_root(leaves[half:])]
    return [*rfc_path(index - half, leaves[half:]), rfc_root(leaves[:half])]


def entries_of(count: int) -> list[bytes]:
    return [f"entry {number}".encode() for number in range(count)]


def grow(entries: Sequence[bytes]) -> tuple[CompactRange, dict[Node, bytes]]:
    edge = CompactRange()
    nodes: dict[Node, bytes] = {}
    for entry in entries:
        nodes.update(edge.append(leaf_hash(entry)))
    return edge, nodes


def test_roots_of_the_sample_tree() -> None:
    edge = CompactRange()
    for entry, root in zip(SAMPLE, SAMPLE_ROOTS, strict=True):
        edge.append(leaf_hash(entry))
        assert edge.root().hex() == root


def test_paths_of_the_sample_tree() -> None:
    _, nodes = grow(SAMPLE)
    assert [digest.hex() for digest in inclusion_path(5, 8, nodes)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [digest.hex() for digest in consistency_path(6, 8, nodes)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [digest.hex() for digest in consistency_path(2, 5, nodes)] == [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]


def test_empty_tree() -> None:
    assert CompactRange().root() == EMPTY_ROOT == root_of(0, {})
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert frontier(0) == []


def test_every_proof_of_every_small_tree_verifies_and_is_that_of_the_rfc() -> None:
    entries = entries_of(33)
    _, nodes = grow(entries)
    for size in range(1, len(entries) + 1):
        root = rfc_root(entries[:size])
        assert root_of(size, nodes) == root
        for index in range(size):
            wanted = {node: nodes[node] for node in nodes_for_inclusion(index, size)}
            path = inclusion_path(index, size, wanted)
            assert path == rfc_path(index, entries[:size])
            verify_inclusion(index, size, leaf_hash(entries[index]), path, root)
        for old in range(size + 1):
            wanted = {node: nodes[node] for node in nodes_for_consistency(old, size)}
            verify_consistency(old, size, rfc_root(entries[:old]), root, consistency_path(old, size, wanted))


@given(st.data())
def test_an_altered_inclusion_proof_fails(data: st.DataObject) -> None:
    entries = entries_of(data.draw(st.integers(2, 70)))
    size = len(entries)
    edge, nodes = grow(entries)
    index = data.draw(st.integers(0, size - 1))
    path, leaf, root = inclusion_path(index, size, nodes), leaf_hash(entries[index]), edge.root()
    verify_inclusion(index, size, leaf, path, root)
    place = data.draw(st.integers(0, len(path) - 1))
    wrong = bytearray(path[place])
    wrong[data.draw(st.integers(0, 31))] ^= data.draw(st.integers(1, 255))
    for altered in (
        [*path[:place], bytes(wrong), *path[place + 1 :]],
        [*path, leaf],
        path[:-1],
        [*path[:place], path[place], *path[place:]],
        [*path[:place], path[place][:31], *path[place + 1 :]],
    ):
        with pytest.raises(MerkleProofInvalid):
            verify_inclusion(index, size, leaf, altered, root)
    with pytest.raises(MerkleProofInvalid):
        verify_inclusion((index + 1) % size, size, leaf, path, root)
    with pytest.raises(MerkleProofInvalid):
        verify_inclusion(index, size, leaf_hash(b"another"), path, root)


@given(st.data())
def test_an_altered_consistency_proof_fails(data: st.DataObject) -> None:
    entries = entries_of(data.draw(st.integers(2, 70)))
    new = len(entries)
    old = data.draw(st.integers(1, new - 1))
    _, nodes = grow(entries)
    old_root, new_root, path = root_of(old, nodes), root_of(new, nodes), consistency_path(old, new, nodes)
    verify_consistency(old, new, old_root, new_root, path)
    place = data.draw(st.integers(0, len(path) - 1))
    wrong = bytearray(path[place])
    wrong[data.draw(st.integers(0, 31))] ^= data.draw(st.integers(1, 255))
    for altered in ([*path[:place], bytes(wrong), *path[place + 1 :]], [*path, new_root], path[:-1]):
        with pytest.raises(MerkleProofInvalid):
            verify_consistency(old, new, old_root, new_root, altered)
    with pytest.raises(MerkleProofInvalid):
        verify_consistency(old, new, leaf_hash(b"fork"), new_root, path)
    with pytest.raises(MerkleProofInvalid):
        verify_consistency(old, new, old_root, leaf_hash(b"fork"), path)


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "path"),
    [
        (2, 1, EMPTY_ROOT, EMPTY_ROOT, []),
        (-1, 1, EMPTY_ROOT, EMPTY_ROOT, []),
        (0, 0, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
        (0, 1, leaf_hash(b"x"), EMPTY_ROOT, []),
        (0, 1, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
        (0, 0, EMPTY_ROOT, leaf_hash(b"x"), []),
        (3, 3, leaf_hash(b"x"), EMPTY_ROOT, []),
        (3, 3, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
        (1, LARGEST_SIZE + 1, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
    ],
)
def test_impossible_consistency_proofs(old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes]) -> None:
    with pytest.raises(MerkleProofInvalid):
        verify_consistency(old, new, old_root, new_root, path)


def test_equal_sizes_and_the_empty_tree_need_no_proof() -> None:
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    verify_consistency(0, 7, EMPTY_ROOT, leaf_hash(b"x"), [])
    verify_consistency(7, 7, leaf_hash(b"x"), leaf_hash(b"x"), [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (5, 4), (-1, 4)])
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(MerkleProofInvalid):
        root_from_inclusion(index, size, leaf_hash(b""), [])
    with pytest.raises(ValueError, match="not below"):
        nodes_for_inclusion(index, size)


def test_a_compact_range_resumes() -> None:
    entries = entries_of(21)
    whole, nodes = grow(entries)
    half = CompactRange(13, [nodes[node] for node in frontier(13)])
    for entry in entries[13:]:
        half.append(leaf_hash(entry))
    assert (half.size, half.edge, half.root()) == (21, whole.edge, whole.root())
    with pytest.raises(ValueError, match="edge"):
        CompactRange(13, [])


@given(st.integers(0, LARGEST_SIZE), st.integers(0, LARGEST_SIZE))
def test_proofs_of_huge_trees_stay_small(first: int, second: int) -> None:
    old, new = sorted((first, second))
    assert len(frontier(new)) <= 63
    if old < new:
        assert len(nodes_for_inclusion(old, new)) <= 126
    assert len(nodes_for_consistency(old, new)) <= 189
