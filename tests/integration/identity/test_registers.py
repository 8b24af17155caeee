"""Facilities and practitioners over the wire."""

from __future__ import annotations

from uuid import uuid4

import grpc
import pytest
from google.protobuf import field_mask_pb2
from lienthong.identity.v1 import (
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_service_pb2_grpc,
    practitioner_pb2,
    practitioner_service_pb2,
    practitioner_service_pb2_grpc,
)
from lienthong.type.v1 import human_name_pb2

from services.chassis.principal import PrincipalKind
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import organization, registration
from tests.integration.identity.test_persons import TIMEOUT, reason


async def test_paging_through_facilities(identity: Running) -> None:
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
        request = organization_service_pb2.CreateOrganizationRequest(
            request_id=str(uuid4()), organization=organization("27003")
        )
        made = await stub.CreateOrganization(request, timeout=TIMEOUT)
        assert await stub.CreateOrganization(request, timeout=TIMEOUT) == made
        codes: list[str] = []
        token = ""
        while True:
            page = await stub.ListOrganizations(
                organization_service_pb2.ListOrganizationsRequest(page_size=2, page_token=token), timeout=TIMEOUT
            )
            codes += [one.code for one in page.organizations]
            token = page.next_page_token
            if not token:
                break
        altered = organization_service_pb2.ListOrganizationsRequest(page_size=2, page_token="AAAA")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListOrganizations(altered, timeout=TIMEOUT)
    assert codes == ["01001", "27003", "79002"]
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_suspended_facility_can_not_register(identity: Running) -> None:
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
        request = organization_service_pb2.SuspendOrganizationRequest(
            name="organizations/01001", request_id=str(uuid4()), etag="stale"
        )
        with pytest.raises(grpc.aio.AioRpcError) as stale:
            await stub.SuspendOrganization(request, timeout=TIMEOUT)
        request.etag = ""
        suspended = await stub.SuspendOrganization(request, timeout=TIMEOUT)
    assert (stale.value.code(), reason(stale.value)) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert suspended.organization.state == organization_pb2.ORGANIZATION_STATE_SUSPENDED
    async with identity.as_facility("01001") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await person_service_pb2_grpc.PersonServiceStub(channel).RegisterPerson(registration(), timeout=TIMEOUT)
    assert (refused.value.code(), reason(refused.value)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ORGANIZATION_SUSPENDED",
    )


async def test_practitioners_of_a_facility(identity: Running) -> None:
    request = practitioner_service_pb2.CreatePractitionerRequest(
        request_id=str(uuid4()),
        practitioner=practitioner_pb2.Practitioner(
            licence="000123/HNO-CCHN",
            human_name=human_name_pb2.HumanName(text="Trần Văn Bình"),
            organizations=["organizations/01001"],
            role="doctor",
        ),
    )
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        made = await practitioner_service_pb2_grpc.PractitionerServiceStub(channel).CreatePractitioner(
            request, timeout=TIMEOUT
        )
    wanted = practitioner_service_pb2.ListPractitionersRequest(organization="organizations/01001")
    async with identity.as_facility("01001") as channel:
        stub = practitioner_service_pb2_grpc.PractitionerServiceStub(channel)
        page = await stub.ListPractitioners(wanted, timeout=TIMEOUT)
        got = await stub.GetPractitioner(
            practitioner_service_pb2.GetPractitionerRequest(name=made.practitioner.name), timeout=TIMEOUT
        )
    assert list(page.practitioners) == [made.practitioner] == [got.practitioner]
    async with identity.as_facility("79002") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await practitioner_service_pb2_grpc.PractitionerServiceStub(channel).ListPractitioners(
                wanted, timeout=TIMEOUT
            )
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_nation_of_facilities_comes_as_one_list(identity: Running) -> None:
    header = "code,display_name,care_level,province_code,province_era,parent,capabilities,contact\r\n"
    # Children stand before the parent that they belong to.
    rows = [
        f'{province}{number:03},"Trạm y tế xã Đông Hòa, số {number}",INITIAL,{province},PROVINCES_63,{province}999,EMERGENCY,\r\n'
        for province in ("02", "04", "06", "08", "10", "11", "12", "14", "15", "17", "19", "20", "22")
        for number in range(1000)
        if number != 999
    ]
    heads = [
        f"{province}999,Bệnh viện đa khoa tỉnh,BASIC,{province},PROVINCES_63,,OBSTETRICS;EMERGENCY,\r\n"
        for province in ("02", "04", "06", "08", "10", "11", "12", "14", "15", "17", "19", "20", "22")
    ]
    content = "\ufeff" + header + "".join(rows + heads) + "24001,Bệnh viện,BASIC,99,PROVINCES_63,,,\r\n"
    request = organization_service_pb2.ImportOrganizationsRequest(request_id=str(uuid4()), csv=content.encode())
    wanted = organization_service_pb2.ListOrganizationsRequest(ancestor="organizations/02999", page_size=500)
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
        done = await stub.ImportOrganizations(request, timeout=TIMEOUT)
        assert await stub.ImportOrganizations(request, timeout=TIMEOUT) == done
        request.request_id = str(uuid4())
        again = await stub.ImportOrganizations(request, timeout=TIMEOUT)
        below: list[organization_pb2.Organization] = []
        while True:
            page = await stub.ListOrganizations(wanted, timeout=TIMEOUT)
            below += page.organizations
            wanted.page_token = page.next_page_token
            if not wanted.page_token:
                break
    assert (done.created_count, done.updated_count, done.rejected_count) == (13_000, 0, 1)
    assert [(one.line, one.column, one.reason) for one in done.errors] == [
        (13_002, "province_code", "PROVINCE_UNKNOWN")
    ]
    assert (again.created_count, again.updated_count, again.unchanged_count) == (0, 0, 13_000)
    assert [one.code for one in below] == [f"02{number:03}" for number in range(999)]


async def test_registers_change_over_the_wire(identity: Running) -> None:
    async with identity.as_officer(PrincipalKind.ADMIN) as channel:
        stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
        name = "organizations/79002"
        suspended = await stub.SuspendOrganization(
            organization_service_pb2.SuspendOrganizationRequest(name=name, request_id=str(uuid4()), reason="FIRE"),
            timeout=TIMEOUT,
        )
        reinstated = await stub.ReinstateOrganization(
            organization_service_pb2.ReinstateOrganizationRequest(
                name=name, request_id=str(uuid4()), etag=suspended.organization.etag
            ),
            timeout=TIMEOUT,
        )
        change = organization_service_pb2.UpdateOrganizationRequest(
            request_id=str(uuid4()),
            organization=organization_pb2.Organization(
                name=name, etag=suspended.organization.etag, capabilities=["OBSTETRICS"]
            ),
            update_mask=field_mask_pb2.FieldMask(paths=["capabilities"]),
        )
        with pytest.raises(grpc.aio.AioRpcError) as stale:
            await stub.UpdateOrganization(change, timeout=TIMEOUT)
        change.organization.etag = reinstated.organization.etag
        changed = await stub.UpdateOrganization(change, timeout=TIMEOUT)
        page = await stub.ListOrganizations(
            organization_service_pb2.ListOrganizationsRequest(capability="OBSTETRICS"), timeout=TIMEOUT
        )
    assert suspended.organization.suspension_reason == "FIRE"
    assert reinstated.organization.state == organization_pb2.ORGANIZATION_STATE_ACTIVE
    assert not reinstated.organization.suspension_reason
    assert (stale.value.code(), reason(stale.value)) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert changed.organization.display_name == suspended.organization.display_name
    assert list(page.organizations) == [changed.organization]
