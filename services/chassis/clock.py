"""Time is passed in: a test freezes the clock rather than patching."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present as an aware UTC datetime."""


def system_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class FrozenClock:
    """A clock that stands still until told."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def __call__(self) -> datetime:
        return self._at

    def advance(self, by: timedelta) -> None:
        """Moves the clock on."""
        self._at += by
