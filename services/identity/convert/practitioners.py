"""Practitioners."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

from lienthong.identity.v1 import practitioner_pb2
from lienthong.type.v1 import human_name_pb2, period_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.identity import registers
from services.identity.convert.scalars import EPOCH, organization_code, stamp
from services.identity.normalise.names import written

NEW = UUID(int=0)
"""In place of the id of one who is not registered yet."""


def practitioner_in(message: practitioner_pb2.Practitioner, id: UUID = NEW) -> registers.Practitioner:
    """A practitioner to register, or one with what is to change; id and time are the service's to set."""
    wrong: list[FieldViolation] = []
    codes: list[str] = []
    for at, name in enumerate(message.organizations):
        try:
            codes.append(organization_code(name, f"practitioner.organizations[{at}]"))
        except InvalidArgument as error:
            wrong += error.violations
    if wrong:
        raise InvalidArgument.of(*wrong)
    period = message.licence_period
    return registers.Practitioner(
        id=id,
        licence=" ".join(message.licence.split()),
        human_name=written(message.human_name.text),
        organizations=tuple(codes),
        role=message.role,
        created_at=EPOCH,
        licence_from=period.start_time.ToDatetime(UTC) if period.HasField("start_time") else None,
        licence_until=period.end_time.ToDatetime(UTC) if period.HasField("end_time") else None,
        scope=message.scope,
    )


def practitioner_message(practitioner: registers.Practitioner) -> practitioner_pb2.Practitioner:
    """A practitioner in proto."""
    return practitioner_pb2.Practitioner(
        name=practitioner.name,
        licence=practitioner.licence,
        human_name=human_name_pb2.HumanName(text=practitioner.human_name),
        organizations=[f"organizations/{code}" for code in practitioner.organizations],
        role=practitioner.role,
        create_time=stamp(practitioner.created_at),
        licence_period=period_pb2.Period(
            start_time=stamp(practitioner.licence_from) if practitioner.licence_from else None,
            end_time=stamp(practitioner.licence_until) if practitioner.licence_until else None,
        )
        if practitioner.licence_from or practitioner.licence_until
        else None,
        scope=practitioner.scope,
        etag=practitioner.etag,
    )
