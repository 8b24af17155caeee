"""`lienthong.identity.v1.PopulationService`."""

from __future__ import annotations

from lienthong.identity.v1 import population_service_pb2, population_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.chassis.turns import in_turns
from services.identity.convert import population, scalars
from services.identity.model import invalid
from services.identity.population import RowFault
from services.identity.rpc.answers import digest
from services.identity.service.population import MAX_ENTRIES, PopulationService


class PopulationServicer(population_service_pb2_grpc.PopulationServiceServicer):
    """`lienthong.identity.v1.PopulationService`."""

    def __init__(self, service: PopulationService) -> None:
        self._service = service

    async def CreatePopulationLoad(
        self, request: population_service_pb2.CreatePopulationLoadRequest, context: RpcContext
    ) -> population_service_pb2.CreatePopulationLoadResponse:
        """Starts a load."""
        load = await self._service.create(
            current_call().principal, request.source, scalars.request_uuid(request.request_id), digest(request)
        )
        return population_service_pb2.CreatePopulationLoadResponse(load=population.load_message(load))

    async def LoadPopulationPart(
        self, request: population_service_pb2.LoadPopulationPartRequest, context: RpcContext
    ) -> population_service_pb2.LoadPopulationPartResponse:
        """Loads one part."""
        scalars.count(request.entries, MAX_ENTRIES, "entries")
        if request.part < 0:
            raise invalid("part", "from 0", "PART_INVALID")
        load = await self._service.load(
            current_call().principal,
            population.source_in(request.name),
            request.part,
            [population.entry_in(one) async for one in in_turns(request.entries)],
            digest(request),
        )
        return population_service_pb2.LoadPopulationPartResponse(load=population.load_message(load))

    async def GetPopulationLoad(
        self, request: population_service_pb2.GetPopulationLoadRequest, context: RpcContext
    ) -> population_service_pb2.GetPopulationLoadResponse:
        """Returns progress."""
        load = await self._service.get(population.source_in(request.name))
        return population_service_pb2.GetPopulationLoadResponse(load=population.load_message(load))

    async def ListPopulationLoadErrors(
        self, request: population_service_pb2.ListPopulationLoadErrorsRequest, context: RpcContext
    ) -> population_service_pb2.ListPopulationLoadErrorsResponse:
        """Lists bad rows."""
        source, limit = population.source_in(request.name), page_limit(request.page_size)
        bound = f"ListPopulationLoadErrors|{source}"
        last = decode_token(request.page_token, bound)
        after = RowFault(int(last[0]), last[1], last[2]) if last else None
        found = await self._service.faults(source, after, limit + 1)
        end = found[limit - 1] if len(found) > limit else None
        return population_service_pb2.ListPopulationLoadErrorsResponse(
            errors=[population.fault_message(one) for one in found[:limit]],
            next_page_token=encode_token((str(end.row), end.field, end.reason), bound) if end else "",
        )
