"""`lienthong.identity.v1.PractitionerService`."""

from __future__ import annotations

from uuid import UUID

from lienthong.identity.v1 import (
    practitioner_service_pb2,
    practitioner_service_pb2_grpc,
)

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.identity.convert import practitioners, scalars
from services.identity.rpc.answers import digest
from services.identity.service import PractitionerService


class PractitionerServicer(practitioner_service_pb2_grpc.PractitionerServiceServicer):
    """`lienthong.identity.v1.PractitionerService`."""

    def __init__(self, service: PractitionerService) -> None:
        self._service = service

    async def CreatePractitioner(
        self, request: practitioner_service_pb2.CreatePractitionerRequest, context: RpcContext
    ) -> practitioner_service_pb2.CreatePractitionerResponse:
        """Registers a practitioner."""
        created = await self._service.create(
            current_call().principal,
            practitioners.practitioner_in(request.practitioner),
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        return practitioner_service_pb2.CreatePractitionerResponse(
            practitioner=practitioners.practitioner_message(created)
        )

    async def GetPractitioner(
        self, request: practitioner_service_pb2.GetPractitionerRequest, context: RpcContext
    ) -> practitioner_service_pb2.GetPractitionerResponse:
        """Returns a practitioner."""
        id = scalars.resource_id(request.name, "practitioners", "name")
        found = await self._service.get(current_call().principal, id)
        return practitioner_service_pb2.GetPractitionerResponse(practitioner=practitioners.practitioner_message(found))

    async def UpdatePractitioner(
        self, request: practitioner_service_pb2.UpdatePractitionerRequest, context: RpcContext
    ) -> practitioner_service_pb2.UpdatePractitionerResponse:
        """Changes a practitioner."""
        id = scalars.resource_id(request.practitioner.name, "practitioners", "practitioner.name")
        changed = await self._service.update(
            current_call().principal,
            practitioners.practitioner_in(request.practitioner, id),
            frozenset(request.update_mask.paths),
            request.practitioner.etag,
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        return practitioner_service_pb2.UpdatePractitionerResponse(
            practitioner=practitioners.practitioner_message(changed)
        )

    async def ListPractitioners(
        self, request: practitioner_service_pb2.ListPractitionersRequest, context: RpcContext
    ) -> practitioner_service_pb2.ListPractitionersResponse:
        """Lists the practitioners of a facility."""
        organization = scalars.organization_code(request.organization, "organization")
        limit = page_limit(request.page_size)
        bound = f"ListPractitioners|{organization}"
        last = decode_token(request.page_token, bound)
        after = UUID(last[0]) if last else None
        found = await self._service.list(current_call().principal, organization, after, limit + 1)
        return practitioner_service_pb2.ListPractitionersResponse(
            practitioners=[practitioners.practitioner_message(one) for one in found[:limit]],
            next_page_token=encode_token((str(found[limit - 1].id),), bound) if len(found) > limit else "",
        )
