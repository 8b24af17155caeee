"""What leaves, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.chassis.telemetry import traceparent

LONGEST_TOPIC = 32
LONGEST_AGGREGATE = 64
LONGEST_REASON = 100


@dataclass(frozen=True)
class Message:
    """A fact on its way.

    `id` is the event id that receivers deduplicate on, `aggregate` (at most 64 characters) what it must stay in order
    with, `trace` the traceparent of the call that made it, for the span of its delivery. A payload that holds a
    person's data MUST be sealed: the outbox is a table like any other. `attempts` counts deliveries, this one too.
    """

    id: UUID
    topic: str
    aggregate: str
    payload: bytes = field(repr=False)
    trace: str = field(default_factory=traceparent)
    attempts: int = 0


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up, when and why; `reason` is a stable code or the class name of an error."""

    message: Message
    reason: str
    died_at: datetime


@dataclass(frozen=True)
class Done:
    """Delivered."""


@dataclass(frozen=True)
class Retry:
    """Not now; `reason` is a stable code, never an error's text."""

    reason: str


@dataclass(frozen=True)
class Dead:
    """Never; kept with its reason, a stable code."""

    reason: str


Outcome = Done | Retry | Dead
DONE = Done()
Deliver = Callable[[Sequence[Message]], Awaitable[Sequence[Outcome]]]
"""Delivers messages of different aggregates; returns one outcome for each, in their order."""
