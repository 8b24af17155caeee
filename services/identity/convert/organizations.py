"""Facilities."""

from __future__ import annotations

from lienthong.identity.v1 import organization_pb2

from services.identity import model
from services.identity.convert.scalars import (
    EPOCH,
    ERA,
    area_message,
    known,
    numbers,
    optional,
    organization_code,
    stamp,
)
from services.identity.normalise.names import written

_LEVEL = numbers(model.CareLevel, organization_pb2.CareLevel, "CARE_LEVEL")
_ORGANIZATION_STATE = numbers(model.OrganizationState, organization_pb2.OrganizationState, "ORGANIZATION_STATE")


def page_level(number: int) -> model.CareLevel | None:
    """A level to filter by; None for all."""
    return optional(_LEVEL, number, "care_level")


def organization_in(message: organization_pb2.Organization) -> model.Organization:
    """A facility to register; state, times and etag are the service's to set."""
    return model.Organization(
        code=message.code,
        display_name=written(message.display_name),
        care_level=known(_LEVEL, message.care_level, "organization.care_level"),
        province=model.Area(
            message.province.province_code, known(ERA, message.province.era, "organization.province.era")
        ),
        parent=organization_code(message.parent, "organization.parent") if message.parent else None,
        state=model.OrganizationState.ACTIVE,
        created_at=EPOCH,
    )


def organization_message(organization: model.Organization) -> organization_pb2.Organization:
    """A facility in proto."""
    return organization_pb2.Organization(
        name=organization.name,
        code=organization.code,
        display_name=organization.display_name,
        care_level=_LEVEL[organization.care_level],
        province=area_message(organization.province),
        parent=f"organizations/{organization.parent}" if organization.parent else "",
        state=_ORGANIZATION_STATE[organization.state],
        create_time=stamp(organization.created_at),
        etag=organization.etag,
    )
