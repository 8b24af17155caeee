"""Looking for somebody: its part of `lienthong.identity.v1.PersonService`."""

from __future__ import annotations

from lienthong.identity.v1 import person_service_pb2, person_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.server import RpcContext
from services.identity.convert import persons, scalars
from services.identity.service import MatchingService
from services.identity.telemetry import ATTRIBUTE_FACILITY, Instruments


class MatchMethods(person_service_pb2_grpc.PersonServiceServicer):
    """The one method that looks for people; counted per facility."""

    _matching: MatchingService
    _instruments: Instruments

    async def MatchPersons(
        self, request: person_service_pb2.MatchPersonsRequest, context: RpcContext
    ) -> person_service_pb2.MatchPersonsResponse:
        """Returns graded candidates."""
        scalars.count(request.queries, persons.MAX_MATCH_QUERIES, "queries")
        most = persons.max_candidates_in(request.max_candidates)
        queries = [persons.query_in(query, f"queries[{at}]") for at, query in enumerate(request.queries)]
        principal = current_call().principal
        self._instruments.matches.add(len(queries), {ATTRIBUTE_FACILITY: principal.facility or principal.kind.value})
        found = await self._matching.match(principal, queries, most)
        return person_service_pb2.MatchPersonsResponse(answers=[persons.answer_message(one) for one in found])
