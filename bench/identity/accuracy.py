"""How often the engine is right: ranked candidates against the truth, and the decisions that follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.identity.index import Found
from services.identity.matching.decision import decide
from services.identity.matching.model import MatchModel
from services.identity.model import Outcome


@dataclass(frozen=True)
class Answer:
    """The best candidate of one query: its score, whether it is the person meant, and whether anybody registered was meant."""

    scenario: str
    score: float
    right: bool
    registered: bool


def answers(found: Iterable[Found]) -> list[Answer]:
    """The best candidate of each search."""
    made = []
    for one in found:
        best = one.scored[0] if one.scored else None
        score = best.score.total if best else -np.inf
        right = best is not None and best.candidate == one.query.truth
        made.append(Answer(one.query.scenario, float(score), right, one.query.truth is not None))
    return made


@dataclass(frozen=True)
class Accuracy:
    """Recall counts every query that means somebody registered, found or not. The threshold was chosen on every second query and judged on the
    others.
    """

    recall_at_1: float
    precision: float
    recall: float
    f1: float
    threshold: float
    recall_at_precision_99: float
    recall_at_precision_998: float

    def figures(self) -> Mapping[str, float]:
        """By name."""
        return {name: round(value, 4) for name, value in vars(self).items()}


def accuracy(given: Sequence[Answer]) -> Accuracy:
    """The figures of one approach."""
    even, odd = given[0::2], given[1::2]
    threshold = _best_threshold(even)
    precision, recall = _at(odd, threshold)
    registered = [one for one in odd if one.registered]
    return Accuracy(
        recall_at_1=sum(one.right for one in registered) / max(len(registered), 1),
        precision=precision,
        recall=recall,
        f1=_f1(precision, recall),
        threshold=threshold,
        recall_at_precision_99=_recall_at(odd, 0.99),
        recall_at_precision_998=_recall_at(odd, 0.998),
    )


def _at(given: Sequence[Answer], threshold: float) -> tuple[float, float]:
    taken = [one for one in given if one.score >= threshold]
    right = sum(one.right for one in taken)
    return right / max(len(taken), 1), right / max(sum(one.registered for one in given), 1)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _curve(given: Sequence[Answer]) -> list[tuple[float, float, float]]:
    """Threshold, precision and recall, from the highest score down."""
    registered = max(sum(one.registered for one in given), 1)
    ordered = sorted(given, key=lambda one: -one.score)
    right, curve = 0, []
    for number, one in enumerate(ordered, 1):
        if one.score == -np.inf:
            break
        right += one.right
        if number == len(ordered) or ordered[number].score < one.score:
            curve.append((one.score, right / number, right / registered))
    return curve


def _best_threshold(given: Sequence[Answer]) -> float:
    return max(_curve(given), key=lambda point: _f1(point[1], point[2]))[0]


def _recall_at(given: Sequence[Answer], precision: float) -> float:
    return max((point[2] for point in _curve(given) if point[1] >= precision), default=0.0)


@dataclass(frozen=True)
class Decisions:
    """What the decision table made of the queries of one scenario."""

    queries: int
    matched_right: int
    matched_wrong: int
    review: int
    none: int
    on_top: int
    """The person meant is the best candidate."""


def decisions(found: Iterable[Found], model: MatchModel) -> Mapping[str, Decisions]:
    """By scenario."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 6)
    for one in found:
        decision = decide(one.person, one.scored, model, emergency=one.query.scenario == "emergency")
        row = counts[one.query.scenario]
        row[0] += 1
        best = decision.best[0].candidate if decision.best else None
        if decision.outcome is Outcome.MATCH:
            row[1 if best == one.query.truth else 2] += 1
        else:
            row[3 if decision.outcome is Outcome.REVIEW else 4] += 1
        row[5] += best is not None and best == one.query.truth
    return {scenario: Decisions(*row) for scenario, row in counts.items()}
