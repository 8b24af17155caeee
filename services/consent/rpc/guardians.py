"""`lienthong.consent.v1.GuardianshipService`."""

from __future__ import annotations

from lienthong.consent.v1 import guardianship_service_pb2, guardianship_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.identifiers import uuid_from_request
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent.convert import guardians, scalars
from services.consent.service.guardians import GuardianshipService

pb = guardianship_service_pb2


class GuardianshipServicer(guardianship_service_pb2_grpc.GuardianshipServiceServicer):
    """`lienthong.consent.v1.GuardianshipService`."""

    def __init__(self, service: GuardianshipService, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    async def RegisterGuardianship(
        self, request: pb.RegisterGuardianshipRequest, context: RpcContext
    ) -> pb.RegisterGuardianshipResponse:
        """Registers one on evidence."""
        request_id = scalars.uuid_of(request.request_id, "request_id")
        id = uuid_from_request(f"{current_call().principal.subject}|RegisterGuardianship", request_id)
        wanted = guardians.guardianship_in(request.guardianship, id, self._clock())
        kept = await self._service.register(wanted)
        return pb.RegisterGuardianshipResponse(guardianship=guardians.guardianship_message(kept))

    async def EndGuardianship(
        self, request: pb.EndGuardianshipRequest, context: RpcContext
    ) -> pb.EndGuardianshipResponse:
        """Ends one."""
        scalars.uuid_of(request.request_id, "request_id")
        id = scalars.resource_id(request.name, "guardianships", "name")
        ended = await self._service.end(current_call().principal, id, guardians.reason_in(request.reason))
        return pb.EndGuardianshipResponse(guardianship=guardians.guardianship_message(ended))

    async def ListGuardianships(
        self, request: pb.ListGuardianshipsRequest, context: RpcContext
    ) -> pb.ListGuardianshipsResponse:
        """Those over a person, or held by them."""
        person = scalars.resource_id(request.person, "persons", "person")
        limit = page_limit(request.page_size)
        bound = f"ListGuardianships|{request.person}"
        before = decode_token(request.page_token, bound)
        place = scalars.uuid_of(before[0], "page_token") if before else None
        found = await self._service.list(current_call().principal, person, place, limit + 1)
        token = encode_token((str(found[limit - 1].id),), bound) if len(found) > limit else ""
        return pb.ListGuardianshipsResponse(
            guardianships=[guardians.guardianship_message(one) for one in found[:limit]], next_page_token=token
        )
