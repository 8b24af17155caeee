"""A change of what the normaliser makes of anything needs a new version."""

from __future__ import annotations

import pytest

from services.identity.normalise import NORMALISER_VERSION
from tests.unit.identity.normalise import outcomes


def test_outcomes_are_those_of_the_version() -> None:
    version, before = outcomes.pinned()
    after = outcomes.outcomes()
    assert version == NORMALISER_VERSION, "pin the outcomes of the new version: see outcomes.py"
    assert outcomes.changed(before, after) == [], "outcomes changed: NORMALISER_VERSION needs a new name"
    assert set(after) == set(before), "cases came or went: see outcomes.py"


def test_a_changed_outcome_is_not_pinned_to_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    case, *rest = outcomes.pinned()[1]
    assert rest
    another = {**outcomes.outcomes(), case: "0" * 16}
    monkeypatch.setattr(outcomes, "outcomes", lambda: another)
    before = outcomes.FILE.read_bytes()
    with pytest.raises(SystemExit, match="1 outcomes changed"):
        outcomes.main()
    assert outcomes.FILE.read_bytes() == before
