"""`lienthong.identity.v1.CheckInService`."""

from __future__ import annotations

from lienthong.identity.v1 import check_in_service_pb2, check_in_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.server import RpcContext
from services.identity.convert import check_in, persons
from services.identity.model import invalid
from services.identity.rpc.answers import count_outcomes
from services.identity.service.check_in import CheckInService, read_card
from services.identity.telemetry import Instruments


class CheckInServicer(check_in_service_pb2_grpc.CheckInServiceServicer):
    """`lienthong.identity.v1.CheckInService`."""

    def __init__(self, service: CheckInService, instruments: Instruments) -> None:
        self._service = service
        self._instruments = instruments

    async def CheckIn(
        self, request: check_in_service_pb2.CheckInRequest, context: RpcContext
    ) -> check_in_service_pb2.CheckInResponse:
        """Checks somebody in."""
        principal = current_call().principal
        match request.WhichOneof("shown"):
            case "code":
                answer = await self._service.by_code(principal, request.code)
            case "app_assertion":
                answer = await self._service.by_assertion(principal, request.app_assertion)
            case "query":
                answer = await self._service.by_query(principal, persons.query_in(request.query, "query"))
            case _:
                raise invalid("shown", "one of code, app_assertion and query", "REQUIRED")
        count_outcomes(self._instruments.resolutions, [answer.resolution.outcome.value])
        return check_in.checked_in_message(answer)

    async def ParseCardCode(
        self, request: check_in_service_pb2.ParseCardCodeRequest, context: RpcContext
    ) -> check_in_service_pb2.ParseCardCodeResponse:
        """Reads a card's code."""
        return check_in_service_pb2.ParseCardCodeResponse(card_code=check_in.card_message(read_card(request.code)))
