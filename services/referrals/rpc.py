"""The servicers of the referrals role: convert, call one operation, convert back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from uuid import UUID

from lienthong.referrals.v1 import (
    appointment_service_pb2,
    appointment_service_pb2_grpc,
    referral_service_pb2,
    referral_service_pb2_grpc,
    slip_import_service_pb2,
    slip_import_service_pb2_grpc,
)

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.referrals import convert
from services.referrals.service import ReferralService


class ReferralServicer(referral_service_pb2_grpc.ReferralServiceServicer):
    """`lienthong.referrals.v1.ReferralService`."""

    def __init__(self, service: ReferralService) -> None:
        self._service = service

    async def GetReferral(
        self, request: referral_service_pb2.GetReferralRequest, context: RpcContext
    ) -> referral_service_pb2.GetReferralResponse:
        """A referral with its clinical text."""
        id = convert.resource_id(request.name, "referrals", "name")
        found, decision = await self._service.get(current_call(), id, convert.context_in(request))
        return referral_service_pb2.GetReferralResponse(
            referral=convert.referral_message(found, self._service.today()),
            content=convert.content_message(found.content),
            decision=decision,
        )

    async def ListReferrals(
        self, request: referral_service_pb2.ListReferralsRequest, context: RpcContext
    ) -> referral_service_pb2.ListReferralsResponse:
        """The caller's worklist."""
        principal = current_call().principal
        bound = f"{principal.facility}|{request.direction}|{request.state}|{request.person}"
        limit = page_limit(request.page_size)
        before = decode_token(request.page_token, bound)
        found = await self._service.list(
            current_call(),
            request.direction != referral_service_pb2.REFERRAL_DIRECTION_OUTGOING,
            request.direction != referral_service_pb2.REFERRAL_DIRECTION_INCOMING,
            convert.state_in(request.state),
            UUID(before[0]) if before else None,
            limit,
            convert.resource_id(request.person, "persons", "person") if request.person else None,
        )
        return referral_service_pb2.ListReferralsResponse(
            referrals=[convert.referral_message(one, self._service.today()) for one in found.shown],
            next_page_token=encode_token((str(found.end.id),), bound) if found.end else "",
            decisions=found.decisions,
            withheld_count=found.withheld,
        )

    async def AcceptReferral(
        self, request: referral_service_pb2.AcceptReferralRequest, context: RpcContext
    ) -> referral_service_pb2.AcceptReferralResponse:
        """Accepts a referral."""
        id = convert.resource_id(request.name, "referrals", "name")
        changed, decision = await self._service.accept(current_call(), request.request_id, id, request.etag)
        return referral_service_pb2.AcceptReferralResponse(
            referral=convert.changed_message(changed, self._service.today(), shown=bool(decision)), decision=decision
        )

    async def RegisterArrival(
        self, request: referral_service_pb2.RegisterArrivalRequest, context: RpcContext
    ) -> referral_service_pb2.RegisterArrivalResponse:
        """Records an arrival."""
        id = convert.resource_id(request.name, "referrals", "name")
        changed, decision = await self._service.register_arrival(current_call(), request.request_id, id, request.etag)
        return referral_service_pb2.RegisterArrivalResponse(
            referral=convert.changed_message(changed, self._service.today(), shown=bool(decision)), decision=decision
        )


class AppointmentServicer(appointment_service_pb2_grpc.AppointmentServiceServicer):
    """`lienthong.referrals.v1.AppointmentService`."""

    def __init__(self, service: ReferralService) -> None:
        self._service = service

    async def GetAppointment(
        self, request: appointment_service_pb2.GetAppointmentRequest, context: RpcContext
    ) -> appointment_service_pb2.GetAppointmentResponse:
        """An appointment."""
        found, decision = await self._service.appointment(
            current_call(), convert.resource_id(request.name, "appointments", "name")
        )
        return appointment_service_pb2.GetAppointmentResponse(
            appointment=convert.appointment_message(found), decision=decision
        )

    async def ListAppointments(
        self, request: appointment_service_pb2.ListAppointmentsRequest, context: RpcContext
    ) -> appointment_service_pb2.ListAppointmentsResponse:
        """The caller's appointments."""
        call = current_call()
        start = convert.date_in(request.start_date, "start_date") if request.HasField("start_date") else None
        end = convert.date_in(request.end_date, "end_date") if request.HasField("end_date") else None
        person = convert.resource_id(request.person, "persons", "person") if request.person else None
        bound = f"{call.principal.subject}|{start}|{end}|{person}"
        limit = page_limit(request.page_size)
        last = decode_token(request.page_token, bound)
        after = (date.fromisoformat(last[0]), UUID(last[1])) if last else None
        found = await self._service.appointments(call, start, end, after, limit, person)
        edge = found.end
        return appointment_service_pb2.ListAppointmentsResponse(
            appointments=[convert.appointment_message(one) for one in found.shown],
            next_page_token=encode_token((edge.day.isoformat(), str(edge.id)), bound) if edge else "",
            decisions=found.decisions,
            withheld_count=found.withheld,
        )


class SlipImportServicer(slip_import_service_pb2_grpc.SlipImportServiceServicer):
    """`lienthong.referrals.v1.SlipImportService`."""

    def __init__(
        self, service: ReferralService, clock: Clock, holidays: frozenset[date], new_id: Callable[[], UUID]
    ) -> None:
        self._service = service
        self._clock = clock
        self._holidays = holidays
        self._new_id = new_id

    async def ImportSlips(
        self, request: slip_import_service_pb2.ImportSlipsRequest, context: RpcContext
    ) -> slip_import_service_pb2.ImportSlipsResponse:
        """Imports papers."""
        slips = convert.slips_in(request, self._clock(), self._holidays, self._new_id)
        return slip_import_service_pb2.ImportSlipsResponse(imported_count=await self._service.import_slips(slips))
