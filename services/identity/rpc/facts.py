"""`lienthong.identity.v1.PersonFactService`."""

from __future__ import annotations

from lienthong.identity.v1 import person_fact_service_pb2, person_fact_service_pb2_grpc

from services.chassis.server import RpcContext
from services.identity.convert.facts import facts_message
from services.identity.convert.scalars import resource_id
from services.identity.service import PersonService


class PersonFactServicer(person_fact_service_pb2_grpc.PersonFactServiceServicer):
    """Internal: what the consent role needs to know of a person to ask them."""

    def __init__(self, persons: PersonService) -> None:
        self._persons = persons

    async def GetPersonFacts(
        self, request: person_fact_service_pb2.GetPersonFactsRequest, context: RpcContext
    ) -> person_fact_service_pb2.GetPersonFactsResponse:
        """The facts of one person, by the golden record."""
        found = await self._persons.known(resource_id(request.person, "persons", "person"))
        return facts_message(found, with_phone=request.with_phone)
