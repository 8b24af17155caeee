"""REQUIRED fields of updates: of the resource only what is to change (AIP-134)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from google.protobuf import field_mask_pb2
from lienthong.identity.v1 import organization_pb2, organization_service_pb2

from services.chassis.errors import InvalidArgument
from services.chassis.interceptors.validate import check


def update(*paths: str, **fields: Any) -> organization_service_pb2.UpdateOrganizationRequest:
    return organization_service_pb2.UpdateOrganizationRequest(
        request_id=str(uuid4()),
        organization=organization_pb2.Organization(name="organizations/01001", **fields),
        update_mask=field_mask_pb2.FieldMask(paths=paths),
    )


def missing(request: organization_service_pb2.UpdateOrganizationRequest) -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        check(request)
    return [one.field for one in refused.value.violations]


def test_what_does_not_change_may_be_left_out() -> None:
    check(update("contact", contact="1"))
    check(update("display_name", display_name="Trạm y tế"))
    # A field that changes and is REQUIRED cannot be emptied.
    assert missing(update("display_name", "contact")) == ["organization.display_name"]


def test_without_a_mask_or_a_resource_nothing_changes() -> None:
    assert missing(organization_service_pb2.UpdateOrganizationRequest()) == [
        "request_id",
        "organization",
        "update_mask",
    ]


def test_creating_wants_all_of_it() -> None:
    request = organization_service_pb2.CreateOrganizationRequest(
        request_id="1", organization=organization_pb2.Organization(contact="1")
    )
    with pytest.raises(InvalidArgument) as refused:
        check(request)
    assert {one.field for one in refused.value.violations} >= {"organization.code", "organization.display_name"}
