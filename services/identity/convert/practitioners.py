"""Practitioners."""

from __future__ import annotations

from uuid import UUID

from lienthong.identity.v1 import practitioner_pb2
from lienthong.type.v1 import human_name_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.identity import model
from services.identity.convert.scalars import EPOCH, organization_code, stamp
from services.identity.normalise.names import written


def practitioner_in(message: practitioner_pb2.Practitioner) -> model.Practitioner:
    """A practitioner to register; id and time are the service's to set."""
    wrong: list[FieldViolation] = []
    codes: list[str] = []
    for at, name in enumerate(message.organizations):
        try:
            codes.append(organization_code(name, f"practitioner.organizations[{at}]"))
        except InvalidArgument as error:
            wrong += error.violations
    if wrong:
        raise InvalidArgument.of(*wrong)
    return model.Practitioner(
        id=UUID(int=0),
        licence=" ".join(message.licence.split()),
        human_name=written(message.human_name.text),
        organizations=tuple(codes),
        role=message.role,
        created_at=EPOCH,
    )


def practitioner_message(practitioner: model.Practitioner) -> practitioner_pb2.Practitioner:
    """A practitioner in proto."""
    return practitioner_pb2.Practitioner(
        name=practitioner.name,
        licence=practitioner.licence,
        human_name=human_name_pb2.HumanName(text=practitioner.human_name),
        organizations=[f"organizations/{code}" for code in practitioner.organizations],
        role=practitioner.role,
        create_time=stamp(practitioner.created_at),
    )
