"""Evidence records (RFC 4998): one archive time-stamp protects many groups of files, each through its reduced hash tree.

The hash of a group is that of its members' hashes, sorted and put behind each other; above the groups stands a binary
tree of the same rule (§4.2). A record here has one archive time-stamp; a renewal is another record, over the files and
the records before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from lienthong.client.evidence.der import CONTEXT_0, CONTEXT_2, INTEGER, OBJECT, OCTETS, SEQUENCE, DerInvalid, read
from lienthong.client.evidence.signed_data import DIGESTS

MOST_HASHES = 4_096
MOST_LEVELS = 32
_OIDS = {name: oid for oid, name in DIGESTS.items()}


class RecordInvalid(ValueError):
    """Not an evidence record of this form."""


@dataclass(frozen=True)
class Record:
    """A record: name of the digest, reduced hash tree (the group's hashes first, then each level's), time-stamp (DER)."""

    digest: str
    tree: tuple[tuple[bytes, ...], ...]
    token: bytes

    @property
    def preimage(self) -> bytes:
        """The bytes that the time-stamp is over: what the top of the tree is the hash of."""
        found = b""
        for level in self.tree:
            hashes = [*level, hashlib.new(self.digest, found).digest()] if found else [*level]
            found = _joined(hashes)
        return found

    def encode(self) -> bytes:
        """DER of the EvidenceRecord."""
        algorithm = _tlv(SEQUENCE, _oid(_OIDS[self.digest]))
        lists = [_tlv(SEQUENCE, *(_tlv(OCTETS, one) for one in level)) for level in self.tree]
        # [0] replaces the tag of the algorithm, [2] that of the tree: the module's tags are implicit.
        stamp = _tlv(SEQUENCE, _tlv(CONTEXT_0, _oid(_OIDS[self.digest])), _tlv(CONTEXT_2, *lists), self.token)
        chain = _tlv(SEQUENCE, stamp)
        return _tlv(SEQUENCE, _tlv(INTEGER, b"\x01"), _tlv(SEQUENCE, algorithm), _tlv(SEQUENCE, chain))

    @classmethod
    def parse(cls, encoded: bytes) -> Record:
        """Reads a record. Raises RecordInvalid."""
        try:
            version, algorithms, chains = read(encoded).expect(SEQUENCE).children()
            (chain,) = chains.expect(SEQUENCE).children()
            (stamp,) = chain.expect(SEQUENCE).children()
            digest, tree, token = stamp.expect(SEQUENCE).children()
            name = DIGESTS[digest.expect(CONTEXT_0).children()[0].oid()]
            lists = tuple(
                tuple(one.expect(OCTETS).content for one in level.expect(SEQUENCE).children())
                for level in tree.expect(CONTEXT_2).children()
            )
            if version.integer() != 1 or algorithms.children()[0].children()[0].oid() != _OIDS[name]:
                raise RecordInvalid("another version or algorithm")
        except (DerInvalid, ValueError, LookupError) as error:
            raise RecordInvalid("not an evidence record with one archive time-stamp") from error
        size = hashlib.new(name).digest_size
        if not 1 <= len(lists) <= MOST_LEVELS or any(not 1 <= len(level) <= MOST_HASHES for level in lists):
            raise RecordInvalid("a tree that is too large or has an empty level")
        if any(len(one) != size for level in lists for one in level):
            raise RecordInvalid("a hash of another length")
        return cls(name, lists, token.encoded)


def plan(groups: Sequence[Sequence[bytes]], digest: str) -> tuple[bytes, list[tuple[tuple[bytes, ...], ...]]]:
    """For groups of hashes: the bytes to time-stamp, by that digest, and the reduced hash tree of each group."""
    joined = [_joined(group) for group in groups]
    nodes = [hashlib.new(digest, one).digest() for one in joined]
    trees: list[list[tuple[bytes, ...]]] = [[tuple(sorted(group))] for group in groups]
    # Which groups stand under a node.
    below = [[at] for at in range(len(groups))]
    top = joined[0]
    while len(nodes) > 1:
        above, above_below = [], []
        for at in range(0, len(nodes) - 1, 2):
            left, right = nodes[at], nodes[at + 1]
            for one in below[at]:
                trees[one].append((right,))
            for one in below[at + 1]:
                trees[one].append((left,))
            top = _joined([left, right])
            above.append(hashlib.new(digest, top).digest())
            above_below.append(below[at] + below[at + 1])
        if len(nodes) % 2:
            above.append(nodes[-1])
            above_below.append(below[-1])
        nodes, below = above, above_below
    return top, [tuple(tree) for tree in trees]


def _joined(hashes: Sequence[bytes]) -> bytes:
    return b"".join(sorted(hashes))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = bytes([first * 40 + second])
    for arc in rest:
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.append(arc & 0x7F | 0x80)
        content += bytes(reversed(octets))
    return _tlv(OBJECT, content)


def _tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
