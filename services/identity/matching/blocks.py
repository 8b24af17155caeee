"""Block keys: what entries are found by when no number is given.

| kind | what it holds | finds despite |
| --- | --- | --- |
| A | given name, birth date | damage to family or middle name |
| B | family name, birth date | damage to the given name |
| C | all syllables sorted, birth year | damage to day and month, exchanged order |
| F | family name, given name, birth year, province | a lost middle name, a birth year alone |
| G | last middle name, given name, birth year, province | an abbreviated family name |
| W | given name, birth year, ward | damage to everything else |
| M | mother's name, birth date | a child without a name |
| E | phone | damage to everything else |

Syllables go in by their phonetic keys. The store hashes keys with a secret key of its own: they hold names and birth dates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.identity.matching.model import MatchModel
from services.identity.model import BirthDate
from services.identity.normalise.names import Name, Token
from services.identity.normalise.person import NormalPerson

FIRST_TIER_ROWS = 25
"""Expected rows up to which a key is asked at once."""
MOST_ROWS = 350
"""Expected rows up to which a whole query goes; what is left out makes its answer incomplete."""
MOST_KEYS = 48
"""More keys than any query makes: nine years of an estimated age by four kinds, and the phone, are 37."""

_SEPARATOR = "\x1f"
_ESTIMATE_YEARS = 4


@dataclass(frozen=True, order=True)
class BlockKey:
    """A kind and its content."""

    kind: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class SizedKey:
    """A key with the number of rows that it is expected to find."""

    key: BlockKey
    rows: float


def stored_keys(person: NormalPerson) -> tuple[BlockKey, ...]:
    """The keys an entry is kept under; none for abbreviations, placeholders, and names of others."""
    return tuple(dict.fromkeys(_keys(person, person.birth)))


def query_keys(
    person: NormalPerson, model: MatchModel, population: int, estimated_age: int | None = None, year: int | None = None
) -> tuple[SizedKey, ...]:
    """The keys to ask for, those with the fewest expected rows first: the entry's own, and those under which it would be with the usual slips.

    `year` is the present one; it and `estimated_age` stand in where no birth date is known.
    """
    births: list[BirthDate | None] = []
    if person.birth is not None:
        births = [person.birth, *_slips(person.birth)]
    elif estimated_age is not None and year is not None:
        births = [BirthDate(year - estimated_age + offset) for offset in range(-_ESTIMATE_YEARS, _ESTIMATE_YEARS + 1)]
    keys: dict[BlockKey, float] = {}
    day = person.birth is not None and bool(person.birth.day)
    for at, birth in enumerate(births or [None]):
        for key in _keys(person, birth):
            # A slip of the date is looked for by the rare keys only: with the given name where the day is known, else with the whole name.
            if at == 0 or person.birth is None or key.kind == ("A" if day else "C"):
                keys.setdefault(key, _expected(key, person, birth, model, population))
    return tuple(sorted((SizedKey(key, rows) for key, rows in keys.items()), key=lambda one: (one.rows, one.key)))


def tiers(keys: tuple[SizedKey, ...]) -> tuple[tuple[SizedKey, ...], tuple[SizedKey, ...], bool]:
    """The keys to ask first, those to ask when the first do not settle it, and whether any was left out for its size."""
    first = tuple(one for one in keys if one.rows <= FIRST_TIER_ROWS)
    budget = MOST_ROWS - sum(one.rows for one in first)
    second: list[SizedKey] = []
    for one in keys[len(first) :]:
        if one.rows <= budget:
            second.append(one)
            budget -= one.rows
    return first, tuple(second), len(first) + len(second) < len(keys)


def _keys(person: NormalPerson, birth: BirthDate | None) -> Iterator[BlockKey]:
    name = person.name
    family, given, middle = _sound(name, 0), _sound(name, -1), _sound(name, -2) if len(name.tokens) > 2 else None  # noqa: PLR2004 - family and given
    day = f"{birth.year:04}{birth.month:02}{birth.day:02}" if birth and birth.day and not birth.estimated else None
    year = f"{birth.year:04}" if birth else None
    if given and day:
        yield _key("A", given, day)
    if family and day and len(name.tokens) > 1:
        yield _key("B", family, day)
    if year and len(name.tokens) > 1 and not any(token.short for token in name.tokens):
        yield _key("C", *sorted(token.phonetic for token in name.tokens), year)
    if family and given and year and person.province and len(name.tokens) > 1:
        yield _key("F", family, given, year, person.province)
    if middle and given and year and person.province:
        yield _key("G", middle, given, year, person.province)
    if given and year and person.ward:
        yield _key("W", given, year, person.ward)
    if day and len(person.mother.tokens) > 1 and not any(token.short for token in person.mother.tokens):
        yield _key("M", *sorted(token.phonetic for token in person.mother.tokens), day)
    if person.phone:
        yield _key("E", person.phone)


def _key(kind: str, *parts: str) -> BlockKey:
    return BlockKey(kind, _SEPARATOR.join(parts))


def _sound(name: Name, at: int) -> str | None:
    if not name.tokens or name.tokens[at].short:
        return None
    return name.tokens[at].phonetic


def _slips(birth: BirthDate) -> Iterator[BirthDate]:
    """Dates one usual slip away: day and month exchanged, the year one or ten off."""
    moved = [(birth.year + years, birth.month, birth.day) for years in (1, -1, 10, -10)]
    if birth.day and birth.day <= 12 and birth.day != birth.month:  # noqa: PLR2004 - months
        moved.insert(0, (birth.year, birth.day, birth.month))
    for date in moved:
        try:
            yield BirthDate(*date)
        except ValueError:  # 29 February
            continue


def _expected(
    key: BlockKey, person: NormalPerson, birth: BirthDate | None, model: MatchModel, population: int
) -> float:
    if key.kind == "E":
        return model.phone_sharing
    share = 1.0
    if birth is not None:
        share *= model.year_share(birth.year)
        if key.kind in {"A", "B", "M"}:
            share *= model.day_share(birth.month, birth.day)
    if key.kind in {"F", "G"}:
        share *= model.province_share(person.province)
    if key.kind == "W":
        share *= model.ward_share
    for role, token in _sized_by(key.kind, person):
        share *= model.sound_share(role, token.phonetic)
    # Of several syllables sorted, other orders fall on the same key.
    return share * population * (2.0 if key.kind in {"C", "M"} else 1.0)


def _sized_by(kind: str, person: NormalPerson) -> Iterator[tuple[str, Token]]:
    """The syllables that a key holds, by role."""
    name = person.mother if kind == "M" else person.name
    if kind in {"C", "M"}:
        roles = ("family", *("middle",) * (len(name.tokens) - 2), "given")
        yield from zip(roles, name.tokens, strict=True)
    if kind in {"B", "F"}:
        yield "family", name.tokens[0]
    if kind == "G":
        yield "middle", name.tokens[-2]
    if kind in {"A", "F", "G", "W"}:
        yield "given", name.tokens[-1]
