"""Signatures in files beside a document, found by their names: what `lienthong sign` writes and `lienthong submit` sends.

Beside `NAME` stand `NAME.p7s` (CMS), `NAME.xades` (XAdES detached) or `NAME.jws`, with a part before the ending for one that covers an inner
table only: `NAME.XML13.p7s`. `NAME.batch` places the document in a batch, whose manifest and signature are `{uuid}.manifest` and
`{uuid}.manifest.p7s` in the same folder, so that `openssl cms -verify` checks them as they lie.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lienthong.client.batch import LONGEST_PATH, BatchManifest, BatchManifestInvalid

LARGEST_SIGNATURE = 64 * 1024
"""Longest signature that the system takes, in bytes."""

MOST_SIGNATURES = 8
"""Most signatures beside a document."""

ENDINGS = {".p7s": "CMS_DETACHED", ".xades": "XADES_DETACHED", ".jws": "JWS_DETACHED"}
"""Form of a signature (name in the contract) by the ending of its file."""

BATCH = ".batch"
_LARGEST_PLACE = 4096
_PART = re.compile(r"\.(XML[0-9]{1,2})")


class SidecarInvalid(Exception):
    """A signature file cannot be used; the text names the file."""


@dataclass(frozen=True)
class BatchPlace:
    """Place of a document in a batch: index from 0, and the hashes from its leaf to the root (32 bytes each)."""

    batch_id: uuid.UUID
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class Sidecar:
    """One signature file. `form` is CMS_DETACHED, XADES_DETACHED, JWS_DETACHED or BATCH, `part` the inner table it covers or empty; for
    BATCH `path` is the signature over the manifest.
    """

    form: str
    path: Path
    part: str = ""
    place: BatchPlace | None = None

    @property
    def content(self) -> bytes:
        """The signature. Raises SidecarInvalid when it is not there or too long."""
        return _read(self.path, LARGEST_SIGNATURE)

    @property
    def manifest(self) -> str:
        """The manifest of a batch. Raises SidecarInvalid."""
        path = self.path.with_suffix("")
        try:
            text = _read(path, 1024).decode("ascii")
            BatchManifest.parse(text)
        except (UnicodeDecodeError, BatchManifestInvalid) as error:
            raise SidecarInvalid(f"{path.name}: not a manifest") from error
        return text


def sidecars(document: Path, names: Sequence[str] | None = None) -> tuple[Sidecar, ...]:
    """The signatures beside a document. `names` are those of its folder, for a caller who has many documents there.

    Raises SidecarInvalid for a broken one, and for more than the system takes.
    """
    if names is None:
        names = [entry.name for entry in os.scandir(document.parent) if entry.name.startswith(document.name + ".")]
    found = []
    for name in sorted(names):
        one = _sidecar(document.with_name(name), name.removeprefix(document.name))
        if one is not None:
            found.append(one)
    if len(found) > MOST_SIGNATURES:
        raise SidecarInvalid(f"{document.name}: more than {MOST_SIGNATURES} signatures")
    return tuple(found)


def named(file: Path, document: Path) -> Sidecar:
    """A signature file that the user names; form and part come from its ending. Raises SidecarInvalid for an unknown one."""
    rest = file.name.removeprefix(document.name)
    found = _sidecar(file, rest) or _sidecar(file, file.suffix)
    if found is None:
        endings = ", ".join([*ENDINGS, BATCH])
        raise SidecarInvalid(f"{file.name}: a signature file ends in {endings}")
    return found


def _sidecar(file: Path, rest: str) -> Sidecar | None:
    """What a file is whose name goes on with `rest` after the document's."""
    if rest == BATCH:
        return _batch(file)
    stem, ending = os.path.splitext(rest)  # noqa: PTH122 - a rest such as `.p7s` is no path with a suffix
    if not ending and stem in ENDINGS:
        return Sidecar(ENDINGS[stem], file)
    part = _PART.fullmatch(stem)
    return Sidecar(ENDINGS[ending], file, part[1]) if ending in ENDINGS and part else None


def by_document(folder: Path, documents: Sequence[Path]) -> dict[Path, list[str]]:
    """Names in a folder that may be sidecars, by document, from one reading of the folder."""
    wanted = {document.name: document for document in documents}
    found: dict[Path, list[str]] = {document: [] for document in documents}
    for entry in os.scandir(folder):
        # A document's name may hold dots itself, so every place where it could end is looked at.
        for end in (place.start() for place in re.finditer(r"\.", entry.name)):
            document = wanted.get(entry.name[:end])
            if document is not None:
                found[document].append(entry.name)
    return found


def write_place(document: Path, place: BatchPlace) -> None:
    """Writes the place of a document in its batch."""
    text = json.dumps(
        {
            "v": 1,
            "batch": str(place.batch_id),
            "index": place.index,
            "path": [base64.b64encode(node).decode("ascii") for node in place.path],
        }
    )
    document.with_name(document.name + BATCH).write_text(text + "\n", "ascii")


def _batch(file: Path) -> Sidecar:
    try:
        place = _place(json.loads(_read(file, _LARGEST_PLACE)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise SidecarInvalid(f"{file.name}: not the place in a batch") from error
    signature = file.with_name(f"{place.batch_id}.manifest.p7s")
    return Sidecar("BATCH", signature, place=place)


def _place(fields: dict[str, Any]) -> BatchPlace:
    index, path = fields["index"], fields["path"]
    nodes = tuple(base64.b64decode(node, validate=True) for node in path)
    if fields["v"] != 1 or type(index) is not int or index < 0:
        raise ValueError("another version, or no index")
    if len(nodes) > LONGEST_PATH or any(len(node) != 32 for node in nodes):
        raise ValueError("not a path")
    return BatchPlace(uuid.UUID(fields["batch"]), index, nodes)


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise SidecarInvalid(f"{path.name}: {type(error).__name__}") from error
    if len(content) > most:
        raise SidecarInvalid(f"{path.name}: longer than {most} bytes")
    return content
