"""A seeded population: households with shared phones and wards, twins and siblings, namesakes as often as names make them, minorities, foreigners.

Columns are numpy arrays; a person is made into `Demographics` only when it is asked for. One million take some seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.identity import names
from services.identity.model import Area, BirthDate, Demographics, Era, Sex

Ints = NDArray[np.int64]
THIS_YEAR = 2026
_WARDS = 3321
_TWINS = 0.012
_FOREIGN = 0.004
_UNKNOWN_DAY = {1940: 0.30, 1955: 0.18, 1965: 0.08, 1980: 0.02, 2100: 0.004}
"""Share of births written as 1 January, up to the year."""


class _Weighted:
    """Values with weights, drawn by inverse of the cumulative sum."""

    def __init__(self, weights: dict[str, float]) -> None:
        self.values = list(weights)
        self._edges = np.cumsum(np.array(list(weights.values()), dtype=float))
        self._edges /= self._edges[-1]

    def draw(self, random: np.random.Generator, count: int) -> Ints:
        return np.minimum(np.searchsorted(self._edges, random.random(count)), len(self.values) - 1)


class _Pool:
    """All the words of a role, so that a column is one array of numbers."""

    def __init__(self) -> None:
        self.words: list[str] = [""]
        self._at: dict[str, int] = {"": 0}

    def number(self, word: str) -> int:
        if word not in self._at:
            self._at[word] = len(self.words)
            self.words.append(word)
        return self._at[word]

    def map(self, weighted: _Weighted) -> Ints:
        return np.array([self.number(word) for word in weighted.values], dtype=np.int64)


@dataclass
class Population:
    """`count` persons in columns. `family`, `middle`, `second` (a second middle name) and `given` are numbers in `words`."""

    words: list[str]
    family: Ints
    middle: Ints
    second: Ints
    given: Ints
    female: NDArray[np.bool_]
    year: Ints
    month: Ints
    day: Ints
    province: Ints
    ward: Ints
    phone: Ints
    """0 for none."""
    mother: Ints
    """Number of the mother, -1 where she is not in the population."""
    twin: Ints
    """Number of the twin, -1 for most."""
    country: Ints

    @property
    def count(self) -> int:
        """Number of persons."""
        return len(self.family)

    @cached_property
    def provinces(self) -> list[str]:
        """Codes of the provinces."""
        return list(names.PROVINCES)

    def name(self, at: int) -> str:
        """Full name as people write it."""
        parts = (self.words[column[at]] for column in (self.family, self.middle, self.second, self.given))
        return " ".join(part for part in parts if part)

    def demographics(self, at: int) -> Demographics:
        """What is registered of a person."""
        mother = int(self.mother[at])
        phone = int(self.phone[at])
        province = self.provinces[self.province[at]]
        return Demographics(
            name=self.name(at),
            birth=BirthDate(int(self.year[at]), int(self.month[at]), int(self.day[at])),
            sex=Sex.FEMALE if self.female[at] else Sex.MALE,
            phone=f"0{phone}" if phone else None,
            residence=Area(province, Era.PROVINCES_34, f"{int(self.ward[at]):05}"),
            mother_name=self.name(mother) if mother >= 0 and THIS_YEAR - self.year[at] < 18 else None,  # noqa: PLR2004 - minors
            nationality=names.COUNTRIES.split()[self.country[at] - 1] if self.country[at] else None,
        )


def generate(count: int, seed: int) -> Population:
    """A population of `count` persons; the same seed gives the same one."""
    random = np.random.default_rng(seed)
    pool = _Pool()
    person, household, role = _households(random, count)
    houses = int(household.max()) + 1
    provinces = _Weighted(names.PROVINCES)
    province_of_house = provinces.draw(random, houses)
    province = province_of_house[household]
    wards_of = np.maximum(
        (np.array(list(names.PROVINCES.values())) / sum(names.PROVINCES.values()) * _WARDS).astype(int), 10
    )
    first_ward = np.concatenate([[0], np.cumsum(wards_of)[:-1]])
    ward_of_house = first_ward[province_of_house] + (random.random(houses) ** 1.3 * wards_of[province_of_house]).astype(
        int
    )
    ward = ward_of_house[household] * 3 + 1

    female = random.random(count) < 0.5
    female[role == 0] = False
    female[role == 1] = True
    year = _years(random, role, household, houses)
    twin = _twins(random, role, household, year)
    month, day = _days(random, year, twin)
    family = _families(random, pool, province, household, role, houses)
    middle, second = _middles(random, pool, female, year)
    given = _givens(random, pool, female, year)
    same = (twin >= 0) & (female == female[np.maximum(twin, 0)])
    later = same & (twin < person)
    # Twins are named alike: most share the middle name.
    share = later & (random.random(count) < 0.6)
    middle[share] = middle[twin[share]]
    clash = later & (given == given[np.maximum(twin, 0)])
    given[clash] = _givens(random, pool, female[clash], year[clash])
    _minorities(random, pool, province, family, middle, second, given, female)
    country = _foreigners(random, pool, family, middle, second, given)
    phone = _phones(random, household, year, houses)
    mother_of_house = np.full(houses, -1)
    mothers = np.flatnonzero(role == 1)
    mother_of_house[household[mothers]] = mothers
    mother = np.where(role == 2, mother_of_house[household], -1)
    return Population(
        pool.words,
        family,
        middle,
        second,
        given,
        female,
        year,
        month,
        day,
        province,
        ward,
        phone,
        mother,
        twin,
        country,
    )


def _households(random: np.random.Generator, count: int) -> tuple[Ints, Ints, Ints]:
    """Number, household and role (0 father or single man, 1 mother or single woman, 2 child) of each person."""
    houses = count // 2
    kind = random.random(houses)
    parents = np.where(kind < 0.15, 1, 2)
    children = np.where(kind < 0.10, 0, random.poisson(1.5, houses))
    size = parents + children
    household = np.repeat(np.arange(houses), size)[:count]
    starts = np.concatenate([[0], np.cumsum(size)[:-1]])
    place = np.arange(len(household)) - starts[household]
    single_woman = (parents == 1) & (random.random(houses) < 0.6)
    role = np.where(place >= parents[household], 2, place)
    role[(parents[household] == 1) & (place == 0)] = single_woman[household][(parents[household] == 1) & (place == 0)]
    if len(household) < count:
        missing = count - len(household)
        household = np.concatenate([household, houses + np.arange(missing)])
        role = np.concatenate([role, random.integers(0, 2, missing)])
    return np.arange(count), household, role


def _years(random: np.random.Generator, role: Ints, household: Ints, houses: int) -> Ints:
    head = THIS_YEAR - np.clip(random.normal(48, 16, houses), 20, 98).astype(int)
    year = head[household] + random.integers(-4, 5, len(role))
    child = role == 2
    born = head[household] + np.clip(random.normal(28, 5, len(role)), 16, 45).astype(int)
    return np.where(child, np.minimum(born, THIS_YEAR - random.integers(0, 8, len(role))), year)


def _twins(random: np.random.Generator, role: Ints, household: Ints, year: Ints) -> Ints:
    twin = np.full(len(role), -1)
    pairs = np.flatnonzero((role[1:] == 2) & (role[:-1] == 2) & (household[1:] == household[:-1])) + 1
    pairs = pairs[random.random(len(pairs)) < _TWINS]
    pairs = pairs[np.diff(pairs, prepend=-2) > 1]
    twin[pairs], twin[pairs - 1] = pairs - 1, pairs
    year[pairs] = year[pairs - 1]
    return twin


def _days(random: np.random.Generator, year: Ints, twin: Ints) -> tuple[Ints, Ints]:
    month, day = random.integers(1, 13, len(year)), random.integers(1, 29, len(year))
    unknown = np.zeros(len(year), dtype=bool)
    low = 0
    for until, share in _UNKNOWN_DAY.items():
        unknown |= (year >= low) & (year < until) & (random.random(len(year)) < share)
        low = until
    month[unknown], day[unknown] = 1, 1
    later = (twin >= 0) & (twin < np.arange(len(year)))
    month[later], day[later] = month[twin[later]], day[twin[later]]
    return month, day


def _families(
    random: np.random.Generator, pool: _Pool, province: Ints, household: Ints, role: Ints, houses: int
) -> Ints:
    drawn = np.zeros((2, houses), dtype=np.int64)
    of_house = np.zeros(houses, dtype=np.int64)
    of_house[household] = province
    for at, code in enumerate(names.PROVINCES):
        weights = {name: weight * names.REGIONAL.get(code, {}).get(name, 1.0) for name, weight in names.FAMILY.items()}
        weighted = _Weighted(weights)
        here = np.flatnonzero(of_house == at)
        for side in (0, 1):
            drawn[side, here] = pool.map(weighted)[weighted.draw(random, len(here))]
    chosen: Ints = np.where(role == 1, drawn[1, household], drawn[0, household])
    return chosen


def _middles(random: np.random.Generator, pool: _Pool, female: NDArray[np.bool_], year: Ints) -> tuple[Ints, Ints]:
    middle, second = np.zeros(len(year), dtype=np.int64), np.zeros(len(year), dtype=np.int64)
    modern = np.clip((year - 1960) / 60.0, 0.0, 1.0)
    for weights, common, here in (
        (names.MIDDLE_FEMALE, "Thị", female),
        (names.MIDDLE_MALE, "Văn", ~female),
    ):
        weighted = _Weighted({name: weight for name, weight in weights.items() if name != common})
        middle[here] = pool.map(weighted)[weighted.draw(random, int(here.sum()))]
        old = here & (random.random(len(year)) < 0.75 - 0.6 * modern)
        # Thị Ngọc Lan, Văn Đức Anh: the common one in front of another.
        both = here & (random.random(len(year)) < 0.10)
        second[both] = middle[both]
        middle[old | both] = pool.number(common)
        other = here & ~both & (random.random(len(year)) < 0.07)
        second[other] = pool.map(weighted)[weighted.draw(random, int(other.sum()))]
    none = random.random(len(year)) < 0.01
    middle[none], second[none] = 0, 0
    return middle, second


def _givens(random: np.random.Generator, pool: _Pool, female: NDArray[np.bool_], year: Ints) -> Ints:
    given = np.zeros(len(year), dtype=np.int64)
    new = random.random(len(year)) < np.clip((year - 1970) / 35.0, 0.03, 0.97)
    for weights, here in (
        (names.GIVEN_FEMALE_NEW, female & new),
        (names.GIVEN_FEMALE_OLD, female & ~new),
        (names.GIVEN_MALE_NEW, ~female & new),
        (names.GIVEN_MALE_OLD, ~female & ~new),
    ):
        weighted = _Weighted({name: float(weight) for name, weight in weights.items()})
        given[here] = pool.map(weighted)[weighted.draw(random, int(here.sum()))]
    return given


def _minorities(
    random: np.random.Generator,
    pool: _Pool,
    province: Ints,
    family: Ints,
    middle: Ints,
    second: Ints,
    given: Ints,
    female: NDArray[np.bool_],
) -> None:
    codes = list(names.PROVINCES)
    for code, (text, share) in names.MINORITY.items():
        here = np.flatnonzero((province == codes.index(code)) & (random.random(len(family)) < share))
        options = np.array([pool.number(word) for word in text.split()])
        family[here] = random.choice(options, len(here))
    clans = np.array([pool.number(word) for word in names.HIGHLAND_CLANS.split()])
    for code in names.HIGHLAND:
        chosen = (province == codes.index(code)) & (random.random(len(family)) < names.HIGHLAND_SHARE)
        for text, here in ((names.HIGHLAND_FEMALE, chosen & female), (names.HIGHLAND_MALE, chosen & ~female)):
            options = np.array([pool.number(word) for word in text.split(",")])
            family[here] = random.choice(options, int(here.sum()))
            given[here] = random.choice(clans, int(here.sum()))
            middle[here], second[here] = 0, 0


def _foreigners(
    random: np.random.Generator, pool: _Pool, family: Ints, middle: Ints, second: Ints, given: Ints
) -> Ints:
    country = np.zeros(len(family), dtype=np.int64)
    whole = names.FOREIGN.split(",")
    firsts = np.array([pool.number(name.rpartition(" ")[0]) for name in whole])
    lasts = np.array([pool.number(name.rpartition(" ")[2]) for name in whole])
    here = np.flatnonzero(random.random(len(family)) < _FOREIGN)
    one = random.integers(0, len(whole), len(here))
    family[here], given[here] = firsts[one], random.permutation(lasts[one])
    middle[here], second[here] = 0, 0
    country[here] = one + 1
    return country


def _phones(random: np.random.Generator, household: Ints, year: Ints, houses: int) -> Ints:
    prefixes = np.array(
        [32, 33, 34, 35, 36, 37, 38, 39, 70, 76, 77, 78, 79, 81, 82, 83, 84, 85, 90, 91, 93, 94, 96, 97, 98]
    )

    def draw(count: int) -> Ints:
        return np.asarray(random.choice(prefixes, count) * 10_000_000 + random.integers(0, 10_000_000, count))

    home = draw(houses)
    age = THIS_YEAR - year
    phone = np.where((age >= 16) & (age < 70) & (random.random(len(year)) < 0.75), draw(len(year)), home[household])
    # Clerks type the desk's own number: a few numbers that thousands have.
    desk = random.random(len(year)) < 0.004
    phone[desk] = 900_000_000 + random.integers(0, 20, int(desk.sum()))
    phone[random.random(len(year)) < 0.12] = 0
    return phone
