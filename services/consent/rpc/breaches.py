"""`lienthong.consent.v1.BreachService`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import breach_service_pb2, breach_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.identifiers import uuid_from_request
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent.breaches import Breach
from services.consent.convert import breaches as convert
from services.consent.convert import scalars
from services.consent.service.breaches import BreachService

pb = breach_service_pb2
_LONGEST_ACTOR = 200


class BreachServicer(breach_service_pb2_grpc.BreachServiceServicer):
    """`lienthong.consent.v1.BreachService`."""

    def __init__(self, service: BreachService, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    async def RegisterBreach(self, request: pb.RegisterBreachRequest, context: RpcContext) -> pb.RegisterBreachResponse:
        """Registers a breach."""
        new = convert.breach_in(request.breach, _made("RegisterBreach", request.request_id), self._clock())
        return pb.RegisterBreachResponse(breach=self._message(await self._service.register(new, _actor())))

    async def AddBreachEvent(self, request: pb.AddBreachEventRequest, context: RpcContext) -> pb.AddBreachEventResponse:
        """Adds a step."""
        id = _id(request.name)
        made = _made(f"{id}|AddBreachEvent", request.request_id)
        event = convert.event_in(request.event, made, self._clock(), _actor())
        return pb.AddBreachEventResponse(breach=self._message(await self._service.add_event(id, event)))

    async def AddBreachPersons(
        self, request: pb.AddBreachPersonsRequest, context: RpcContext
    ) -> pb.AddBreachPersonsResponse:
        """Adds persons concerned."""
        id = _id(request.name)
        made = _made(f"{id}|AddBreachPersons", request.request_id)
        event = convert.persons_event(made, self._clock(), _actor())
        added = await self._service.add_persons(id, event, convert.persons_in(request.persons))
        return pb.AddBreachPersonsResponse(breach=self._message(added))

    async def GetBreach(self, request: pb.GetBreachRequest, context: RpcContext) -> pb.GetBreachResponse:
        """A breach."""
        return pb.GetBreachResponse(breach=self._message(await self._service.get(_id(request.name))))

    async def ListBreaches(self, request: pb.ListBreachesRequest, context: RpcContext) -> pb.ListBreachesResponse:
        """Breaches, what is due soonest first."""
        limit = page_limit(request.page_size)
        bound = f"ListBreaches|{request.open}"
        after = decode_token(request.page_token, bound)
        place = (datetime.fromisoformat(after[0]), UUID(after[1])) if after else None
        found = await self._service.list(request.open, place, limit + 1)
        end = found[limit - 1] if len(found) > limit else None
        token = encode_token((end.discovered_at.isoformat(), str(end.id)), bound) if end else ""
        return pb.ListBreachesResponse(
            breaches=[self._message(one, events=False) for one in found[:limit]], next_page_token=token
        )

    def _message(self, breach: Breach, *, events: bool = True) -> pb.Breach:
        service = self._service
        return convert.breach_message(
            breach,
            due_at=service.due_at(breach),
            retain_until=service.retain_until(breach),
            overdue=service.overdue(breach),
            events=events,
        )


def _id(name: str) -> UUID:
    return scalars.resource_id(name, "breaches", "name")


def _made(method: str, request_id: str) -> UUID:
    scope = f"{current_call().principal.subject}|{method}"
    return uuid_from_request(scope, scalars.uuid_of(request_id, "request_id"))


def _actor() -> str:
    return current_call().principal.subject[:_LONGEST_ACTOR]
