"""Deadline arithmetic: every call has one, and what is left shrinks on the way in, so that a caller learns which sub-call was late."""

from __future__ import annotations

import time
from contextvars import ContextVar
from datetime import timedelta

from services.chassis.errors import DomainError, FieldViolation, Kind

SHAVE = 0.020
"""Seconds kept back from what a callee gets."""
FLOOR = 0.050
"""Seconds under which work is refused at the door."""

DEADLINE: ContextVar[float | None] = ContextVar("lienthong_deadline", default=None)
"""Monotonic time at which the call in hand ends."""


class DeadlineRequired(DomainError):
    """The call came without a deadline."""

    kind = Kind.INVALID
    reason = "DEADLINE_REQUIRED"

    def __init__(self) -> None:
        super().__init__(
            "the call needs a deadline",
            violations=(FieldViolation("grpc-timeout", "a deadline is set", "DEADLINE_REQUIRED"),),
        )


class DeadlineTooShort(DomainError):
    """Too little time is left to do anything useful."""

    kind = Kind.DEADLINE
    reason = "DEADLINE_TOO_SHORT"

    def __init__(self) -> None:
        super().__init__("too little time is left")


def remaining() -> timedelta:
    """Time left for the call in hand; a day outside of one."""
    end = DEADLINE.get()
    return timedelta(days=1) if end is None else timedelta(seconds=end - time.monotonic())


def child_timeout(default: float) -> float:
    """Seconds for a sub-call: the default, or what is left less 20 ms. Raises DeadlineTooShort under 50 ms."""
    left = remaining().total_seconds() - SHAVE
    if left < FLOOR:
        raise DeadlineTooShort
    return min(default, left)
