"""Entries that a search by demographics looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from services.identity.matching.blocks import MOST_ROWS, BlockKey
from services.identity.model import Person, PersonState
from services.identity.normalise.person import NormalPerson, normal

MOST_PER_KEY = MOST_ROWS
"""Rows of one key that are looked at: as many as a whole search may cost, should the expected number be far off."""


@dataclass(frozen=True)
class Candidate:
    """An entry as it is compared: `person` answers for `entry`, `keys` are those of the search that found it."""

    entry: UUID
    person: UUID
    normal: NormalPerson = field(repr=False)
    keys: frozenset[BlockKey] = field(repr=False)


@dataclass(frozen=True)
class Candidates:
    """What keys found; `cut` are those of which not everything was looked at."""

    found: tuple[Candidate, ...]
    cut: frozenset[BlockKey] = field(repr=False)


def indexed(person: Person) -> NormalPerson | None:
    """What an entry is found and compared by; None for one that is never a candidate: provisional, protected, without a name of its own."""
    if person.state is not PersonState.ACTIVE or person.protected:
        return None
    compared = normal(person.demographics)
    return None if compared.name.empty or compared.name.newborn else compared
