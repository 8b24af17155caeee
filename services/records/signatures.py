"""Signatures that travel beside a document, and the parts of it that they name. Pure: no I/O, no protos."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

LARGEST_SIGNATURE = 64 * 1024
MOST_SIGNATURES = 8
MOST_PARTS = 16
# A batch has at most 10,000 documents, so no path is longer.
LONGEST_PATH = 14
HASH_BYTES = 32
# Three short lines: origin, count and root.
LONGEST_MANIFEST = 512
PART_NAME = re.compile(r"XML(?:\d|1[0-5])")


class SignatureForm(Enum):
    """Forms that a signature beside a document may have; the names are those of `lienthong.signing.v1.SignatureFormat`."""

    CMS_DETACHED = "CMS_DETACHED"
    XADES_DETACHED = "XADES_DETACHED"
    JWS_DETACHED = "JWS_DETACHED"
    BATCH = "BATCH"


@dataclass(frozen=True)
class BatchPlace:
    """Where a document stands in a batch that was signed once: manifest, zero-based index, Merkle path leaf to root."""

    manifest: str
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class DetachedSignature:
    """One signature beside a document; `part` names the inner table it covers, empty for the whole document."""

    form: SignatureForm
    content: bytes = field(repr=False)
    part: str = ""
    batch: BatchPlace | None = None

    @property
    def size(self) -> int:
        """Bytes it holds in memory."""
        place = self.batch
        return len(self.content) + (0 if place is None else len(place.manifest) + HASH_BYTES * len(place.path))
