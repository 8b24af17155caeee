"""An index in memory with the engine's own keys: what the store does in PostgreSQL, for measuring accuracy without it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.identity.population import THIS_YEAR, Population
from bench.identity.queries import Query
from services.identity.matching.blocks import BlockKey, SizedKey, query_keys, stored_keys, tiers
from services.identity.matching.decision import Scored
from services.identity.matching.features import pack, unpack
from services.identity.matching.model import MatchModel
from services.identity.matching.scoring import Scorer
from services.identity.normalise.person import NormalPerson, normal

ENOUGH_BITS, ENOUGH_MARGIN = 12.0, 6.0
"""A first tier that finds this much, this far before the second best, is not followed by a second tier."""


@dataclass
class Found:
    """What a search found, best first."""

    query: Query
    person: NormalPerson
    scored: list[Scored[int]]
    incomplete: bool
    seconds: float
    looked_at: int = 0
    levels: list[dict[str, str]] = field(default_factory=list)


class Index:
    """The population by block key. Keys are hashed to 64 bits, as the store keeps them."""

    def __init__(self, population: Population) -> None:
        self.count = population.count
        packed, keys, persons = [], [], []
        for at in range(population.count):
            person = normal(population.demographics(at))
            packed.append(pack(person))
            for key in stored_keys(person):
                keys.append(hash(key))
                persons.append(at)
        self._packed = packed
        order = np.argsort(np.array(keys, dtype=np.int64), kind="stable")
        self._keys = np.array(keys, dtype=np.int64)[order]
        self._persons = np.array(persons, dtype=np.int64)[order]

    @property
    def rows(self) -> int:
        """Rows of the key table."""
        return len(self._keys)

    def person(self, at: int) -> NormalPerson:
        """The canonical person."""
        return unpack(self._packed[at])

    def look(self, keys: Iterable[SizedKey | BlockKey]) -> set[int]:
        """Persons under any of the keys."""
        wanted = np.array([hash(one.key if isinstance(one, SizedKey) else one) for one in keys], dtype=np.int64)
        starts = np.searchsorted(self._keys, wanted, "left")
        ends = np.searchsorted(self._keys, wanted, "right")
        return {int(at) for start, end in zip(starts, ends, strict=True) for at in self._persons[start:end]}

    def search(self, query: Query, scorer: Scorer, model: MatchModel, *, whole: bool = False) -> Found:
        """What the engine finds, with its budget; `whole` looks at both tiers whatever the first one finds."""
        begin = time.perf_counter()
        person = normal(query.demographics)
        keys = query_keys(person, model, self.count, query.estimated_age, THIS_YEAR)
        first, second, left_out = tiers(keys)
        looked = self.look(first)
        scored = self._score(person, looked, scorer)
        if second and (whole or not _enough(scored)):
            more = self.look(second) - looked
            scored += self._score(person, more, scorer)
            looked |= more
        else:
            left_out = left_out and not _enough(scored)
        scored.sort(key=lambda one: -one.score.total)
        return Found(query, person, scored, left_out, time.perf_counter() - begin, len(looked))

    def _score(self, person: NormalPerson, candidates: set[int], scorer: Scorer) -> list[Scored[int]]:
        return [Scored(at, scorer.score(person, unpack(self._packed[at]), self.count)) for at in sorted(candidates)]


def _enough(scored: Sequence[Scored[int]]) -> bool:
    totals = sorted((one.score.total for one in scored), reverse=True)
    return bool(totals) and totals[0] >= ENOUGH_BITS and (len(totals) == 1 or totals[0] - totals[1] >= ENOUGH_MARGIN)
