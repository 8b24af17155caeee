"""Guardianships, proto to model and back."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import guardianship_service_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent.convert.scalars import pairs, period_in, period_out, resource_id, stamp
from services.consent.guardians import CODE, LONGEST_CODE, Guardianship, GuardianshipKind

pb = guardianship_service_pb2
_KIND, _KIND_IN = pairs(GuardianshipKind, "GUARDIANSHIP_KIND", dict(pb.GuardianshipKind.items()))


def guardianship_in(message: pb.Guardianship, id: UUID, at: datetime) -> Guardianship:
    """A guardianship to register; InvalidArgument naming every wrong field."""
    wrong: list[FieldViolation] = []
    ward = _person(message.ward, "guardianship.ward", wrong)
    guardian = _person(message.guardian, "guardianship.guardian", wrong)
    if message.kind not in _KIND_IN:
        wrong.append(FieldViolation("guardianship.kind", "PARENT or GUARDIAN", "KIND_UNKNOWN"))
    code_in(message.evidence, "guardianship.evidence", wrong)
    period = period_in(message.period)
    if period.start is not None and period.end is not None and period.start >= period.end:
        wrong.append(FieldViolation("guardianship.period", "start before end", "PERIOD_EMPTY"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return Guardianship(id, ward, guardian, _KIND_IN[message.kind], period, message.evidence, at)


def reason_in(reason: str) -> str:
    """The reason of an end; InvalidArgument otherwise."""
    wrong: list[FieldViolation] = []
    code_in(reason, "reason", wrong)
    if wrong:
        raise InvalidArgument.of(*wrong)
    return reason


def code_in(code: str, field: str, wrong: list[FieldViolation]) -> None:
    """A code in words; anything else goes to `wrong`, and is never repeated: it may be a number of a paper."""
    if len(code) > LONGEST_CODE or not CODE.fullmatch(code):
        wanted = f"words in capitals joined by _, without numbers, at most {LONGEST_CODE} characters"
        wrong.append(FieldViolation(field, wanted, "CODE_INVALID"))


def guardianship_message(one: Guardianship) -> pb.Guardianship:
    """The proto of a guardianship."""
    return pb.Guardianship(
        name=f"guardianships/{one.id}",
        ward=f"persons/{one.ward}",
        guardian=f"persons/{one.guardian}",
        kind=pb.GuardianshipKind.ValueType(_KIND[one.kind]),
        period=period_out(one.period),
        evidence=one.evidence,
        end_time=stamp(one.ended_at),
        create_time=stamp(one.created_at),
    )


def _person(name: str, field: str, wrong: list[FieldViolation]) -> UUID:
    try:
        return resource_id(name, "persons", field)
    except InvalidArgument as error:
        wrong.extend(error.violations)
        return UUID(int=0)
