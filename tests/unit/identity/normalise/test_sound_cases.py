"""Syllables that sound alike somewhere in the country, read from `cases/sounds.csv`."""

from __future__ import annotations

import pytest

from services.identity.normalise.phonetics import phonetic
from tests.unit.identity.normalise.cases import cases


@pytest.mark.parametrize("row", cases("sounds"), ids=lambda row: f"{row['left']} {row['right']}: {row['why']}")
def test_syllables_meet_that_sound_alike(row: dict[str, str]) -> None:
    assert (phonetic(row["left"]) == phonetic(row["right"])) == (row["same"] == "yes")
