"""Gap-free numbering: every facility's accepted documents are numbered from 1, so a missing entry shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from lienthong.client.tlog.promise import MERGE_DELAY


class SequenceFault(Enum):
    """What is wrong with a facility's numbers."""

    SEQUENCE_GAP = "SEQUENCE_GAP"
    """Numbers are missing below one whose promise is overdue."""

    SEQUENCE_DUPLICATE = "SEQUENCE_DUPLICATE"
    """A number occurs twice."""


@dataclass(frozen=True)
class NumberFault:
    """A fault: the numbers from `first` to `last` of a facility."""

    fault: SequenceFault
    facility: str
    first: int
    last: int


@dataclass(frozen=True)
class _Missing:
    """Numbers that are not there, and the earliest time of receipt known of a number above them."""

    first: int
    last: int
    seen_at: datetime


@dataclass
class _Numbers:
    following: int
    missing: list[_Missing] = field(default_factory=list)


class FacilitySequences:
    """The numbers seen so far. Entries of one facility may come in any order; memory is bounded by the number of ranges that are missing.

    `start` is the first number of a facility, None where a log carries on from the year before: then the first one seen starts.
    """

    def __init__(self, start: int | None = 1) -> None:
        self._start = start
        self._facilities: dict[str, _Numbers] = {}

    def add(self, facility: str, number: int, received_at: datetime) -> NumberFault | None:
        """Takes a number; a fault when it was there before (or lies below the start)."""
        numbers = self._facilities.setdefault(facility, _Numbers(number if self._start is None else self._start))
        if number >= numbers.following:
            if number > numbers.following:
                numbers.missing.append(_Missing(numbers.following, number - 1, received_at))
            numbers.following = number + 1
            return None
        for place, gap in enumerate(numbers.missing):
            if gap.first <= number <= gap.last:
                parts = (
                    _Missing(gap.first, number - 1, min(gap.seen_at, received_at)),
                    _Missing(number + 1, gap.last, gap.seen_at),
                )
                numbers.missing[place : place + 1] = [part for part in parts if part.first <= part.last]
                return None
        return NumberFault(SequenceFault.SEQUENCE_DUPLICATE, facility, number, number)

    def gaps(self, now: datetime) -> Iterator[NumberFault]:
        """Ranges that are missing although a later number was received so long ago that the promises of all earlier ones are overdue."""
        for facility, numbers in sorted(self._facilities.items()):
            for gap in numbers.missing:
                if gap.seen_at + MERGE_DELAY < now:
                    yield NumberFault(SequenceFault.SEQUENCE_GAP, facility, gap.first, gap.last)

    def dump(self) -> list[list[object]]:
        """The state as JSON values."""
        return [
            [facility, one.following, [[gap.first, gap.last, gap.seen_at.isoformat()] for gap in one.missing]]
            for facility, one in self._facilities.items()
        ]

    def load(self, state: Iterable[Sequence[Any]]) -> None:
        """Takes back what `dump` gave."""
        for facility, following, missing in state:
            gaps = [_Missing(first, last, datetime.fromisoformat(seen_at)) for first, last, seen_at in missing]
            self._facilities[facility] = _Numbers(following, gaps)
