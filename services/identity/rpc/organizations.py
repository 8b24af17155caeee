"""`lienthong.identity.v1.OrganizationService`."""

from __future__ import annotations

from lienthong.identity.v1 import (
    organization_service_pb2,
    organization_service_pb2_grpc,
)

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.identity.convert import organizations, scalars
from services.identity.rpc.answers import digest
from services.identity.service import OrganizationImport, OrganizationService


class OrganizationServicer(organization_service_pb2_grpc.OrganizationServiceServicer):
    """`lienthong.identity.v1.OrganizationService`."""

    def __init__(self, service: OrganizationService, lists: OrganizationImport) -> None:
        self._service = service
        self._lists = lists

    async def CreateOrganization(
        self, request: organization_service_pb2.CreateOrganizationRequest, context: RpcContext
    ) -> organization_service_pb2.CreateOrganizationResponse:
        """Registers a facility."""
        created = await self._service.create(
            current_call().principal,
            organizations.organization_in(request.organization),
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        return organization_service_pb2.CreateOrganizationResponse(
            organization=organizations.organization_message(created)
        )

    async def GetOrganization(
        self, request: organization_service_pb2.GetOrganizationRequest, context: RpcContext
    ) -> organization_service_pb2.GetOrganizationResponse:
        """Returns a facility."""
        found = await self._service.get(scalars.organization_code(request.name, "name"))
        return organization_service_pb2.GetOrganizationResponse(organization=organizations.organization_message(found))

    async def ListOrganizations(
        self, request: organization_service_pb2.ListOrganizationsRequest, context: RpcContext
    ) -> organization_service_pb2.ListOrganizationsResponse:
        """Lists facilities by code."""
        limit = page_limit(request.page_size)
        wanted = organizations.filter_in(request)
        bound = f"ListOrganizations|{wanted}"
        last = decode_token(request.page_token, bound)
        found = await self._service.list(wanted, last[0] if last else "", limit + 1)
        return organization_service_pb2.ListOrganizationsResponse(
            organizations=[organizations.organization_message(one) for one in found[:limit]],
            next_page_token=encode_token((found[limit - 1].code,), bound) if len(found) > limit else "",
        )

    async def SuspendOrganization(
        self, request: organization_service_pb2.SuspendOrganizationRequest, context: RpcContext
    ) -> organization_service_pb2.SuspendOrganizationResponse:
        """Suspends a facility."""
        suspended = await self._service.suspend(
            current_call().principal,
            scalars.organization_code(request.name, "name"),
            request.etag,
            request.reason,
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        return organization_service_pb2.SuspendOrganizationResponse(
            organization=organizations.organization_message(suspended)
        )

    async def ReinstateOrganization(
        self, request: organization_service_pb2.ReinstateOrganizationRequest, context: RpcContext
    ) -> organization_service_pb2.ReinstateOrganizationResponse:
        """Ends a suspension."""
        reinstated = await self._service.reinstate(
            current_call().principal,
            scalars.organization_code(request.name, "name"),
            request.etag,
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        return organization_service_pb2.ReinstateOrganizationResponse(
            organization=organizations.organization_message(reinstated)
        )

    async def UpdateOrganization(
        self, request: organization_service_pb2.UpdateOrganizationRequest, context: RpcContext
    ) -> organization_service_pb2.UpdateOrganizationResponse:
        """Changes a facility."""
        fields = frozenset(request.update_mask.paths)
        changed = await self._service.update(
            current_call().principal,
            organizations.organization_in(request.organization, fields),
            fields,
            request.organization.etag,
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        return organization_service_pb2.UpdateOrganizationResponse(
            organization=organizations.organization_message(changed)
        )

    async def ImportOrganizations(
        self, request: organization_service_pb2.ImportOrganizationsRequest, context: RpcContext
    ) -> organization_service_pb2.ImportOrganizationsResponse:
        """Imports a list of facilities."""
        report = await self._lists.run(
            current_call().principal,
            request.csv,
            scalars.request_uuid(request.request_id),
            digest(request),
            validate_only=request.validate_only,
        )
        return organizations.report_message(report)
