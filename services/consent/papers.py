"""Consents that were signed on paper before a practitioner, who vouches for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from services.consent.model import Terms

LARGEST_SCAN = 5 * 1024 * 1024
OLDEST = timedelta(days=7)
"""How long after the signature a paper may still be recorded."""
_TAIL = 1024


@dataclass(frozen=True)
class Paper:
    """What was signed. `guardian` is who signed for a child, `child_signed` whether the child has signed too."""

    person: UUID
    terms: Terms
    text_version: str
    signed_at: datetime
    guardian: UUID | None
    child_signed: bool
    scan: bytes = field(repr=False)


def is_pdf(scan: bytes) -> bool:
    """Whether the bytes begin and end as a PDF file does (ISO 32000-1 §7.5); what is on it only eyes can tell."""
    return scan.startswith(b"%PDF-") and b"%%EOF" in scan[-_TAIL:]


class PaperStore(Protocol):
    """Scans, sealed."""

    async def keep_scan(self, person: UUID, sha256: str, scan: bytes, at: datetime) -> None:
        """Keeps a scan under the person's key; again is nothing new."""

    async def scan(self, person: UUID, sha256: str) -> bytes | None:
        """A scan that was kept."""
