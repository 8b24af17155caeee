"""Learns the model: shares of values by counting, u from pairs drawn at random, m by expectation maximisation over what the block keys find.

The truth of the queries is not used but for the threshold. Populations and error rates are other ones than those the benchmark judges by.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from bench.identity import names
from bench.identity.index import Found, Index
from bench.identity.population import Population, generate
from bench.identity.queries import LEARNER, NO_IDENTIFIER, Query, queries
from services.identity.matching import scoring
from services.identity.matching.decision import decide, weighed
from services.identity.matching.model import MODEL, ROLES, MatchModel, model_of
from services.identity.matching.scoring import FieldBits, Score, Scorer
from services.identity.model import Outcome
from services.identity.normalise.person import NormalPerson, normal

SEED = 11
_LEAST_COUNT = 10
_ROUNDS = 8
_PRECISION = 0.9988
_SMALLEST = 2e-4
"""Least m or u: what was hardly ever seen is not impossible."""

KINDS: Mapping[str, str] = {
    scoring.FAMILY: "family",
    scoring.MIDDLE: "middle",
    scoring.GIVEN: "given",
    scoring.BIRTH: "birth",
    scoring.SEX: "sex",
    scoring.PHONE: "phone",
    scoring.PROVINCE: "province",
    scoring.WARD: "ward",
    scoring.NATIONALITY: "nationality",
}
# Levels that exclude each other by what is there to compare: m and u of a level are shares within its group.
_GROUPS: Mapping[tuple[str, str], str] = {
    **{(role, level): "marks" for role in ROLES for level in ("EXACT", "TONE")},
    **{(role, "PLAIN"): "bare" for role in ROLES},
    **{("birth", level): "partial" for level in ("YEAR", "MONTH")},
    **{("birth", level): "estimate" for level in ("NEAR", "FAR")},
    **{
        ("birth", level): "whole"
        for level in ("DAY", "PLACEHOLDER", "SWAPPED", "DAY_OR_MONTH", "OTHER_DAY", "YEAR_SLIP", "DECADE_SLIP")
    },
}

# What random pairs say little of: rare values, and kinds that are counted exactly.
_FIXED_U = frozenset({"order", "phone", "mother", "ward", "foreign_nationality"})
# What the queries seldom hold.
_FIXED_M = frozenset({"order", "mother", "nationality", "foreign_nationality"})

START: Mapping[str, Any] = {
    **{
        role: {
            "EXACT": {"m": 0.9, "u": 1.0, "per_value": True},
            "PLAIN": {"m": 0.9, "u": 1.0, "per_value": True},
            "TONE": {"m": 0.03, "u": 0.3, "per_value": True},
            "SOUND": {"m": 0.03, "u": 1.0, "per_value": True},
            "EDIT": {"m": 0.03, "u": 2.0, "per_value": True},
            "SHORT": {"m": 0.02, "u": 0.02},
            "OTHER": {"m": 0.02 if role != "given" else 0.004, "u": 0.9},
        }
        for role in ROLES
    },
    "birth": {
        "DAY": {"m": 0.9, "u": 1.0, "per_value": True},
        "PLACEHOLDER": {"m": 0.03, "u": 1.0, "per_value": True},
        "SWAPPED": {"m": 0.01, "u": 0.003, "per_value": True},
        "MONTH": {"m": 0.1, "u": 0.1, "per_value": True},
        "YEAR": {"m": 0.9, "u": 1.0, "per_value": True},
        "DAY_OR_MONTH": {"m": 0.03, "u": 0.12, "per_value": True},
        "OTHER_DAY": {"m": 0.002, "u": 0.85, "per_value": True},
        "YEAR_SLIP": {"m": 0.01, "u": 0.00005},
        "DECADE_SLIP": {"m": 0.005, "u": 0.0001},
        "NEAR": {"m": 0.8, "u": 0.1},
        "FAR": {"m": 0.15, "u": 0.15},
        "OTHER": {"m": 0.004, "u": 0.95},
    },
    "order": {"MOVED": {"m": 0.0625, "u": 1.0}},
    "sex": {"SAME": {"m": 0.985, "u": 0.5}, "DIFFERENT": {"m": 0.01, "u": 0.5}},
    "phone": {"SAME": {"m": 0.8, "u": 1.0, "per_value": True}, "DIFFERENT": {"m": 0.2, "u": 1.0}},
    "province": {"SAME": {"m": 0.93, "u": 1.0, "per_value": True}, "DIFFERENT": {"m": 0.07, "u": 0.95}},
    "ward": {"SAME": {"m": 0.85, "u": 0.01}, "DIFFERENT": {"m": 0.15, "u": 0.99}},
    "mother": {"SAME": {"m": 0.9, "u": 1.0, "per_value": True}, "DIFFERENT": {"m": 0.05, "u": 1.0}},
    "nationality": {"SAME": {"m": 0.99, "u": 0.99}, "DIFFERENT": {"m": 0.002, "u": 0.01}},
    "foreign_nationality": {"SAME": {"m": 0.97, "u": 0.02}, "DIFFERENT": {"m": 0.02, "u": 0.98}},
}
_MIDDLE = {
    "NONE": {"m": 0.02, "u": 0.01},
    "MISSING": {"m": 0.06, "u": 0.03},
    "LENGTH": {"m": 0.1, "u": 0.3},
}


@dataclass(frozen=True)
class Learned:
    """The model as JSON, and how it was come by."""

    content: Mapping[str, Any]
    rounds: int
    pairs: int
    match_bits: float


def learn(count: int, per_scenario: int, seed: int = SEED) -> Learned:
    """Learns from a population of `count`."""
    population = generate(count, seed)
    index = Index(population)
    content = _shares(population, index)
    content["levels"] = json.loads(json.dumps(START))
    content["levels"]["middle"] |= _MIDDLE
    asked = [one for one in queries(population, seed + 1, per_scenario, LEARNER) if one.scenario in NO_IDENTIFIER]
    model = model_of(content)
    scorer = Scorer(model)
    _learn_u(content, _random_pairs(index, asked, seed + 2), scorer)
    found = [index.search(one, scorer, model, whole=True) for one in asked]
    pairs = sum(len(one.scored) for one in found)
    for _ in range(_ROUNDS):
        model = model_of(content)
        _learn_m(content, found, Scorer(model), index)
    content["numbers"]["match_bits"] = _threshold(content, asked, index)
    return Learned(content, _ROUNDS, pairs, content["numbers"]["match_bits"])


def _shares(population: Population, index: Index) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {role: Counter() for role in ROLES}
    years: Counter[int] = Counter()
    first = days = 0
    sample = Random(0).sample(range(population.count), min(population.count, 120_000))
    for at in sample:
        person = index.person(at)
        tokens = person.name.tokens
        if len(tokens) > 1:
            counts["family"][tokens[0].plain] += 1
            counts["given"][tokens[-1].plain] += 1
            counts["middle"].update(token.plain for token in tokens[1:-1])
        if person.birth is not None:
            years[person.birth.year] += 1
            days += 1
            first += person.birth.placeholder
    frequencies = {
        role: {word: round(number / of.total(), 7) for word, number in of.most_common() if number >= _LEAST_COUNT}
        for role, of in counts.items()
    }
    phones = np.unique(population.phone[population.phone > 0], return_counts=True)[1]
    phones = phones[phones <= 50]  # noqa: PLR2004 - more is a desk's own number
    total = sum(names.PROVINCES.values())
    wards = np.unique(population.ward, return_counts=True)[1].astype(float)
    province_sizes = np.unique(population.province, return_counts=True)[1].astype(float)
    return {
        "version": MODEL,
        "learned": {"seed": SEED, "population": population.count},
        "frequencies": frequencies,
        "floors": {role: round(_LEAST_COUNT / 2 / max(of.total(), 1), 7) for role, of in counts.items()},
        "years": {str(year): round(number / sum(years.values()), 6) for year, number in sorted(years.items())},
        "provinces": {code: round(weight / total, 5) for code, weight in names.PROVINCES.items()},
        "numbers": {
            "first_of_january": round(first / days, 5),
            "phone_sharing": round(float((phones**2).sum() / phones.sum()), 3),
            "ward_share": float(f"{(wards**2).sum() / population.count**2:.3g}"),
            "same_ward": float(f"{(wards**2).sum() / (province_sizes**2).sum():.3g}"),
            "match_bits": 9.4,
            "margin_bits": 6.0,
            "review_bits": -2.0,
        },
    }


def _random_pairs(index: Index, asked: Sequence[Query], seed: int) -> Iterable[tuple[NormalPerson, NormalPerson]]:
    random = Random(seed)
    persons = [normal(one.demographics) for one in asked]
    for _ in range(150_000):
        yield random.choice(persons), index.person(random.randrange(index.count))


def _group(kind: str, level: str) -> str:
    return _GROUPS.get((kind, level), "all")


def _levels(score: Score) -> Iterable[tuple[str, FieldBits]]:
    for one in score.fields:
        kind = KINDS.get(one.field)
        if kind is not None:
            yield kind, one


def _learn_u(content: dict[str, Any], pairs: Iterable[tuple[NormalPerson, NormalPerson]], scorer: Scorer) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    share_of: defaultdict[tuple[str, str], float] = defaultdict(float)
    groups: Counter[tuple[str, str]] = Counter()
    for query, candidate in pairs:
        marks = query.name.marks and candidate.name.marks
        whole = bool(query.birth and query.birth.day and candidate.birth and candidate.birth.day)
        for kind, one in _levels(scorer.score(query, candidate, 1_000_000)):
            seen[kind, one.level] += 1
            groups[kind, "all"] += 1
            groups[kind, ("marks" if marks else "bare") if kind in ROLES else "whole" if whole else "partial"] += 1
            for level, entry in content["levels"][kind].items():
                if entry.get("per_value") and level == one.level:
                    share_of[kind, level] += entry["m"] / (entry["u"] * 2.0**one.bits)
    for kind, level, entry in _entries(content, _FIXED_U):
        number, of = seen[kind, level], groups[kind, _group(kind, level)]
        if not of:
            continue
        if entry.get("per_value"):
            # Levels that say the value itself is equal have its share by definition; a multiple is learned for the others.
            if level not in {"EXACT", "PLAIN", "DAY", "YEAR", "SAME"} and number:
                mean = share_of[kind, level] / number
                entry["u"] = float(f"{max(number / of, _SMALLEST / 10) / max(mean, 1e-9):.3g}")
        elif level not in {"NEAR", "FAR", "LENGTH"}:
            entry["u"] = float(f"{max(number / of, _SMALLEST / 10):.3g}")
    same = content["numbers"]["same_ward"]
    content["levels"]["ward"] = {"SAME": {"m": 0.85, "u": same}, "DIFFERENT": {"m": 0.15, "u": round(1 - same, 6)}}


def _entries(content: Mapping[str, Any], fixed: Collection[str]) -> Iterable[tuple[str, str, dict[str, Any]]]:
    for kind, levels in content["levels"].items():
        if kind not in fixed:
            for level, entry in levels.items():
                yield kind, level, entry


def _learn_m(content: dict[str, Any], found: Sequence[Found], scorer: Scorer, index: Index) -> None:
    seen: defaultdict[tuple[str, str], float] = defaultdict(float)
    groups: defaultdict[tuple[str, str], float] = defaultdict(float)
    for one in found:
        scores = [scorer.score(one.person, index.person(item.candidate), index.count) for item in one.scored]
        odds = [2.0 ** min(score.total, 60.0) for score in scores]
        whole = 1.0 + sum(odds)
        for item, score, weight in zip(one.scored, scores, odds, strict=True):
            if weight / whole < 1e-3:  # noqa: PLR2004 - nothing to learn from
                continue
            other = index.person(item.candidate)
            marks = one.person.name.marks and other.name.marks
            days = bool(one.person.birth and one.person.birth.day and other.birth and other.birth.day)
            for kind, field in _levels(score):
                seen[kind, field.level] += weight / whole
                groups[kind, "all"] += weight / whole
                part = ("marks" if marks else "bare") if kind in ROLES else "whole" if days else "partial"
                groups[kind, part] += weight / whole
    for kind, level, entry in _entries(content, _FIXED_M):
        of = groups[kind, _group(kind, level)]
        if level in {"NEAR", "FAR", "LENGTH"} or of < 1.0:
            continue
        entry["m"] = float(f"{min(max(seen[kind, level] / of, _SMALLEST), 0.999):.3g}")


def _threshold(content: Mapping[str, Any], asked: Sequence[Query], index: Index) -> float:
    """The least score at which the decisions are right as often as they have to be, on the learner's own queries."""
    model = model_of({**content, "numbers": {**content["numbers"], "match_bits": 0.0}})
    scorer = Scorer(model)
    matched: list[tuple[float, bool]] = []
    for one in asked:
        search = index.search(one, scorer, model)
        decision = decide(search.person, search.scored, model)
        if decision.outcome is Outcome.MATCH:
            best = decision.best[0]
            matched.append((weighed(best.score), best.candidate == one.truth))
    matched.sort(reverse=True)
    right, least = 0, 14.0
    for number, (total, good) in enumerate(matched, 1):
        right += good
        if right / number >= _PRECISION:
            least = total
    return round(min(max(least, 6.0), 14.0), 2)


def write(learned: Learned, path: Path) -> None:
    """Writes the model."""
    path.write_text(json.dumps(learned.content, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")


def bits_of(model: MatchModel) -> Mapping[str, Mapping[str, float]]:
    """What levels add where they do not go by value; for the report."""
    return {
        kind: {name: round(level.bits(), 2) for name, level in levels.items() if not level.per_value}
        for kind, levels in model.levels.items()
        if math.isfinite(len(levels))
    }
