"""Compression and sealing of what is stored: zstd level 1, then AES-256-GCM under a fresh wrapped key, bound to its place."""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping, Sequence
from uuid import UUID

import zstandard

from services.chassis.keyring import Wrapping, open_sealed, seal, sealed_from_bytes
from services.records.formats.document import ContentKind

# Same ratio as level 3 on these documents, a quarter cheaper (performance.md §4).
_LEVEL = 1
# No content is larger than a document; a frame that claims more is not ours.
_LARGEST = 64 * 1024 * 1024
# Numbers of the frame format; never reuse one.
_KIND_NUMBERS = {kind: number for number, kind in enumerate(ContentKind, 1)}
_KINDS = {number: kind for kind, number in _KIND_NUMBERS.items()}


class _Threads(threading.local):
    """A compressor must not be shared between threads: it corrupts, then crashes the process (performance.md §3.2)."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


class Vault:
    """Seals and opens with the key it is given: that of the person, or the role's for what belongs to none. CPU work: batches go through it in
    a worker thread.
    """

    def __init__(self) -> None:
        self._threads = _Threads()

    def compress(self, content: bytes) -> bytes:
        """Zstd without sealing, for what names nobody."""
        return self._threads.compressor.compress(content)

    def decompress(self, content: bytes) -> bytes:
        """What `compress` took."""
        return self._threads.decompressor.decompress(content, max_output_size=_LARGEST)

    def seal(self, key: Wrapping, content: bytes, place: str, id: UUID) -> bytes:
        """One column; `place` is table and column, and with the id it is what the bytes are bound to."""
        return seal(key, self.compress(content), _bound(place, id)).to_bytes()

    def open(self, key: Wrapping, sealed: bytes, place: str, id: UUID) -> bytes:
        """What `seal` took; SealBroken when it was altered or moved."""
        return self.decompress(open_sealed(key, sealed_from_bytes(sealed), _bound(place, id)))

    def seal_signatures(self, key: Wrapping, signatures: Sequence[bytes], place: str, id: UUID) -> bytes | None:
        """Detached signatures in one column; None for none."""
        if not signatures:
            return None
        return self.seal(key, b"".join(struct.pack(">I", len(one)) + one for one in signatures), place, id)

    def open_signatures(self, key: Wrapping, sealed: bytes | None, place: str, id: UUID) -> tuple[bytes, ...]:
        """What `seal_signatures` took."""
        if sealed is None:
            return ()
        framed, at = self.open(key, sealed, place, id), 0
        found: list[bytes] = []
        while at < len(framed):
            (length,) = struct.unpack_from(">I", framed, at)
            found.append(framed[at + 4 : at + 4 + length])
            at += 4 + length
        return tuple(found)

    def seal_parts(self, key: Wrapping, parts: Mapping[ContentKind, bytes], id: UUID) -> bytes:
        """Health-book parts in one column, each sealed by itself: number of the kind (u8), length (u32), sealed bytes."""
        framed = b""
        for kind, part in parts.items():
            sealed = self.seal(key, part, f"health_book.{kind.value}", id)
            framed += struct.pack(">BI", _KIND_NUMBERS[kind], len(sealed)) + sealed
        return framed

    def open_parts(
        self, key: Wrapping, framed: bytes, kinds: frozenset[ContentKind], id: UUID
    ) -> dict[ContentKind, bytes]:
        """Those parts whose kind is asked for; the others stay sealed."""
        parts: dict[ContentKind, bytes] = {}
        at = 0
        while at < len(framed):
            number, length = struct.unpack_from(">BI", framed, at)
            at += 5
            kind = _KINDS[number]
            if kind in kinds:
                parts[kind] = self.open(key, framed[at : at + length], f"health_book.{kind.value}", id)
            at += length
        return parts


def _bound(place: str, id: UUID) -> bytes:
    return f"records|{place}|{id}".encode()
