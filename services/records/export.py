"""A copy of all that the system keeps of a person (Law 91/2025/QH15 art. 4): what is in it, and how it is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.chassis.feed import Entries
from services.records.formats.asic import Member
from services.records.model import DocumentEntry, Selection, StoredContent

MOST_DOCUMENTS = 20_000
"""Documents of one export; who has more is told so and asks for a period."""
DECIDED_FOR = 16 * 1024 * 1024
"""Bytes that one decision lets out; then it is asked again."""


@dataclass(frozen=True)
class Copied:
    """A document in the export, by the index, with the SHA-1 that FHIR R4 asks for beside the SHA-256 that counts."""

    entry: DocumentEntry
    file: str
    sha1: bytes


class ExportStore(Protocol):
    """What an export reads."""

    async def entries(self, person: UUID) -> Entries:
        """The entries that stand for a person."""

    async def documents(self, selection: Selection) -> Sequence[DocumentEntry]:
        """Index entries, newest care first."""

    async def original(self, facility: str, id: UUID) -> StoredContent | None:
        """The stored bytes with their proof. Raises DataErased."""

    async def disclose(self, reader: str, places: Sequence[tuple[str, UUID]], at: datetime) -> None:
        """Keeps who was given what; durable when it returns."""


class ExportForm(Protocol):
    """The files of an export."""

    def document(self, entry: DocumentEntry, stored: StoredContent) -> tuple[Copied, Sequence[Member]]:
        """The files of one document: the original byte for byte, its signatures, its receipt."""

    def overview(self, person: UUID, copied: Sequence[Copied], at: datetime) -> Sequence[Member]:
        """The files about all of them: FHIR and the readable summary."""

    def seal(self, manifest: bytes) -> bytes:
        """The system's seal over the manifest, DER."""
