"""Every case of the table, and what must hold of all rulings."""

from __future__ import annotations

import json

import pytest

from services.consent import record
from services.consent.decision import Decision
from services.consent.model import Effect
from services.consent.policy import policy_named, rule_on
from tests.unit.consent.cases import Case, cases, differences

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_table_of_cases(case: Case) -> None:
    ruling = rule_on(case.facts)
    assert differences(ruling, case.expect) == {}


def test_the_table_is_large_and_names_each_case_once() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_stored_decision_is_replayed_to_the_same_ruling(case: Case) -> None:
    taken = Decision(case.facts.query.person, case.facts, rule_on(case.facts), case.facts.query.person)
    stored = json.loads(json.dumps(record.decision_out(taken)))
    read = record.decision_in(taken.id, stored)
    assert record.decision_out(read) == record.decision_out(taken)
    assert rule_on(record.facts_in(stored), policy_named(read.ruling.policy_version)) == read.ruling


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_holds_of_every_ruling(case: Case) -> None:
    ruling, query = rule_on(case.facts), case.facts.query
    shown = {kind for part in ruling.permissions for kind in part.kinds}
    withheld = {kind for kind, _ in ruling.withheld}
    assert shown | withheld == query.kinds
    assert not shown & withheld
    assert (ruling.effect is Effect.PERMIT) == bool(ruling.permissions)
    for part in ruling.permissions:
        assert part.kinds
        inside = part.period.meet(query.period)
        assert inside is not None
    assert {one.rule for one in ruling.rules if one.effect is Effect.NOT_APPLICABLE} == {
        one.rule for one in ruling.rules if one.effect is Effect.NOT_APPLICABLE and one.missing
    }, "a rule that does not apply says what it lacked"
