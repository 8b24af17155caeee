"""The numbers of facilities against plain sets, in any order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.tlog.sequence import FacilitySequences, NumberFault, SequenceFault

THEN = datetime(2026, 11, 23, tzinfo=UTC)
LATE = THEN + timedelta(minutes=5)


@given(st.lists(st.integers(1, 30), max_size=40))
def test_gaps_and_duplicates_of_any_order(numbers: list[int]) -> None:
    sequences, seen = FacilitySequences(), set[int]()
    for number in numbers:
        fault = sequences.add("01001", number, THEN)
        duplicate = NumberFault(SequenceFault.SEQUENCE_DUPLICATE, "01001", number, number)
        assert fault == (duplicate if number in seen else None)
        seen.add(number)
        # A state that was written and read again goes on in the same way.
        again = FacilitySequences()
        again.load(json.loads(json.dumps(sequences.dump())))
        sequences = again
    gaps = [number for gap in sequences.gaps(LATE) for number in range(gap.first, gap.last + 1)]
    assert gaps == sorted(set(range(1, max(seen, default=0))) - seen)


def test_what_may_still_be_on_its_way_is_no_gap() -> None:
    sequences = FacilitySequences()
    sequences.add("01001", 3, THEN)
    assert list(sequences.gaps(THEN + timedelta(seconds=60))) == []
    assert list(sequences.gaps(THEN + timedelta(seconds=61))) == [
        NumberFault(SequenceFault.SEQUENCE_GAP, "01001", 1, 2)
    ]
    sequences.add("01001", 2, THEN - timedelta(seconds=30))
    # Number 1 came before number 2, so its promise is overdue sooner.
    assert [gap.last for gap in sequences.gaps(THEN + timedelta(seconds=31))] == [1]


def test_a_log_that_carries_on_starts_anywhere() -> None:
    sequences = FacilitySequences(start=None)
    assert sequences.add("01001", 7000, THEN) is None
    assert list(sequences.gaps(LATE)) == []
    assert sequences.add("01001", 6999, THEN) is not None


def test_facilities_are_counted_apart() -> None:
    sequences = FacilitySequences()
    for facility in ("01001", "79001"):
        assert sequences.add(facility, 1, THEN) is None
    sequences.add("79001", 3, THEN)
    assert [(gap.facility, gap.first) for gap in sequences.gaps(LATE)] == [("79001", 2)]
