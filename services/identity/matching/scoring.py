"""How well a candidate fits a query, in bits, field by field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from services.identity.matching import comparison
from services.identity.matching.model import MatchModel
from services.identity.model import Agreement, BirthDate
from services.identity.normalise.names import Name, Token
from services.identity.normalise.person import NormalPerson

FAMILY, MIDDLE, GIVEN = (
    "demographics.human_name.family",
    "demographics.human_name.middle",
    "demographics.human_name.given",
)
BIRTH, SEX, PHONE = "demographics.birth_date", "demographics.sex", "demographics.phone"
PROVINCE, WARD = "demographics.residence.province_code", "demographics.residence.ward_code"
MOTHER, NATIONALITY = "demographics.mother_name", "demographics.nationality"
PRIOR, ORDER, VETO = "prior", "demographics.human_name.order", "veto"

VETO_BITS = -40.0
"""A different given name is another person, whatever else agrees: twins and borrowed cards have everything else in common."""

_VIETNAM = "VNM"
_AGREES = frozenset({"EXACT", "PLAIN", "DAY", "SAME"})
_DISAGREES = frozenset({"OTHER", "DIFFERENT", "OTHER_DAY"})


class FieldBits(NamedTuple):
    """One field: what it adds, and the level of agreement that the model knows it by."""

    field: str
    bits: float
    level: str

    @property
    def agreement(self) -> Agreement:
        """The level in the four words of the contract."""
        if self.level in _AGREES:
            return Agreement.AGREES
        return Agreement.DISAGREES if self.level in _DISAGREES else Agreement.PARTIAL


class Score(NamedTuple):
    """`total` is log2 of the posterior odds and the sum of `fields`; `veto` when the given names differ or the ages cannot be one person's."""

    total: float
    fields: tuple[FieldBits, ...]
    veto: bool = False

    def level(self, field: str) -> str | None:
        """Level of a field; None where one side lacks it."""
        return next((one.level for one in self.fields if one.field == field), None)


class Scorer:
    """Scores candidates by a model."""

    def __init__(self, model: MatchModel) -> None:
        self.model = model
        self._levels = model.levels
        # Levels that do not go by value, once.
        self._syllable_bits = lru_cache(maxsize=262_144)(self._bits_of_syllables)
        self._fixed = {
            (kind, name): level.bits()
            for kind, levels in model.levels.items()
            for name, level in levels.items()
            if not level.per_value
        }

    def score(self, query: NormalPerson, candidate: NormalPerson, population: int) -> Score:
        """The score of one candidate among `population` entries."""
        fields = [FieldBits(PRIOR, -math.log2(max(population, 2)), "PRIOR")]
        if query.name.tokens and candidate.name.tokens:
            fields += self._names(query.name, candidate.name)
            if fields[1].level == "OTHER":
                # Most of what a block finds ends here: no other field can make up for it.
                return _vetoed(fields)
        if query.birth is not None and candidate.birth is not None:
            fields.append(self._birth(query.birth, candidate.birth))
        if query.sex is not None and candidate.sex is not None:
            fields.append(self._plain(SEX, "sex", query.sex is candidate.sex))
        if query.phone and candidate.phone:
            same = query.phone == candidate.phone
            share = self.model.phone_sharing / max(population, 2)
            fields.append(self._valued(PHONE, "phone", "SAME", share) if same else self._plain(PHONE, "phone", False))
        if query.province and candidate.province:
            fields += self._residence(query, candidate)
        if not query.mother.empty and not candidate.mother.empty:
            fields.append(self._mother(query.mother, candidate.mother))
        if query.nationality and candidate.nationality:
            same = query.nationality == candidate.nationality
            kind = "nationality" if query.nationality == _VIETNAM else "foreign_nationality"
            fields.append(self._plain(NATIONALITY, kind, same))
        if _generations(query, candidate):
            return _vetoed(fields)
        return Score(sum(one.bits for one in fields), tuple(fields))

    def _plain(self, field: str, kind: str, same: bool) -> FieldBits:
        level = "SAME" if same else "DIFFERENT"
        return FieldBits(field, self._fixed[kind, level], level)

    def _valued(self, field: str, kind: str, level: str, share: float) -> FieldBits:
        return FieldBits(field, self._levels[kind][level].bits(share), level)

    def _names(self, query: Name, candidate: Name) -> list[FieldBits]:
        marks = query.marks and candidate.marks
        given = self._syllable(GIVEN, "given", query.tokens[-1], candidate.tokens[-1], marks)
        reordered = given.level == "OTHER" and _reordered(query, candidate)
        if given.level == "OTHER" and not reordered:
            return [given]
        best = self._aligned(query.tokens, candidate.tokens, marks)
        family_differs = len(best) > 1 and best[1].level == "OTHER"
        if reordered or (family_differs and _reordered(query, candidate)):
            total = sum(one.bits for one in best)
            for tokens in comparison.rotations(query):
                moved = self._aligned(tokens, candidate.tokens, marks)
                moved.append(FieldBits(ORDER, self._fixed["order", "MOVED"], "MOVED"))
                bits = sum(one.bits for one in moved)
                if bits > total:
                    best, total = moved, bits
        return best

    def _aligned(self, query: Sequence[Token], candidate: Sequence[Token], marks: bool) -> list[FieldBits]:
        found = [self._syllable(GIVEN, "given", query[-1], candidate[-1], marks)]
        if len(query) > 1 and len(candidate) > 1:
            found.append(self._syllable(FAMILY, "family", query[0], candidate[0], marks))
            found.append(self._middle(query[1:-1], candidate[1:-1], marks))
        return found

    def _syllable(self, field: str, role: str, query: Token, candidate: Token, marks: bool) -> FieldBits:
        name = comparison.syllable(query, candidate, marks)
        return FieldBits(field, self._syllable_bits(role, name, query.plain, candidate.plain), name)

    def _bits_of_syllables(self, role: str, name: str, query: str, candidate: str) -> float:
        level = self._levels[role][name]
        if not level.per_value:
            return self._fixed[role, name]
        # Of two spellings the commoner one: a slip from it is more likely.
        return level.bits(max(self.model.share(role, query), self.model.share(role, candidate)))

    def _middle(self, query: Sequence[Token], candidate: Sequence[Token], marks: bool) -> FieldBits:
        if not query or not candidate:
            level = "MISSING" if query or candidate else "NONE"
            return FieldBits(MIDDLE, self._fixed["middle", level], level)
        pairs = zip(reversed(query), reversed(candidate), strict=False)
        compared = [self._syllable(MIDDLE, "middle", left, right, marks) for left, right in pairs]
        bits = sum(one.bits for one in compared)
        if len(query) != len(candidate):
            bits += self._fixed["middle", "LENGTH"]
        worst = max(compared, key=lambda one: comparison.SYLLABLE.index(one.level))
        return FieldBits(MIDDLE, bits, worst.level)

    def _birth(self, query: BirthDate, candidate: BirthDate) -> FieldBits:
        name = comparison.birth(query, candidate)
        level = self._levels["birth"][name]
        if not level.per_value:
            return FieldBits(BIRTH, self._fixed["birth", name], name)
        share = self.model.year_share(query.year)
        if name == "DAY":
            share *= self.model.day_share(query.month, query.day)
        elif name == "PLACEHOLDER" and query.placeholder and candidate.placeholder:
            share *= self.model.first_of_january
        return FieldBits(BIRTH, level.bits(share), name)

    def _residence(self, query: NormalPerson, candidate: NormalPerson) -> list[FieldBits]:
        if query.province != candidate.province:
            return [self._plain(PROVINCE, "province", False)]
        share = self.model.province_share(query.province)
        found = [self._valued(PROVINCE, "province", "SAME", share)]
        if query.ward and candidate.ward:
            found.append(self._plain(WARD, "ward", query.ward == candidate.ward))
        return found

    def _mother(self, query: Name, candidate: Name) -> FieldBits:
        marks = query.marks and candidate.marks
        same = len(query.tokens) == len(candidate.tokens) and all(
            comparison.syllable(left, right, marks) in {"EXACT", "PLAIN", "SHORT"}
            for left, right in zip(query.tokens, candidate.tokens, strict=True)
        )
        if not same:
            return self._plain(MOTHER, "mother", False)
        shares = (
            self.model.share("given" if at == len(query.tokens) - 1 else "family" if at == 0 else "middle", token.plain)
            for at, token in enumerate(query.tokens)
        )
        return self._valued(MOTHER, "mother", "SAME", math.prod(shares))


def _vetoed(fields: list[FieldBits]) -> Score:
    fields.append(FieldBits(VETO, VETO_BITS, "DIFFERENT"))
    return Score(sum(one.bits for one in fields), tuple(fields), True)


def _reordered(query: Name, candidate: Name) -> bool:
    """Whether another order could do better: the candidate's given name stands elsewhere in the query, or its family name does."""
    sounds = [token.phonetic for token in query.tokens]
    return candidate.tokens[-1].phonetic in sounds[:-1] or candidate.tokens[0].phonetic in sounds[1:]


_GENERATION_YEARS = 12


def _generations(query: NormalPerson, candidate: NormalPerson) -> bool:
    """True when the birth dates lie so far apart that no slip explains it: mother and child have name, phone and ward in common."""
    if query.birth is None or candidate.birth is None:
        return False
    if abs(query.birth.year - candidate.birth.year) < _GENERATION_YEARS:
        return False
    return comparison.birth(query.birth, candidate.birth) == "OTHER"
