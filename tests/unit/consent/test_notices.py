"""Pauses between deliveries of a notice."""

from __future__ import annotations

from datetime import timedelta

from services.consent.notices import pause_after

LONGEST = timedelta(minutes=10)


def test_pauses_double_from_a_second_and_never_exceed_the_longest() -> None:
    pauses = [pause_after(attempts, LONGEST).total_seconds() for attempts in (0, 1, 2, 3, 10, 11, 1000, 10**9)]
    assert pauses == [1, 1, 2, 4, 512, 600, 600, 600]
