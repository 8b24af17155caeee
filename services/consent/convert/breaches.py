"""Breaches, proto to model and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from lienthong.consent.v1 import breach_service_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent.breaches import (
    LONGEST_TEXT,
    MOST_PERSONS,
    SHORTEST_TEXT,
    TOLD,
    Breach,
    Event,
    EventType,
    Nature,
    State,
)
from services.consent.convert.scalars import organization_code, pairs, resource_id, stamp

pb = breach_service_pb2
_STATE, _ = pairs(State, "BREACH_STATE", dict(pb.BreachState.items()))
_NATURES = {one.value: one for one in Nature}
_EVENTS = {one.value: one for one in TOLD}


def breach_in(message: pb.Breach, id: UUID, at: datetime) -> Breach:
    """A breach to register; InvalidArgument naming every wrong field."""
    wrong: list[FieldViolation] = []
    if not message.HasField("discover_time"):
        wrong.append(FieldViolation("breach.discover_time", "when it was discovered", "TIME_MISSING"))
    if message.nature not in _NATURES:
        wrong.append(FieldViolation("breach.nature", ", ".join(_NATURES), "NATURE_UNKNOWN"))
    if not SHORTEST_TEXT <= len(message.text) <= LONGEST_TEXT:
        wrong.append(FieldViolation("breach.text", f"{SHORTEST_TEXT} to {LONGEST_TEXT} characters", "TEXT_LENGTH"))
    organization = ""
    if message.organization:
        organization = organization_code(message.organization, "breach.organization", wrong)
    if wrong:
        raise InvalidArgument.of(*wrong)
    discovered = message.discover_time.ToDatetime(UTC)
    return Breach(id, discovered, _NATURES[message.nature], organization, at, text=message.text)


def event_in(message: pb.BreachEvent, id: UUID, at: datetime, actor: str) -> Event:
    """A step to add; InvalidArgument naming every wrong field."""
    wrong: list[FieldViolation] = []
    if message.type not in _EVENTS:
        wrong.append(FieldViolation("event.type", ", ".join(sorted(_EVENTS)), "TYPE_UNKNOWN"))
    if len(message.text) > LONGEST_TEXT:
        wrong.append(FieldViolation("event.text", f"at most {LONGEST_TEXT} characters", "TEXT_LENGTH"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return Event(id, _EVENTS[message.type], at, actor, text=message.text)


def persons_event(id: UUID, at: datetime, actor: str) -> Event:
    """The step of adding persons; who they are stands beside it."""
    return Event(id, EventType.PERSONS_ADDED, at, actor)


def persons_in(names: Sequence[str]) -> tuple[UUID, ...]:
    """1 to 1000 persons, each once; InvalidArgument naming every wrong one."""
    wrong: list[FieldViolation] = []
    if not 1 <= len(names) <= MOST_PERSONS or len(set(names)) != len(names):
        wrong.append(FieldViolation("persons", f"1 to {MOST_PERSONS}, each once", "COUNT_OUT_OF_RANGE"))
    found: list[UUID] = []
    for place, name in enumerate(names[:MOST_PERSONS]):
        try:
            found.append(resource_id(name, "persons", f"persons[{place}]"))
        except InvalidArgument as error:
            wrong += error.violations
    if wrong:
        raise InvalidArgument.of(*wrong)
    return tuple(found)


def breach_message(
    breach: Breach, *, due_at: datetime, retain_until: datetime, overdue: bool, events: bool
) -> pb.Breach:
    """The proto of a breach, with its events or without."""
    return pb.Breach(
        name=f"breaches/{breach.id}",
        discover_time=stamp(breach.discovered_at),
        nature=breach.nature.value,
        text=breach.text,
        organization=f"organizations/{breach.organization}" if breach.organization else "",
        state=pb.BreachState.ValueType(_STATE[breach.state]),
        notify_due_time=stamp(due_at),
        notify_time=stamp(breach.notified_at),
        overdue=overdue,
        person_count=breach.persons,
        events=[pb.BreachEvent(type=one.type.value, text=one.text, event_time=stamp(one.at)) for one in breach.events]
        if events
        else [],
        retain_until=stamp(retain_until),
    )
