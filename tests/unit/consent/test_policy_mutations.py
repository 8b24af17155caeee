"""Every line of the policy file that carries meaning is changed, one at a time; the table of cases must notice."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import services.consent
from services.consent.model import Kind
from services.consent.policy import PolicyUnreadable, policies, rule_on
from services.consent.policy.language import parse
from services.consent.policy.predicates import PREDICATES
from tests.unit.consent.cases import cases, differences

FILE = Path(services.consent.__file__).parent / "policies" / "2026-11-2.toml"
RAW = tomllib.loads(FILE.read_text("utf-8"))
CASES = cases()
# Numbers that other parts of the role use; their tests catch a change.
ELSEWHERE = {"child_below_years", "child_agrees_from_years"}


def mutants() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each changed file, with what was changed."""
    for at, rule in enumerate(RAW["rule"]):
        yield f"{rule['id']}: gone", _without(RAW, "rule", at)
        for part in ("when", "concerns", "unless", "kinds", "obligations"):
            for place, value in enumerate(rule.get(part, [])):
                if len(rule[part]) > 1:
                    yield f"{rule['id']}: no {part} {value}", _changed(at, part, _cut(rule[part], place))
                for other in _others(part, value):
                    swapped = [*rule[part][:place], other, *rule[part][place + 1 :]]
                    if len(set(swapped)) == len(swapped):
                        yield f"{rule['id']}: {part} {other} for {value}", _changed(at, part, swapped)
        if "permits" in rule:
            for other in {"all", "all_times", "consented", "emergency"} - {rule["permits"]}:
                mutant = _changed(at, "permits", other)
                mutant["rule"][at].pop("kinds", None)
                yield f"{rule['id']}: permits {other}", mutant
    for name, number in RAW["numbers"].items():
        for other in (number - 1, number + 1):
            if name not in ELSEWHERE:
                mutant = copy.deepcopy(RAW)
                mutant["numbers"][name] = other
                yield f"{name}: {other}", mutant
    for table in ("kinds", "evidence"):
        for name, values in RAW[table].items():
            for place, value in enumerate(values):
                mutant = copy.deepcopy(RAW)
                mutant[table][name] = _cut(values, place)
                yield f"{name}: no {value}", mutant
    for kind in {kind.value for kind in Kind} - set(RAW["kinds"]["emergency_summary"]):
        mutant = copy.deepcopy(RAW)
        mutant["kinds"]["emergency_summary"].append(kind)
        yield f"emergency_summary: also {kind}", mutant
    for fact in RAW["change"]:
        mutant = copy.deepcopy(RAW)
        del mutant["change"][fact]
        yield f"change: no {fact}", mutant
        mutant = copy.deepcopy(RAW)
        mutant["change"][fact][0] = "SOMETHING_ELSE"
        yield f"change: another code for {fact}", mutant


def _others(part: str, value: str) -> list[str]:
    """What could stand there by mistake: the neighbours of the same sort."""
    if part == "obligations":
        return ["NOTHING"]
    if part == "kinds":
        return ["SERVICE"]
    sort = value.partition(".")[0]
    return [fact for fact in PREDICATES if fact.partition(".")[0] == sort and fact != value][:2]


def _cut(values: list[str], place: int) -> list[str]:
    return values[:place] + values[place + 1 :]


def _changed(at: int, part: str, value: Any) -> dict[str, Any]:
    mutant = copy.deepcopy(RAW)
    mutant["rule"][at][part] = value
    return mutant


def _without(raw: dict[str, Any], name: str, at: int) -> dict[str, Any]:
    mutant = copy.deepcopy(raw)
    del mutant[name][at]
    return mutant


def _noticed(mutant: dict[str, Any]) -> bool:
    try:
        policy = parse(mutant)
    except PolicyUnreadable:
        return True
    return any(differences(rule_on(case.facts, policy), case.expect) for case in CASES)


def test_no_change_of_a_line_goes_unnoticed() -> None:
    assert [name for name, mutant in mutants() if not _noticed(mutant)] == []


def test_there_are_many_mutants() -> None:
    assert sum(1 for _ in mutants()) > 250


def test_the_newest_file_is_this_one() -> None:
    assert list(policies())[-1] == RAW["version"] == FILE.stem


def test_articles_and_texts_are_those_that_were_reviewed() -> None:
    reviewed = tomllib.loads((Path(__file__).parent / "reviewed.toml").read_text("utf-8"))
    assert {rule["id"]: rule["article"] for rule in RAW["rule"]} == reviewed["article"]
    assert {change[0]: change[1] for change in RAW["change"].values()} == reviewed["text"]
    assert RAW["valid_from"] == reviewed["valid_from"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw["rule"][0].update(effect="ALLOW"), r"rule\[0\]\.effect"),
        (lambda raw: raw["rule"][0].update(unless=["facility.active"]), r"rule\[0\]: unless"),
        (lambda raw: raw["rule"][0].pop("article"), r"rule\[0\]: article"),
        (lambda raw: raw["rule"][0]["when"].append("requester.is_nice"), r"rule\[0\]\.when: no fact"),
        (lambda raw: raw["rule"][0].update(when=[]), r"rule\[0\]\.when"),
        (lambda raw: raw["rule"][0].update(permits="anything"), r"rule\[0\]\.permits"),
        (lambda raw: raw["rule"][0].update(kinds=["SERVICE"]), r"rule\[0\]\.kinds"),
        (lambda raw: raw["rule"][3].update(kinds=["XML99"]), r"rule\[3\]\.kinds: an unknown kind"),
        (lambda raw: raw["rule"][3].pop("kinds"), r"rule\[3\]\.kinds"),
        (lambda raw: raw["rule"].append(raw["rule"][0]), "two have one id"),
        (lambda raw: raw["numbers"].update(emergency_hours=0), "numbers.emergency_hours"),
        (lambda raw: raw["numbers"].update(emergency_hours=True), "numbers.emergency_hours"),
        (lambda raw: raw["numbers"].pop("emergency_hours"), "numbers: emergency_hours"),
        (lambda raw: raw["numbers"].update(lucky=7), "numbers: lucky"),
        (lambda raw: raw["evidence"].update(treatment=["HEARSAY"]), "evidence.treatment"),
        (lambda raw: raw["change"].update({"consent.nice": ["A", "b"]}), "change.consent.nice"),
        (lambda raw: raw["change"].update({"consent.active": ["A"]}), "change.consent.active"),
        (lambda raw: raw["change"].pop("consent.active"), "change: consent.active"),
        (lambda raw: raw.update(valid_from=raw["valid_from"].replace(tzinfo=None)), "valid_from"),
        (lambda raw: raw.update(author="me"), "the file: author"),
        (lambda raw: raw.update(version=""), "version"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_naming_the_place(change: Any, said: str) -> None:
    raw = copy.deepcopy(RAW)
    change(raw)
    with pytest.raises(PolicyUnreadable, match=said):
        parse(raw)
