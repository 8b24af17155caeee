"""What a witness cosigns and what it refuses, with the state that it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lienthong.client.tlog.checkpoint import Checkpoint, Cosigner, cosignatures, open_checkpoint, sign_checkpoint
from lienthong.client.tlog.merkle import CompactRange, Node, consistency_path, leaf_hash
from lienthong.client.tlog.note import NoteSigner, VerifierKey
from lienthong.client.tlog.witness import SIZE_TYPE, AddCheckpoint
from lienthong.witness.store import StoreMissing, WitnessStore
from lienthong.witness.witness import Answer, Witness

ORIGIN = "log.example/2026"
LOG, SECOND, OTHER = NoteSigner.generate(ORIGIN), NoteSigner.generate(ORIGIN), NoteSigner.generate("other.example")
NOW = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
COSIGNER = Cosigner("witness.example/w1", Ed25519PrivateKey.generate())


class Tree:
    """A tree and proofs from it."""

    def __init__(self, size: int, salt: str = "") -> None:
        edge = CompactRange()
        self.nodes: dict[Node, bytes] = {}
        self.roots = [edge.root()]
        for number in range(size):
            self.nodes.update(edge.append(leaf_hash(f"{salt}{number}".encode())))
            self.roots.append(edge.root())

    def request(self, old: int, new: int, signer: NoteSigner = LOG) -> bytes:
        path = tuple(consistency_path(old, new, self.nodes))
        note = sign_checkpoint(Checkpoint(signer.name, new, self.roots[new]), signer)
        return AddCheckpoint(old, path, note).encode()


TREE, FORK = Tree(40), Tree(40, "fork ")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WitnessStore]:
    WitnessStore.create(tmp_path / "w.sqlite3")
    store = WitnessStore(tmp_path / "w.sqlite3")
    yield store
    store.close()


@pytest.fixture
def witness(store: WitnessStore) -> Witness:
    return Witness(COSIGNER, {ORIGIN: [LOG.verifier_key]}, store, lambda: NOW)


def cosigned(answer: Answer, body: bytes) -> Checkpoint:
    """The checkpoint that an answer vouches for."""
    assert answer.status == 200, answer
    checkpoint, opened = open_checkpoint(AddCheckpoint.parse(body).checkpoint + answer.body, [LOG.verifier_key])
    (seen,) = cosignatures(opened, [COSIGNER.verifier_key])
    assert seen.seen_at == NOW
    return checkpoint


def test_a_growing_log_is_cosigned_step_by_step(witness: Witness, store: WitnessStore) -> None:
    for old, new in ((0, 5), (5, 5), (5, 8), (8, 40)):
        body = TREE.request(old, new)
        assert cosigned(witness.add_checkpoint(body), body).size == new
        seen = store.latest(ORIGIN)
        assert seen is not None
        assert (seen.size, seen.root) == (new, TREE.roots[new])


@pytest.mark.parametrize("old", [0, 4, 6])
def test_a_stale_or_early_size_gets_the_size_to_start_from(witness: Witness, old: int) -> None:
    witness.add_checkpoint(TREE.request(0, 5))
    assert witness.add_checkpoint(TREE.request(old, 9)) == Answer(409, "5\n", "OLD_SIZE_STALE", SIZE_TYPE)


def test_a_fork_is_never_cosigned(witness: Witness, store: WitnessStore) -> None:
    witness.add_checkpoint(TREE.request(0, 8))
    same_size = FORK.request(8, 8)
    assert (witness.add_checkpoint(same_size).status, witness.add_checkpoint(FORK.request(8, 9)).status) == (409, 422)
    assert witness.add_checkpoint(FORK.request(0, 9)).status == 409
    assert witness.add_checkpoint(TREE.request(0, 7)).status == 409
    seen = store.latest(ORIGIN)
    assert seen is not None
    assert (seen.size, seen.root) == (8, TREE.roots[8])
    # Two notes of one size with different roots, both signed by the log, prove what it did.
    assert store.forks(ORIGIN) == [AddCheckpoint.parse(same_size).checkpoint]


def test_a_proof_that_does_not_hold(witness: Witness, store: WitnessStore) -> None:
    witness.add_checkpoint(TREE.request(0, 5))
    good = AddCheckpoint.parse(TREE.request(5, 9))
    for path in ((), good.path[:-1], (*good.path, bytes(32)), (bytes(32), *good.path[1:])):
        assert witness.add_checkpoint(AddCheckpoint(5, path, good.checkpoint).encode()).status == 422
    first = AddCheckpoint(5, (bytes(32),), AddCheckpoint.parse(TREE.request(5, 5)).checkpoint)
    assert witness.add_checkpoint(first.encode()).status == 422
    seen = store.latest(ORIGIN)
    assert seen is not None
    assert seen.size == 5


def test_who_is_not_known(witness: Witness, store: WitnessStore) -> None:
    assert witness.add_checkpoint(TREE.request(0, 5, OTHER)).status == 404
    assert witness.add_checkpoint(TREE.request(0, 5, SECOND)).status == 403
    forged = TREE.request(0, 5).replace(b"\n5\n", b"\n6\n")
    assert witness.add_checkpoint(forged).status == 403
    assert store.latest(ORIGIN) is None


@pytest.mark.parametrize("body", [b"", b"\xff", b"old 1\n\nx\n", TREE.request(0, 5)[:-20]])
def test_what_cannot_be_read(witness: Witness, body: bytes) -> None:
    assert witness.add_checkpoint(body).status == 400


def test_an_old_size_above_the_checkpoint(witness: Witness) -> None:
    note = AddCheckpoint.parse(TREE.request(0, 5)).checkpoint
    assert witness.add_checkpoint(AddCheckpoint(6, (), note).encode()).status == 400


def test_a_checkpoint_that_cannot_be_kept_is_not_cosigned(witness: Witness, store: WitnessStore) -> None:
    store.close()
    with pytest.raises(Exception, match="closed"):
        witness.add_checkpoint(TREE.request(0, 5))


def test_two_processes_on_one_database_never_sign_two_histories(tmp_path: Path) -> None:
    """A race of trees: whichever comes first wins, everything else of the other tree is refused."""
    path = tmp_path / "shared.sqlite3"
    WitnessStore.create(path)
    stores = [WitnessStore(path), WitnessStore(path)]
    witnesses = [Witness(COSIGNER, {ORIGIN: [LOG.verifier_key]}, store, lambda: NOW) for store in stores]

    def offer(number: int) -> list[int]:
        tree = (TREE, FORK)[number]
        return [witnesses[number].add_checkpoint(tree.request(size, size + 1)).status for size in range(20)]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(offer, (0, 1))
    assert sorted((first.count(200), second.count(200))) == [0, 20]
    for store in stores:
        store.close()


def test_a_lost_database_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite3").touch()
    for name in ("missing.sqlite3", "empty.sqlite3"):
        with pytest.raises(StoreMissing):
            WitnessStore(tmp_path / name)
    assert not (tmp_path / "missing.sqlite3").exists()


# Vectors of github.com/transparency-dev/witness (internal/witness/witness_test.go).
MONKEYS = VerifierKey.parse("monkeys+db4d9f7e+AULaJMvTtDLHPUcUrjdDad9vDlh/PTfC2VV60JUtCfWT")
FIRST = (
    "monkeys\n5\n41smjBUiAU70EtKlT6lIOIYtRTYxYXsDB+XHfcvu/BE=\n\n"
    "— monkeys 202fftzGl3LVoqjXfwCFZZXs8I+5G22+Ek2K0AOyBuSJ/8/CZawNF+6fNlTKOCd622pbzJNkkJFWuw9DbicZCkEx9AY=\n"
)
NEXT = (
    "monkeys\n8\nV8K9aklZ4EPB+RMOk1/8VsJUdFZR77GDtZUQq84vSbo=\n\n"
    "— monkeys 202ffoUEboiQYpHzICeaFmoy3RNviHTpAxYrq/eO4QQVQMvu9UebKBMX2MJC76NLthZaKsnKbCA8GxrjePZhvDCH7Ag=\n"
)
CONSISTENCY = (
    "b9e1d62618f7fee8034e4c5010f727ab24d8e4705cb296c374bf2025a87a10d2",
    "aac66cd7a79ce4012d80762fe8eec3a77f22d1ca4145c3f4cee022e7efcd599d",
    "89d0f753f66a290c483b39cd5e9eafb12021293395fad3d4a2ad053cfbcfdc9e",
    "29e40bb79c966f4c6fe96aff6f30acfce5f3e8d84c02215175d6e018a5dee833",
)


def test_the_vectors_of_another_witness(store: WitnessStore) -> None:
    witness = Witness(COSIGNER, {"monkeys": [MONKEYS]}, store, lambda: NOW)
    path = tuple(bytes.fromhex(digest) for digest in CONSISTENCY)
    assert witness.add_checkpoint(AddCheckpoint(0, (), FIRST).encode()).status == 200
    assert witness.add_checkpoint(AddCheckpoint(5, path[::-1], NEXT).encode()).status == 422
    assert witness.add_checkpoint(AddCheckpoint(5, path, NEXT).encode()).status == 200
    assert witness.add_checkpoint(AddCheckpoint(5, path, FIRST).encode()).status == 409
