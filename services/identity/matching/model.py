"""The model: how often values occur, and how often fields agree among records of one person (m) and of two (u). Versioned data, learned offline.

`models/*.json` are written by `python -m bench.identity learn`. Only shares of at least ten counts are kept: rarer values would say who was in the
data, and have one floor together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from importlib.resources import files

from services.identity.normalise.phonetics import phonetic

MODEL = "fs-2026-11"
"""Name of the model in use."""

ROLES = ("family", "middle", "given")
_FIRST_YEAR = 1900
_DAYS = 365.25


@dataclass(frozen=True)
class Level:
    """How likely a level of agreement is: `m` for one person, `u` for two. With `per_value` u is a multiple of the value's share, so that rare
    values weigh more.
    """

    m: float
    u: float
    per_value: bool = False

    def bits(self, share: float = 1.0) -> float:
        """What the level adds to a score; `share` is the value's, for levels that go by value."""
        u = self.u * share if self.per_value else self.u
        return math.log2(self.m / min(max(u, 1e-12), 1.0))


@dataclass(frozen=True)
class MatchModel:
    """Shares and levels. `frequencies` are by role and plain syllable, `years` by year of birth, `provinces` by code of the list of 34."""

    version: str
    frequencies: Mapping[str, Mapping[str, float]] = field(repr=False)
    floors: Mapping[str, float] = field(repr=False)
    years: Mapping[int, float] = field(repr=False)
    first_of_january: float
    provinces: Mapping[str, float] = field(repr=False)
    phone_sharing: float
    """Persons on a phone number, on average of the persons."""
    ward_share: float
    """Chance that two persons live in one ward."""
    levels: Mapping[str, Mapping[str, Level]] = field(repr=False)
    match_bits: float
    """Least score of a match."""
    margin_bits: float
    """Least distance of a match to the second best."""
    review_bits: float
    """Least score of what people look at."""

    @cached_property
    def _sounds(self) -> Mapping[str, Mapping[str, float]]:
        sounds: dict[str, dict[str, float]] = {}
        for role, shares in self.frequencies.items():
            of_role = sounds.setdefault(role, {})
            for syllable, share in shares.items():
                key = phonetic(syllable)
                of_role[key] = of_role.get(key, 0.0) + share
        return sounds

    def share(self, role: str, plain: str) -> float:
        """Share of a syllable in a role."""
        return self.frequencies[role].get(plain) or self.floors[role]

    def sound_share(self, role: str, key: str) -> float:
        """Share of all syllables that sound so."""
        return self._sounds[role].get(key) or self.floors[role]

    def year_share(self, year: int) -> float:
        """Share of persons born in a year."""
        return self.years.get(year, 1e-5)

    def day_share(self, month: int, day: int) -> float:
        """Share of a day and month among the births of a year; 1 January is written for every unknown one."""
        return self.first_of_january if (month, day) == (1, 1) else (1.0 - self.first_of_january) / _DAYS

    def province_share(self, code: str | None) -> float:
        """Share of persons who live in a province."""
        return self.provinces.get(code or "", 0.005)


@lru_cache(maxsize=8)
def load_model(name: str = MODEL) -> MatchModel:
    """A model that ships. Raises FileNotFoundError for an unknown name, ValueError for one that is not whole."""
    text = files("services.identity.matching").joinpath(f"models/{name}.json").read_text("utf-8")
    return model_of(json.loads(text))


def model_of(content: Mapping[str, object]) -> MatchModel:
    """The model of parsed JSON. Raises ValueError naming what is missing."""
    try:
        return _model_of(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the model is not whole: {error}") from error


def _model_of(content: Mapping[str, object]) -> MatchModel:
    given: Mapping[str, dict[str, float]] = content["frequencies"]  # type: ignore[assignment] # checked by use
    years: Mapping[str, float] = content["years"]  # type: ignore[assignment] # checked by use
    levels: Mapping[str, Mapping[str, dict[str, float]]] = content["levels"]  # type: ignore[assignment] # checked by use
    numbers: Mapping[str, float] = content["numbers"]  # type: ignore[assignment] # checked by use
    floors: Mapping[str, float] = content["floors"]  # type: ignore[assignment] # checked by use
    provinces: Mapping[str, float] = content["provinces"]  # type: ignore[assignment] # checked by use
    return MatchModel(
        version=str(content["version"]),
        frequencies={role: given[role] for role in ROLES},
        floors={role: floors[role] for role in ROLES},
        years={int(year): share for year, share in years.items()},
        first_of_january=numbers["first_of_january"],
        provinces=provinces,
        phone_sharing=numbers["phone_sharing"],
        ward_share=numbers["ward_share"],
        levels={
            kind: {name: Level(one["m"], one["u"], bool(one.get("per_value"))) for name, one in of_kind.items()}
            for kind, of_kind in levels.items()
        },
        match_bits=numbers["match_bits"],
        margin_bits=numbers["margin_bits"],
        review_bits=numbers["review_bits"],
    )


def years_until(today: date) -> range:
    """Years of birth that a living person may have."""
    return range(_FIRST_YEAR, today.year + 1)
