"""Links: their part of `lienthong.identity.v1.PersonLinkService`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from lienthong.identity.v1 import person_link_service_pb2, person_link_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.identity.convert import links, persons
from services.identity.convert.scalars import request_uuid, resource_id, time_in
from services.identity.desk import Place
from services.identity.rpc.answers import count_outcomes, digest
from services.identity.service import Gate, HistoryService, LinkService, ReviewService
from services.identity.telemetry import Instruments


class LinkMethods(person_link_service_pb2_grpc.PersonLinkServiceServicer):
    """Methods around links and their history."""

    def __init__(
        self,
        service: LinkService,
        histories: HistoryService,
        desk: ReviewService,
        gate: Gate,
        instruments: Instruments,
    ) -> None:
        self._links = service
        self._histories = histories
        self._desk = desk
        self._gate = gate
        self._instruments = instruments

    async def LinkPersons(
        self, request: person_link_service_pb2.LinkPersonsRequest, context: RpcContext
    ) -> person_link_service_pb2.LinkPersonsResponse:
        """Links two entries, or proposes to."""
        wish, id = links.wish_in(request)
        link = await self._links.link_persons(current_call().principal, wish, id, digest(request))
        count_outcomes(self._instruments.links, [link.state.value])
        return person_link_service_pb2.LinkPersonsResponse(link=links.link_message(link))

    async def UnlinkPersons(
        self, request: person_link_service_pb2.UnlinkPersonsRequest, context: RpcContext
    ) -> person_link_service_pb2.UnlinkPersonsResponse:
        """Takes a link back, or declines a proposal."""
        found = links.gathered(
            id=lambda: resource_id(request.name, "personLinks", "name"),
            reason=lambda: links.reason_in(request.reason),
            request_id=lambda: request_uuid(request.request_id),
        )
        link, tasks = await self._links.unlink_persons(
            current_call().principal, etag=request.etag, digest=digest(request), **found
        )
        count_outcomes(self._instruments.links, [link.state.value])
        return person_link_service_pb2.UnlinkPersonsResponse(
            link=links.link_message(link), review_tasks=[f"reviewTasks/{task}" for task in tasks]
        )

    async def RefuseLink(
        self, request: person_link_service_pb2.RefuseLinkRequest, context: RpcContext
    ) -> person_link_service_pb2.RefuseLinkResponse:
        """Remembers that two entries are different persons, or takes that back."""
        found = links.gathered(
            person=lambda: links.person_id(request.person, "person"),
            other=lambda: links.person_id(request.other_person, "other_person"),
            reason=lambda: links.reason_in(request.reason),
            request_id=lambda: request_uuid(request.request_id),
        )
        event = await self._links.refuse(
            current_call().principal, withdraw=request.withdraw, digest=digest(request), **found
        )
        count_outcomes(self._instruments.links, [event.kind.value])
        return person_link_service_pb2.RefuseLinkResponse(event=links.event_message(event))

    async def MoveSourceRecord(
        self, request: person_link_service_pb2.MoveSourceRecordRequest, context: RpcContext
    ) -> person_link_service_pb2.MoveSourceRecordResponse:
        """Files a source record under another entry."""
        found = links.gathered(
            id=lambda: resource_id(request.name, "sourceRecords", "name"),
            target=lambda: links.person_id(request.target, "target"),
            reason=lambda: links.reason_in(request.reason),
            request_id=lambda: request_uuid(request.request_id),
        )
        record = await self._links.move_source_record(current_call().principal, digest=digest(request), **found)
        return person_link_service_pb2.MoveSourceRecordResponse(source_record=links.record_message(record))

    async def ListSourceRecords(
        self, request: person_link_service_pb2.ListSourceRecordsRequest, context: RpcContext
    ) -> person_link_service_pb2.ListSourceRecordsResponse:
        """A page of the source records of an entry."""
        limit, after = page_limit(request.page_size), place_in(request.page_token, request.person)
        found = await self._histories.filed_under(links.person_id(request.person, "person"), after, limit + 1)
        return person_link_service_pb2.ListSourceRecordsResponse(
            source_records=[links.record_message(one) for one in found[:limit]],
            next_page_token=next_token([(one.at, one.id) for one in found], limit, request.person),
        )

    async def GetPersonLink(
        self, request: person_link_service_pb2.GetPersonLinkRequest, context: RpcContext
    ) -> person_link_service_pb2.GetPersonLinkResponse:
        """Returns a link."""
        link = await self._histories.link(resource_id(request.name, "personLinks", "name"))
        return person_link_service_pb2.GetPersonLinkResponse(link=links.link_message(link))

    async def ListLinkEvents(
        self, request: person_link_service_pb2.ListLinkEventsRequest, context: RpcContext
    ) -> person_link_service_pb2.ListLinkEventsResponse:
        """A page of the history of links."""
        limit, after = page_limit(request.page_size), place_in(request.page_token, request.person)
        found = await self._histories.events(links.person_id(request.person, "person"), after, limit + 1)
        return person_link_service_pb2.ListLinkEventsResponse(
            events=[links.event_message(one) for one in found[:limit]],
            next_page_token=next_token([(one.at, one.id) for one in found], limit, request.person),
        )

    async def ListLinkConsequences(
        self, request: person_link_service_pb2.ListLinkConsequencesRequest, context: RpcContext
    ) -> person_link_service_pb2.ListLinkConsequencesResponse:
        """A page of the readings that a link made possible."""
        limit, after = page_limit(request.page_size), place_in(request.page_token, request.name)
        found = await self._histories.consequences(resource_id(request.name, "personLinks", "name"), after, limit + 1)
        return person_link_service_pb2.ListLinkConsequencesResponse(
            consequences=[links.consequence_message(one) for one in found[:limit]],
            next_page_token=next_token([(one.at, one.id) for one in found], limit, request.name),
        )

    async def GetPersonAsOf(
        self, request: person_link_service_pb2.GetPersonAsOfRequest, context: RpcContext
    ) -> person_link_service_pb2.GetPersonAsOfResponse:
        """A person as it was known at a time."""
        found = links.gathered(
            id=lambda: links.person_id(request.name, "name"),
            at=lambda: time_in(request.as_of_time, "as_of_time"),
        )
        principal = current_call().principal
        person = await self._histories.as_of(principal, **found)
        evidence = await self._desk.interest(principal, {found["id"], person.person.id, *person.superseded})
        decision = await self._gate.person(principal, "PersonLinkService/GetPersonAsOf", person.person.id, evidence)
        return person_link_service_pb2.GetPersonAsOfResponse(person=persons.golden_message(person), decision=decision)


def place_in(token: str, bound_to: str) -> Place | None:
    """Where to go on; None for the beginning."""
    last = decode_token(token, bound_to)
    return (datetime.fromisoformat(last[0]), UUID(last[1])) if last else None


def next_token(places: Sequence[Place], limit: int, bound_to: str) -> str:
    """The token of the next page, when there is more than this one holds."""
    if len(places) <= limit:
        return ""
    at, id = places[limit - 1]
    return encode_token((at.isoformat(), str(id)), bound_to)
