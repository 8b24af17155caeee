"""Evidence records (RFC 4998): every group reaches the one time-stamp, and nothing else does."""

from __future__ import annotations

import hashlib
import random
from contextlib import suppress
from dataclasses import replace

import pytest
from lienthong.client.evidence.der import SEQUENCE
from lienthong.client.evidence.record import Record, RecordInvalid, plan

TOKEN = bytes([SEQUENCE, 2, 5, 0])


def hashes(count: int, seed: int, digest: str = "sha256") -> list[bytes]:
    return [hashlib.new(digest, f"{seed}/{at}".encode()).digest() for at in range(count)]


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
@pytest.mark.parametrize("groups", [1, 2, 3, 5, 8, 13])
def test_every_group_of_a_batch_reaches_the_same_time_stamp(groups: int, digest: str) -> None:
    made = [hashes(2 + at % 4, at, digest) for at in range(groups)]
    top, trees = plan(made, digest)
    for group, tree in zip(made, trees, strict=True):
        record = Record(digest, tree, TOKEN)
        assert record.preimage == top
        assert sorted(group) == list(record.tree[0])
        assert Record.parse(record.encode()) == record
        assert len(tree) <= 1 + groups.bit_length()
        other = replace(record, tree=(tuple(sorted(hashes(3, 99, digest))), *tree[1:]))
        assert other.preimage != top


def test_the_tree_is_the_one_of_the_standard() -> None:
    """RFC 4998 §4.2: a group's hash is that of its sorted hashes behind each other, and so is a node's."""
    first, second = hashes(3, 1), hashes(2, 2)
    top, _ = plan([first, second], "sha256")
    left = hashlib.sha256(b"".join(sorted(first))).digest()
    right = hashlib.sha256(b"".join(sorted(second))).digest()
    assert top == b"".join(sorted([left, right]))
    alone, (tree,) = plan([first], "sha256")
    assert alone == b"".join(sorted(first))
    assert len(tree) == 1


def test_openssl_reads_the_structure() -> None:
    import subprocess

    from tests.fixtures.debian import openssl

    _, trees = plan([hashes(2, 1), hashes(2, 2)], "sha256")
    command = [openssl(), "asn1parse", "-inform", "DER"]
    done = subprocess.run(command, input=Record("sha256", trees[0], TOKEN).encode(), capture_output=True, check=True)
    text = done.stdout.decode()
    assert text.count("OCTET STRING") == 3
    assert "cont [ 0 ]" in text
    assert "cont [ 2 ]" in text
    assert "sha256" in text


def test_junk_is_no_record() -> None:
    _, trees = plan([hashes(3, 1), hashes(2, 2)], "sha256")
    good = Record("sha256", trees[0], TOKEN).encode()
    chance = random.Random(3)
    for attempt in range(400):
        changed = bytearray(good)
        for _ in range(1 + attempt % 3):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        if attempt % 5 == 0:
            changed = changed[: chance.randrange(len(changed))]
        with suppress(RecordInvalid):
            assert Record.parse(bytes(changed)).tree
    for bad in (b"", b"\x30\x00", good + b"\x00", Record("sha256", ((b"x" * 31,),), TOKEN).encode()):
        with pytest.raises(RecordInvalid):
            Record.parse(bad)
