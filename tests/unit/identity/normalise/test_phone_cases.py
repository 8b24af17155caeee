"""Phone numbers as they are written, read from `cases/phones.csv`."""

from __future__ import annotations

import pytest

from services.identity.normalise.phones import phone
from tests.unit.identity.normalise.cases import cases, label


@pytest.mark.parametrize("row", cases("phones"), ids=label)
def test_a_number_is_read_as_its_rule_says(row: dict[str, str]) -> None:
    assert phone(row["raw"]) == (row["expected"] or None)


def test_there_are_cases_enough() -> None:
    assert len({row["raw"] for row in cases("phones")}) >= 40
