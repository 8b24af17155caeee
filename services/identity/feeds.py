"""What the feeds of this role have in common."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Line = TypeVar("Line")
Place = TypeVar("Place")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Page(Generic[Line, Place, Key]):
    """Lines to tell, in order, and the place they lead to. `early` are those, by key with their transaction, that lie after the place because
    an older transaction still runs: they are told now, and not again by whoever remembers them. `more` when there was no room for all.
    """

    changes: tuple[Line, ...]
    place: Place
    early: Mapping[Key, int]
    more: bool


class Pages(Protocol[Line, Place, Key]):
    """A feed, as followers read it."""

    async def page(self, place: Place, early: Mapping[Key, int], limit: int) -> Page[Line, Place, Key]:
        """What to tell after a place, without the lines told early before. Raises CursorInvalid for a place of another database."""

    async def end(self) -> Place:
        """The place after everything that is complete."""
