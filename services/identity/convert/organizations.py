"""Facilities."""

from __future__ import annotations

from collections.abc import Collection

from lienthong.identity.v1 import organization_pb2, organization_service_pb2

from services.identity import areas, model, registers
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
from services.identity.service.organization_import import ImportReport

_LEVEL = numbers(registers.CareLevel, organization_pb2.CareLevel, "CARE_LEVEL")
_ORGANIZATION_STATE = numbers(registers.OrganizationState, organization_pb2.OrganizationState, "ORGANIZATION_STATE")


def filter_in(request: organization_service_pb2.ListOrganizationsRequest) -> registers.OrganizationFilter:
    """Which facilities are wanted."""
    if request.province_code and not areas.known(model.Area(request.province_code, model.Era.PROVINCES_34)):
        raise model.invalid("province_code", "a code of the list of 34", "PROVINCE_UNKNOWN")
    return registers.OrganizationFilter(
        level=optional(_LEVEL, request.care_level, "care_level"),
        state=optional(_ORGANIZATION_STATE, request.state, "state"),
        ancestor=organization_code(request.ancestor, "ancestor") if request.ancestor else "",
        capability=request.capability,
        province_code=request.province_code,
    )


def organization_in(
    message: organization_pb2.Organization, fields: Collection[str] | None = None
) -> registers.Organization:
    """A facility to register, or one with these fields to change; state, times and etag are the service's to set."""

    def asked(field: str) -> bool:
        return fields is None or field in fields

    code = message.code if fields is None else organization_code(message.name, "organization.name")
    level, province = registers.CareLevel.BASIC, model.Area("", model.Era.PROVINCES_34)
    if asked("care_level"):
        level = known(_LEVEL, message.care_level, "organization.care_level")
    if asked("province"):
        era = known(ERA, message.province.era, "organization.province.era")
        province = model.Area(message.province.province_code, era)
    return registers.Organization(
        code=code,
        display_name=written(message.display_name),
        care_level=level,
        province=province,
        parent=organization_code(message.parent, "organization.parent") if asked("parent") and message.parent else None,
        state=registers.OrganizationState.ACTIVE,
        created_at=EPOCH,
        capabilities=tuple(message.capabilities),
        contact=message.contact.strip(),
    )


def report_message(report: ImportReport) -> organization_service_pb2.ImportOrganizationsResponse:
    """The report of a list in proto."""
    return organization_service_pb2.ImportOrganizationsResponse(
        created_count=report.created,
        updated_count=report.updated,
        unchanged_count=report.unchanged,
        rejected_count=report.rejected,
        errors=[
            organization_service_pb2.ImportRowError(line=one.line, column=one.column, reason=one.reason)
            for one in report.errors
        ],
    )


def organization_message(organization: registers.Organization) -> organization_pb2.Organization:
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
        capabilities=organization.capabilities,
        contact=organization.contact,
        suspension_reason=organization.suspension_reason,
    )
