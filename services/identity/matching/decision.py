"""What follows from the scores: a match, a look by people, or nobody. The table, first row that holds:

| query and best candidate | outcome |
| --- | --- |
| nobody scores `review_bits` | NONE |
| an emergency | REVIEW: bystanders' facts never decide |
| a newborn's entry, known by its mother's name | REVIEW: never the mother, and siblings of one birth differ by their order only |
| a veto (other given name, other generation) | REVIEW |
| given name nearly the same, same birth date and family name | REVIEW: that is what twins look like |
| no third fact beside name and birth date (phone, ward, mother) | REVIEW, unless the score is `alone_bits` above the match |
| score of a match, and `margin_bits` before the second best | MATCH |
| anything else | REVIEW |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.identity.matching import scoring
from services.identity.matching.model import MatchModel
from services.identity.matching.scoring import Score
from services.identity.model import DatePrecision, Outcome
from services.identity.normalise.person import NormalPerson

K = TypeVar("K")

ALONE_BITS = 4.0
"""How far above a match a score must be where name and birth date stand alone: in a nation of namesakes, two facts are not an identity."""

_THIRD_FACTS = (scoring.PHONE, scoring.WARD, scoring.MOTHER)
_NEARLY = frozenset({"TONE", "SOUND", "EDIT"})
_SAME = frozenset({"EXACT", "PLAIN"})


@dataclass(frozen=True)
class Scored(Generic[K]):
    """A candidate with its score."""

    candidate: K
    score: Score


@dataclass(frozen=True)
class Decision(Generic[K]):
    """The outcome; `best` are the candidates worth showing, best first, with the best one matched on MATCH. `ask_next` says what would help."""

    outcome: Outcome
    best: tuple[Scored[K], ...]
    ask_next: tuple[str, ...]


def decide(
    query: NormalPerson, candidates: Sequence[Scored[K]], model: MatchModel, *, emergency: bool = False
) -> Decision[K]:
    """Decides one query. `candidates` are one per person, in any order."""
    ranked = sorted(candidates, key=lambda one: -one.score.total)
    best = tuple(one for one in ranked if one.score.total >= model.review_bits)
    if not best:
        return Decision(Outcome.NONE, (), ask_next(query))
    second = best[1].score.total if len(best) > 1 else None
    matched = not emergency and _matches(query, best[0].score, second, model)
    return Decision(Outcome.MATCH if matched else Outcome.REVIEW, best, () if matched else ask_next(query))


def _matches(query: NormalPerson, score: Score, second: float | None, model: MatchModel) -> bool:
    if query.name.newborn or query.name.empty or score.veto or _like_twins(score):
        return False
    if weighed(score) < model.match_bits:
        return False
    return second is None or score.total - second >= model.margin_bits


def weighed(score: Score) -> float:
    """The score that is held against `match_bits`: less where no third fact stands beside name and birth date."""
    return score.total - (0.0 if third_fact(score) else ALONE_BITS)


def third_fact(score: Score) -> bool:
    """True when phone, ward or mother agree beside name and birth date."""
    return any(score.level(fact) == "SAME" for fact in _THIRD_FACTS)


def _like_twins(score: Score) -> bool:
    """Twins are named alike, and share family name, birth date, mother, phone and ward."""
    return (
        score.level(scoring.GIVEN) in _NEARLY
        and score.level(scoring.BIRTH) == "DAY"
        and score.level(scoring.FAMILY) in _SAME
    )


def ask_next(query: NormalPerson) -> tuple[str, ...]:
    """What the query lacks, most telling first. A number settles most; what was given and differs is not asked for again."""
    wanted = ["identifiers"]
    if query.name.empty:
        wanted.append("demographics.human_name")
    if query.birth is None or query.birth.precision is not DatePrecision.DAY or query.birth.estimated:
        wanted.append("demographics.birth_date")
    if query.mother.empty:
        wanted.append("demographics.mother_name")
    if query.phone is None:
        wanted.append("demographics.phone")
    if query.ward is None:
        wanted.append("demographics.residence.ward_code")
    if query.sex is None:
        wanted.append("demographics.sex")
    return tuple(wanted)
