"""`lienthong.consent.v1.EmergencyAccessService`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import emergency_access_service_pb2 as messages
from lienthong.consent.v1 import emergency_access_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.identifiers import uuid_from_request
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent.convert import emergency as convert
from services.consent.convert import scalars
from services.consent.emergency import LONGEST_TEXT, EmergencyAccess
from services.consent.service.emergency import EmergencyService

_COLLECTION = "emergencyAccesses"


class EmergencyAccessServicer(emergency_access_service_pb2_grpc.EmergencyAccessServiceServicer):
    """`lienthong.consent.v1.EmergencyAccessService`."""

    def __init__(self, service: EmergencyService, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    async def RequestEmergencyAccess(
        self, request: messages.RequestEmergencyAccessRequest, context: RpcContext
    ) -> messages.RequestEmergencyAccessResponse:
        """Opens an access."""
        principal = current_call().principal
        reason, said = convert.reason_in(request)
        id = uuid_from_request(
            f"{principal.facility}|{principal.licence}|RequestEmergencyAccess",
            scalars.uuid_of(request.request_id, "request_id"),
        )
        person = scalars.resource_id(request.person, "persons", "person")
        opened, unusual = await self._service.open(principal, person, reason, said, id)
        return messages.RequestEmergencyAccessResponse(emergency_access=self._message(opened), unusual=unusual)

    async def ConfirmEmergencyAccess(
        self, request: messages.ConfirmEmergencyAccessRequest, context: RpcContext
    ) -> messages.ConfirmEmergencyAccessResponse:
        """Confirms an access."""
        scalars.uuid_of(request.request_id, "request_id")
        confirmed = await self._service.confirm(current_call().principal, _id(request.name))
        return messages.ConfirmEmergencyAccessResponse(emergency_access=self._message(confirmed))

    async def WidenEmergencyAccess(
        self, request: messages.WidenEmergencyAccessRequest, context: RpcContext
    ) -> messages.WidenEmergencyAccessResponse:
        """Widens an access."""
        scalars.uuid_of(request.request_id, "request_id")
        wrong: list[FieldViolation] = []
        said = convert.text_in(request.reason_text, "reason_text", LONGEST_TEXT, wrong)
        if wrong:
            raise InvalidArgument.of(*wrong)
        widened = await self._service.widen(current_call().principal, _id(request.name), said, request.life_saving)
        return messages.WidenEmergencyAccessResponse(emergency_access=self._message(widened))

    async def EndEmergencyAccess(
        self, request: messages.EndEmergencyAccessRequest, context: RpcContext
    ) -> messages.EndEmergencyAccessResponse:
        """Ends an access."""
        scalars.uuid_of(request.request_id, "request_id")
        ended = await self._service.end(current_call().principal, _id(request.name))
        return messages.EndEmergencyAccessResponse(emergency_access=self._message(ended))

    async def GetEmergencyAccess(
        self, request: messages.GetEmergencyAccessRequest, context: RpcContext
    ) -> messages.GetEmergencyAccessResponse:
        """An access."""
        found = await self._service.get(current_call().principal, _id(request.name))
        return messages.GetEmergencyAccessResponse(emergency_access=self._message(found))

    async def ListEmergencyAccesses(
        self, request: messages.ListEmergencyAccessesRequest, context: RpcContext
    ) -> messages.ListEmergencyAccessesResponse:
        """A queue, or a facility's or a citizen's own."""
        limit = page_limit(request.page_size)
        bound = f"ListEmergencyAccesses|{request.unreviewed}|{request.organization}"
        token = decode_token(request.page_token, bound)
        place = (datetime.fromisoformat(token[0]), UUID(token[1])) if token else None
        found = await self._service.list(
            current_call().principal,
            request.unreviewed,
            convert.organization_in(request.organization),
            place,
            limit + 1,
        )
        end = found[limit - 1] if len(found) > limit else None
        return messages.ListEmergencyAccessesResponse(
            emergency_accesses=[self._message(one) for one in found[:limit]],
            next_page_token=encode_token((end.opened_at.isoformat(), str(end.id)), bound) if end else "",
        )

    async def ReviewEmergencyAccess(
        self, request: messages.ReviewEmergencyAccessRequest, context: RpcContext
    ) -> messages.ReviewEmergencyAccessResponse:
        """Reviews an access."""
        scalars.uuid_of(request.request_id, "request_id")
        outcome, finding = convert.finding_in(request)
        reviewed = await self._service.review(current_call().principal, _id(request.name), outcome, finding)
        return messages.ReviewEmergencyAccessResponse(emergency_access=self._message(reviewed))

    async def GetEmergencyAccessStatistics(
        self, request: messages.GetEmergencyAccessStatisticsRequest, context: RpcContext
    ) -> messages.GetEmergencyAccessStatisticsResponse:
        """Counts; all pages are of the moment at which the first was asked for."""
        limit = page_limit(request.page_size)
        days = convert.days_in(request.days)
        organization = convert.organization_in(request.organization)
        bound = f"GetEmergencyAccessStatistics|{days}|{request.organization}"
        token = decode_token(request.page_token, bound)
        at = datetime.fromisoformat(token[0]) if token else self._clock()
        after = (int(token[1]), token[2], token[3]) if token else None
        found = await self._service.statistics(at, days, organization, after, limit + 1)
        end = found[limit - 1] if len(found) > limit else None
        place = (at.isoformat(), str(end.opened), end.organization, end.licence) if end else None
        return messages.GetEmergencyAccessStatisticsResponse(
            counts=[convert.counts_message(one) for one in found[:limit]],
            next_page_token=encode_token(place, bound) if place else "",
        )

    def _message(self, access: EmergencyAccess) -> messages.EmergencyAccess:
        return convert.access_message(access, access.state(self._clock()))


def _id(name: str) -> UUID:
    return scalars.resource_id(name, _COLLECTION, "name")
