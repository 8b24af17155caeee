"""A small population, seeded: what a broken weight, key or veto would show. The figures that count come from `make bench-identity`."""

from __future__ import annotations

import pytest

from bench.identity.accuracy import Answer, accuracy, answers, decisions
from bench.identity.index import Found, Index
from bench.identity.population import Population, generate
from bench.identity.queries import JUDGE, NO_IDENTIFIER, queries
from services.identity.matching.model import load_model
from services.identity.matching.scoring import Scorer

MODEL = load_model()


@pytest.fixture(scope="module")
def population() -> Population:
    return generate(12_000, 77)


@pytest.fixture(scope="module")
def found(population: Population) -> list[Found]:
    index, scorer = Index(population), Scorer(MODEL)
    return [index.search(one, scorer, MODEL) for one in queries(population, 78, 1_500, JUDGE)]


def test_the_same_seed_is_the_same_population(population: Population) -> None:
    again, other = generate(12_000, 77), generate(12_000, 78)
    assert [again.demographics(at) for at in range(500)] == [population.demographics(at) for at in range(500)]
    assert [other.demographics(at) for at in range(500)] != [population.demographics(at) for at in range(500)]


def test_the_population_has_what_makes_matching_hard(population: Population) -> None:
    families = [population.words[number] for number in population.family]
    assert 0.27 < families.count("Nguyễn") / population.count < 0.36
    assert (population.twin >= 0).any()
    assert (population.country > 0).any()
    assert ((population.month == 1) & (population.day == 1)).mean() > 0.01
    phones = population.phone[population.phone > 0]
    assert len(set(phones.tolist())) < 0.95 * len(phones)
    twin = int((population.twin >= 0).nonzero()[0][0])
    other = int(population.twin[twin])
    assert (population.year[twin], population.day[twin]) == (population.year[other], population.day[other])
    assert population.mother[twin] == population.mother[other]


def test_accuracy(found: list[Found]) -> None:
    figures = accuracy(answers(one for one in found if one.query.scenario in NO_IDENTIFIER))
    assert figures.f1 >= 0.975
    assert figures.recall_at_precision_998 >= 0.85


def test_decisions(found: list[Found]) -> None:
    made = decisions(found, MODEL)
    right = sum(one.matched_right for one in made.values())
    assert right >= 0.7 * sum(one.query.truth is not None for one in found if one.query.scenario != "emergency")
    # In a town this small the prior lets a namesake of the same day pass, as it should; a nation's does not.
    assert sum(one.matched_wrong for scenario, one in made.items() if scenario != "namesake") <= 0.001 * right
    for scenario in ("emergency", "newborn", "borrowed_card", "twin"):
        assert made[scenario].matched_right + made[scenario].matched_wrong == 0, scenario
    assert made["clean"].on_top == made["clean"].queries


def test_accuracy_is_computed_from_the_truth() -> None:
    good = [Answer("x", 10.0, True, True)] * 90
    bad = [Answer("x", 5.0, False, False)] * 10
    figures = accuracy([*good, *bad])
    assert (figures.precision, figures.recall, figures.threshold) == (1.0, 1.0, 10.0)
    assert accuracy([Answer("x", 1.0, True, True), Answer("x", 2.0, False, True)] * 50).recall < 1.0
