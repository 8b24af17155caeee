"""What this role needs to know of a person to ask them. It is asked for at the time and never kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True)
class KnownPerson:
    """`person` is the entry that stands for them; `birth` is year, month and day, 0 where not known, None where nothing is. `phone` are 10 digits,
    empty where there is none or it was not asked for.
    """

    person: UUID
    birth: tuple[int, int, int] | None = field(default=None, repr=False)
    deceased: bool = False
    provisional: bool = False
    phone: str = field(default="", repr=False)


class PersonFacts(Protocol):
    """The golden record of the person index."""

    async def of(self, person: UUID, *, with_phone: bool = False) -> KnownPerson:
        """The facts of a person. Raises PeerUnavailable, and PersonUnknown where the index has nobody."""
