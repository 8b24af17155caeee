"""Batch signatures: one signature over a manifest stands for up to 10,000 documents, so that a slow token signs once.

The manifest is the body of a checkpoint (C2SP tlog-checkpoint) with the origin `facility/{code}/batch/{uuid}`, the
number of documents and the Merkle root over their exact bytes (RFC 6962 §2.1). It is signed once, by CAdES-B detached.
Each document travels with the manifest, the signature, its index and its path, and stays verifiable alone.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lienthong.client.tlog.checkpoint import Checkpoint, CheckpointMalformed
from lienthong.client.tlog.merkle import (
    CompactRange,
    MerkleProofInvalid,
    Node,
    inclusion_path,
    leaf_hash,
    verify_inclusion,
)

MOST_DOCUMENTS = 10_000
"""Most documents in a batch."""

LONGEST_PATH = 14
"""Most hashes in a path: 2^14 is the next power of two above the most documents."""

LARGEST_MANIFEST = 160
"""Longest manifest, in bytes; the longest that can be has 121."""

_ORIGIN = re.compile(r"facility/([0-9A-Z]{5})/batch/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")


class BatchError(Exception):
    """A batch cannot be made, or a document is not shown to be in it."""


class BatchManifestInvalid(BatchError):
    """A text is not a manifest, or a value cannot be in one."""


class BatchMembershipInvalid(BatchError):
    """The document is not at that place of the batch."""


@dataclass(frozen=True)
class BatchManifest:
    """What is signed for a whole batch: `facility` is the 5-character code of the one that signs, `batch_id` a UUID,
    `count` the number of documents, `root` the Merkle root over them (32 bytes).
    """

    facility: str
    batch_id: uuid.UUID
    count: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> BatchManifest:
        """Reads a manifest in its one spelling. Raises BatchManifestInvalid."""
        if len(text) > LARGEST_MANIFEST:
            raise BatchManifestInvalid(f"a manifest has at most {LARGEST_MANIFEST} characters")
        try:
            checkpoint = Checkpoint.parse(text)
        except CheckpointMalformed as error:
            raise BatchManifestInvalid("a manifest is the body of a checkpoint") from error
        origin = _ORIGIN.fullmatch(checkpoint.origin)
        if origin is None:
            raise BatchManifestInvalid("the first line is facility/{code}/batch/{uuid}")
        if not 1 <= checkpoint.size <= MOST_DOCUMENTS:
            raise BatchManifestInvalid(f"a batch has 1 to {MOST_DOCUMENTS} documents")
        return cls(origin[1], uuid.UUID(origin[2]), checkpoint.size, checkpoint.root)

    def encode(self) -> str:
        """The text to sign as UTF-8. Raises BatchManifestInvalid when a value cannot be in a manifest."""
        try:
            text = Checkpoint(f"facility/{self.facility}/batch/{self.batch_id}", self.count, self.root).encode()
        except CheckpointMalformed as error:
            raise BatchManifestInvalid("a value cannot be in a manifest") from error
        if BatchManifest.parse(text) != self:
            raise BatchManifestInvalid("a value cannot be in a manifest")
        return text


def make_batch(
    facility: str, documents: Iterable[bytes], batch_id: uuid.UUID | None = None
) -> tuple[BatchManifest, Sequence[tuple[bytes, ...]]]:
    """The manifest over documents in their order, and the path of each. `documents` is read once and not kept.

    Raises BatchManifestInvalid.
    """
    edge = CompactRange()
    nodes: dict[Node, bytes] = {}
    for document in documents:
        if edge.size >= MOST_DOCUMENTS:
            raise BatchManifestInvalid(f"a batch has 1 to {MOST_DOCUMENTS} documents")
        nodes.update(edge.append(leaf_hash(document)))
    manifest = BatchManifest(facility, batch_id or uuid.uuid4(), edge.size, edge.root())
    manifest.encode()
    return manifest, [tuple(inclusion_path(index, edge.size, nodes)) for index in range(edge.size)]


def verify_membership(manifest: BatchManifest, index: int, path: Sequence[bytes], document: bytes) -> None:
    """Raises BatchMembershipInvalid unless exactly this document stands at `index` (from 0) of the batch."""
    if len(path) > LONGEST_PATH:
        raise BatchMembershipInvalid(f"a path has at most {LONGEST_PATH} hashes")
    try:
        verify_inclusion(index, manifest.count, leaf_hash(document), path, manifest.root)
    except MerkleProofInvalid as error:
        raise BatchMembershipInvalid(f"the document is not at that place of the batch: {error}") from error
