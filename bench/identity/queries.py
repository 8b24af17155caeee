"""Queries with their truth: what a desk types, reads, mishears and leaves out, and people who look alike but are somebody else.

The error rates are those of `Errors`; the learner and the judge use different ones.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from bench.identity import names
from bench.identity.population import THIS_YEAR, Population
from services.identity.model import Area, BirthDate, Demographics, Era, Sex

NO_IDENTIFIER: Mapping[str, float] = {
    "clean": 0.28,
    "light": 0.28,
    "heavy": 0.17,
    "year_only": 0.05,
    "moved": 0.06,
    "order": 0.03,
    "foreign": 0.015,
    "minority": 0.015,
    "twin": 0.012,
    "sibling": 0.03,
    "namesake": 0.008,
    "unknown": 0.05,
}
"""Scenarios without a number and their share: the first eight ask for somebody who is registered, the last four for somebody who is not. Of those
who are not, many are children and relatives of somebody who is, with whom they share phone and home.
"""
OTHERS: Mapping[str, float] = {"emergency": 0.05, "newborn": 0.05, "borrowed_card": 0.05, "number_typo": 0.05}
"""Further scenarios, as shares of the number of queries without a number."""


@dataclass(frozen=True)
class Errors:
    """Chances of a slip per field of a light query; a heavy one has three times as much."""

    marks: float = 0.22
    tone: float = 0.05
    typo: float = 0.05
    sound: float = 0.04
    middle: float = 0.06
    abbreviation: float = 0.04
    title: float = 0.05
    phone: float = 0.14
    no_phone: float = 0.22
    ward: float = 0.10
    no_ward: float = 0.30
    province: float = 0.03
    no_province: float = 0.08
    swapped: float = 0.02
    day: float = 0.03
    year: float = 0.02
    placeholder: float = 0.02
    sex: float = 0.01
    no_sex: float = 0.03


LEARNER = Errors()
JUDGE = Errors(
    *(
        0.28,
        0.06,
        0.06,
        0.05,
        0.05,
        0.05,
        0.06,
        0.16,
        0.20,
        0.12,
        0.25,
        0.04,
        0.10,
        0.025,
        0.035,
        0.025,
        0.025,
        0.012,
        0.02,
    )
)


@dataclass(frozen=True)
class Query:
    """`truth` is the person's number, None when nobody registered is meant. `number_of` names whose number is given, for the scenarios with one."""

    scenario: str
    demographics: Demographics
    truth: int | None
    estimated_age: int | None = None
    number_of: int | None = None


def queries(population: Population, seed: int, count: int, errors: Errors) -> Iterator[Query]:
    """`count` queries without a number, and the others beside them, mixed."""
    random = Random(seed)
    makers: dict[str, Callable[[Population, Random, Errors], Query | None]] = {
        "clean": _clean,
        "light": lambda p, r, e: _slipped("light", p, r, e, 1.0),
        "heavy": lambda p, r, e: _slipped("heavy", p, r, e, 3.0),
        "year_only": _year_only,
        "moved": _moved,
        "order": _order,
        "foreign": _foreign,
        "minority": _minority,
        "twin": _twin,
        "sibling": _sibling,
        "namesake": _namesake,
        "unknown": _unknown,
        "emergency": _emergency,
        "newborn": _newborn,
        "borrowed_card": _borrowed_card,
        "number_typo": _number_typo,
    }
    made: list[Query] = []
    for scenario, share in {**NO_IDENTIFIER, **OTHERS}.items():
        wanted = round(share * count)
        # Rare people, such as foreigners, are looked for; in a small population there may be few.
        tries = (makers[scenario](population, random, errors) for _ in range(wanted * 400))
        made += itertools.islice((query for query in tries if query is not None), wanted)
    random.shuffle(made)
    return iter(made)


def _pick(population: Population, random: Random) -> int:
    return random.randrange(population.count)


def _clean(population: Population, random: Random, errors: Errors) -> Query:
    at = _pick(population, random)
    said = population.demographics(at)
    if random.random() < errors.no_phone:
        said = replace(said, phone=None)
    if random.random() < errors.no_ward:
        said = _without_ward(said)
    return Query("clean", replace(said, mother_name=None), at)


def _slipped(scenario: str, population: Population, random: Random, errors: Errors, times: float) -> Query:
    at = _pick(population, random)
    return Query(scenario, slip(population.demographics(at), random, errors, times), at)


def slip(said: Demographics, random: Random, errors: Errors, times: float = 1.0) -> Demographics:  # noqa: PLR0912, C901 - a list of chances
    """The same person as another desk writes it."""

    def chance(share: float) -> bool:
        return random.random() < min(share * times, 0.9)

    name, birth, area = said.name or "", said.birth, said.residence
    tokens = name.split()
    if chance(errors.tone):
        tokens = _at(tokens, random, lambda word: _tone(word, random))
    if chance(errors.typo):
        tokens = _at(tokens, random, lambda word: _typo(word, random))
    if chance(errors.sound):
        tokens = _at(tokens, random, _misheard)
    if len(tokens) > 2 and chance(errors.middle):  # noqa: PLR2004 - family and given
        del tokens[random.randrange(1, len(tokens) - 1)]
    if len(tokens) > 2 and chance(errors.abbreviation):  # noqa: PLR2004 - family and given
        where = random.randrange(0, len(tokens) - 1)
        tokens[where] = tokens[where][: 2 if tokens[where][:2] in {"Ng", "Tr", "Ph", "Th"} else 1] + "."
    name = " ".join(tokens)
    if chance(errors.marks):
        name = bare(name)
    if chance(errors.title):
        name = f"{'Bà' if said.sex is Sex.FEMALE else 'Ông'} {name}"
    if random.random() < 0.3:  # noqa: PLR2004 - habit of the desk, no error
        name = name.upper()
    if birth is not None:
        birth = _birth_slip(birth, random, errors, chance)
    phone = said.phone
    if chance(errors.no_phone):
        phone = None
    elif phone and chance(errors.phone):
        phone = f"09{random.randrange(10**8):08}"
    if area is not None and chance(errors.no_province):
        area = None
    elif area is not None and chance(errors.province):
        area = Area(random.choice(list(names.PROVINCES)), Era.PROVINCES_34)
    elif area is not None and chance(errors.no_ward):
        area = Area(area.province_code, area.era)
    elif area is not None and chance(errors.ward):
        area = Area(area.province_code, area.era, f"{random.randrange(1, 10_000):05}")
    sex = said.sex
    if chance(errors.no_sex):
        sex = None
    elif chance(errors.sex):
        sex = Sex.MALE if sex is Sex.FEMALE else Sex.FEMALE
    return Demographics(name, birth, sex, phone, area, None, said.nationality)


def _birth_slip(birth: BirthDate, random: Random, errors: Errors, chance: Callable[[float], bool]) -> BirthDate:
    year, month, day = birth.year, birth.month, birth.day
    if chance(errors.swapped) and day <= 12:  # noqa: PLR2004 - months
        month, day = day, month
    if chance(errors.day):
        if random.random() < 0.6:  # noqa: PLR2004 - days are mistaken more often than months
            day = random.randrange(1, 29)
        else:
            month = random.randrange(1, 13)
    if chance(errors.year):
        year += random.choice((1, -1, 1, -1, 10, -10))
    if chance(errors.placeholder):
        month, day = 1, 1
    return BirthDate(min(year, THIS_YEAR), month, day)


def _year_only(population: Population, random: Random, errors: Errors) -> Query:
    query = _slipped("year_only", population, random, errors, 0.7)
    birth = query.demographics.birth
    return replace(query, demographics=replace(query.demographics, birth=BirthDate(birth.year) if birth else None))


def _moved(population: Population, random: Random, errors: Errors) -> Query:
    query = _slipped("moved", population, random, errors, 0.7)
    area = Area(random.choice(list(names.PROVINCES)), Era.PROVINCES_34, f"{random.randrange(1, 10_000):05}")
    return replace(query, demographics=replace(query.demographics, residence=area))


def _order(population: Population, random: Random, errors: Errors) -> Query:
    query = _slipped("order", population, random, errors, 0.5)
    tokens = (query.demographics.name or "").split()
    return replace(query, demographics=replace(query.demographics, name=" ".join(tokens[1:] + tokens[:1])))


def _foreign(population: Population, random: Random, errors: Errors) -> Query | None:
    at = _pick(population, random)
    if not population.country[at]:
        return None
    said = slip(population.demographics(at), random, errors, 0.5)
    tokens = (said.name or "").split()
    if random.random() < 0.4:  # noqa: PLR2004 - forms differ
        tokens = tokens[-1:] + tokens[:-1]
    return Query("foreign", replace(said, name=" ".join(tokens)), at)


def _minority(population: Population, random: Random, errors: Errors) -> Query | None:
    at = _pick(population, random)
    if not population.name(at).startswith(("Y ", "H'")):
        return None
    return Query("minority", slip(population.demographics(at), random, errors, 1.0), at)


def _twin(population: Population, random: Random, errors: Errors) -> Query | None:
    """The twin of somebody registered, who is not."""
    at = _pick(population, random)
    if population.mother[at] < 0:
        return None
    mine = population.demographics(at)
    options = names.GIVEN_FEMALE_NEW if population.female[at] else names.GIVEN_MALE_NEW
    tokens = (mine.name or "").split()
    tokens[-1] = random.choice(list(options))
    if tokens == (mine.name or "").split() or len(tokens) < 2:  # noqa: PLR2004 - family and given
        return None
    said = replace(mine, name=" ".join(tokens), mother_name=None)
    return Query("twin", slip(said, random, errors, 0.5), None)


def _sibling(population: Population, random: Random, errors: Errors) -> Query | None:
    """A sister or brother of somebody registered, a few years apart, who is not."""
    query = _twin(population, random, errors)
    if query is None or query.demographics.birth is None:
        return None
    birth = query.demographics.birth
    apart = random.choice((-5, -4, -3, -2, -1, 1, 2, 3, 4, 5))
    other = BirthDate(min(birth.year + apart, THIS_YEAR), random.randrange(1, 13), random.randrange(1, 29))
    return Query("sibling", replace(query.demographics, birth=other), None)


def _namesake(population: Population, random: Random, errors: Errors) -> Query:
    """Somebody with the same name and birth date as somebody registered, from elsewhere."""
    mine = population.demographics(_pick(population, random))
    area = Area(random.choice(list(names.PROVINCES)), Era.PROVINCES_34, f"{random.randrange(1, 10_000):05}")
    said = replace(mine, phone=f"09{random.randrange(10**8):08}", residence=area, mother_name=None)
    return Query("namesake", slip(said, random, errors, 0.5), None)


def _unknown(population: Population, random: Random, errors: Errors) -> Query:
    """Somebody new: name of one, birth of another, residence of a third."""
    one, two, three = (population.demographics(_pick(population, random)) for _ in range(3))
    given = (two.name or "").split()[-1:]
    said = Demographics(
        " ".join([*(one.name or "").split()[:-1], *given]),
        three.birth,
        two.sex,
        f"09{random.randrange(10**8):08}",
        one.residence,
    )
    return Query("unknown", slip(said, random, errors, 1.0), None)


def _emergency(population: Population, random: Random, errors: Errors) -> Query:
    """What bystanders know: a given name, an age, a place, seldom a phone."""
    at = _pick(population, random)
    mine = population.demographics(at)
    tokens = (mine.name or "").split()
    known = tokens if random.random() < 0.5 else tokens[-1:]  # noqa: PLR2004 - half know the whole name
    age = max(0, THIS_YEAR - int(population.year[at]) + random.randrange(-4, 5))
    phone = mine.phone if random.random() < 0.2 else None  # noqa: PLR2004 - seldom
    said = Demographics(" ".join(known), None, mine.sex, phone, mine.residence)
    return Query("emergency", said, at, estimated_age=age)


def _newborn(population: Population, random: Random, errors: Errors) -> Query | None:
    """A child of today under its mother's name. Nobody registered is meant, least of all the mother."""
    at = _pick(population, random)
    if not population.female[at] or not 16 <= THIS_YEAR - population.year[at] <= 45:  # noqa: PLR2004 - ages of mothers
        return None
    mother = population.demographics(at)
    prefix = random.choice(("CB ", "Con bà ", "SS ", "Con "))
    birth = BirthDate(THIS_YEAR, random.randrange(1, 11), random.randrange(1, 29))
    sex = random.choice((Sex.MALE, Sex.FEMALE))
    return Query(
        "newborn", Demographics(prefix + (mother.name or ""), birth, sex, mother.phone, mother.residence), None
    )


def _borrowed_card(population: Population, random: Random, errors: Errors) -> Query | None:
    """Somebody unregistered with the insurance card of a relative."""
    query = _sibling(population, random, errors) if random.random() < 0.7 else _unknown(population, random, errors)  # noqa: PLR2004 - mostly family
    if query is None:
        return None
    return replace(query, scenario="borrowed_card", number_of=_pick(population, random))


def _number_typo(population: Population, random: Random, errors: Errors) -> Query:
    """The right person with a number that is nobody's."""
    query = _slipped("number_typo", population, random, errors, 1.0)
    return replace(query, number_of=-1)


def bare(text: str) -> str:
    """The text without marks."""
    plain = "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))
    return plain.replace("đ", "d").replace("Đ", "D")


def _without_ward(said: Demographics) -> Demographics:
    area = said.residence
    return said if area is None else replace(said, residence=Area(area.province_code, area.era))


def _at(tokens: list[str], random: Random, change: Callable[[str], str]) -> list[str]:
    where = random.randrange(len(tokens)) if tokens else 0
    return [change(word) if at == where else word for at, word in enumerate(tokens)]


_TONES = "\u0300\u0309\u0303\u0301\u0323"


def _tone(word: str, random: Random) -> str:
    letters = list(unicodedata.normalize("NFD", word))
    places = [at for at, letter in enumerate(letters) if letter in _TONES]
    if places:
        letters[random.choice(places)] = random.choice(["", *_TONES])
    return unicodedata.normalize("NFC", "".join(letters))


def _typo(word: str, random: Random) -> str:
    if len(word) < 2:  # noqa: PLR2004 - nothing to mistype
        return word
    at = random.randrange(1, len(word))
    kind = random.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + random.choice("aeiounhgtc") + word[at:]
    if kind == 2 and at + 1 < len(word):  # noqa: PLR2004 - kinds
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + random.choice("aeiounhgtc") + word[at + 1 :]


_HEARD = (
    *(("tr", "ch"), ("ch", "tr"), ("s", "x"), ("x", "s"), ("gi", "d"), ("d", "gi"), ("l", "n"), ("n", "l"), ("v", "d")),
    *(("Tr", "Ch"), ("Ch", "Tr"), ("S", "X"), ("X", "S"), ("Gi", "D"), ("D", "Gi"), ("L", "N"), ("N", "L"), ("V", "D")),
)
_ENDS = (("nh", "n"), ("ng", "n"), ("n", "ng"), ("c", "t"), ("t", "c"), ("ch", "t"))


def _misheard(word: str) -> str:
    for one, other in _HEARD:
        if word.startswith(one) and len(word) > len(one) + 1:
            return other + word[len(one) :]
    for one, other in _ENDS:
        if word.endswith(one) and len(word) > len(one) + 1:
            return word[: -len(one)] + other
    return word
