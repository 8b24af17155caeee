"""One signature for up to 10,000 documents: the manifest of a batch is signed once, each document gets its place in it.

A document's place is only written once the signature over the manifest is on disk, so an interrupted run leaves documents that are still
without signature, never one with half of it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from lienthong.agent.sidecars import BatchPlace, write_place
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.signer import Signer
from lienthong.client.batch import MOST_DOCUMENTS, BatchManifest, make_batch


def sign_batch(facility: str, documents: Sequence[Path], signer: Signer) -> BatchManifest:
    """Signs 1 to 10,000 documents of one folder in place of one signature each. Reads one document at a time.

    Raises BatchManifestInvalid, SigningError or OSError.
    """
    manifest, paths = make_batch(facility, (document.read_bytes() for document in documents))
    text = manifest.encode().encode("ascii")
    folder = documents[0].parent
    stem = folder / f"{manifest.batch_id}.manifest"
    _durable(stem, text)
    _durable(stem.with_name(stem.name + ".p7s"), sign_detached(text, signer))
    for index, (document, path) in enumerate(zip(documents, paths, strict=True)):
        write_place(document, BatchPlace(manifest.batch_id, index, path))
    return manifest


def batches(documents: Sequence[Path], size: int = MOST_DOCUMENTS) -> Iterator[Sequence[Path]]:
    """The documents in parts of `size`, in their order."""
    for start in range(0, len(documents), size):
        yield documents[start : start + size]


def _durable(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
