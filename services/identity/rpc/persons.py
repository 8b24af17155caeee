"""`lienthong.identity.v1.PersonService`."""

from __future__ import annotations

from lienthong.identity.v1 import person_service_pb2

from services.chassis.call import current_call
from services.chassis.server import RpcContext
from services.identity.convert import persons, scalars
from services.identity.rpc.answers import count_outcomes, digest
from services.identity.rpc.feed import FeedMethods
from services.identity.rpc.matching import MatchMethods
from services.identity.rpc.provisional import ProvisionalMethods
from services.identity.service import (
    FeedService,
    Gate,
    IdentificationService,
    MatchingService,
    NewbornService,
    PersonService,
    ProvisionalService,
    ReviewService,
    UpdateService,
)
from services.identity.service.gate import asked_about, own_registration
from services.identity.telemetry import Instruments


class PersonServicer(FeedMethods, MatchMethods, ProvisionalMethods):
    """`lienthong.identity.v1.PersonService`."""

    def __init__(
        self,
        service: PersonService,
        provisional: ProvisionalService,
        newborns: NewbornService,
        updates: UpdateService,
        identification: IdentificationService,
        feed: FeedService,
        matching: MatchingService,
        desk: ReviewService,
        gate: Gate,
        instruments: Instruments,
    ) -> None:
        super().__init__(provisional, newborns, updates, identification, gate, instruments)
        self._service = service
        self._feed = feed
        self._matching = matching
        self._desk = desk

    async def ResolvePersons(
        self, request: person_service_pb2.ResolvePersonsRequest, context: RpcContext
    ) -> person_service_pb2.ResolvePersonsResponse:
        """Finds persons by identifiers, cross-checked, or by demographics."""
        scalars.count(request.queries, persons.MAX_QUERIES, "queries")
        queries = [persons.query_in(query, f"queries[{at}]") for at, query in enumerate(request.queries)]
        found = await self._service.resolve(current_call().principal, queries)
        count_outcomes(self._instruments.resolutions, (one.outcome.value for one in found))
        return person_service_pb2.ResolvePersonsResponse(resolutions=[persons.resolution_message(one) for one in found])

    async def RegisterPerson(
        self, request: person_service_pb2.RegisterPersonRequest, context: RpcContext
    ) -> person_service_pb2.RegisterPersonResponse:
        """Registers a person, or finds the one that has the identifiers."""
        person, created = await self._service.register(
            current_call().principal,
            scalars.identifiers_in(request.identifiers, "identifiers"),
            scalars.demographics_in(request.demographics, "demographics"),
            scalars.assurance_in(request.assurance),
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        count_outcomes(self._instruments.registrations, ["created" if created else "known"])
        return person_service_pb2.RegisterPersonResponse(person=persons.person_message(person), created=created)

    async def GetPerson(
        self, request: person_service_pb2.GetPersonRequest, context: RpcContext
    ) -> person_service_pb2.GetPersonResponse:
        """Returns one person."""
        id = scalars.resource_id(request.name, "persons", "name")
        principal = current_call().principal
        found = await self._service.answering(principal, id)
        entries = {id, found.person.id, *found.superseded}
        evidence = own_registration(principal, id) or await self._desk.interest(principal, entries)
        decision = await self._gate.person(
            principal, "PersonService/GetPerson", asked_about(principal, found), evidence
        )
        return person_service_pb2.GetPersonResponse(person=persons.golden_message(found), decision=decision)
