"""How much may be in flight: bounded per facility and in all, and refused before it costs anything."""

from __future__ import annotations

from dataclasses import dataclass

from services.records.errors import IntakeBusy


@dataclass(frozen=True)
class Share:
    """A bound on what is in flight; bytes as received."""

    documents: int
    bytes: int


@dataclass
class _Load:
    documents: int = 0
    bytes: int = 0

    def fits(self, share: Share, documents: int, size: int) -> bool:
        return self.documents + documents <= share.documents and self.bytes + size <= share.bytes

    def add(self, documents: int, size: int) -> None:
        self.documents += documents
        self.bytes += size


class Admission:
    """Counts what is in flight. One event loop; no locks."""

    def __init__(self, facility: Share, total: Share) -> None:
        self._share = facility
        self._most = total
        self._total = _Load()
        self._facilities: dict[str, _Load] = {}

    def enter(self, facility: str, documents: int, size: int) -> None:
        """Takes a place, or raises IntakeBusy and takes none."""
        load = self._facilities.get(facility) or _Load()
        if not load.fits(self._share, documents, size):
            raise IntakeBusy("facility")
        if not self._total.fits(self._most, documents, size):
            raise IntakeBusy("service")
        load.add(documents, size)
        self._facilities[facility] = load
        self._total.add(documents, size)

    def leave(self, facility: str, documents: int, size: int) -> None:
        """Gives a place back."""
        load = self._facilities[facility]
        load.add(-documents, -size)
        self._total.add(-documents, -size)
        if not load.documents:
            del self._facilities[facility]

    @property
    def documents(self) -> int:
        """Documents in flight."""
        return self._total.documents
