"""Stewards, each under a name of their own, and what they call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import grpc
from google.rpc import error_details_pb2
from lienthong.identity.v1 import (
    person_link_pb2,
    person_link_service_pb2,
    person_link_service_pb2_grpc,
    person_pb2,
    person_service_pb2,
    person_service_pb2_grpc,
)

from services.chassis.principal import PrincipalKind
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import NAME, registration
from tests.integration.identity.test_persons import TIMEOUT, details

REGISTRY = person_pb2.IDENTIFIER_ASSURANCE_REGISTRY


@dataclass(frozen=True)
class Steward:
    """One steward's stubs."""

    links: person_link_service_pb2_grpc.PersonLinkServiceStub
    persons: person_service_pb2_grpc.PersonServiceStub

    async def register(self, number: str, name: str = NAME, *, verified: bool = False) -> str:
        """A person with a citizen number."""
        request = registration(number, name)
        if verified:
            request.assurance = REGISTRY
        return str((await self.persons.RegisterPerson(request, timeout=TIMEOUT)).person.name)

    async def person(self, name: str) -> person_service_pb2.GetPersonResponse:
        """Who answers for an entry."""
        request = person_service_pb2.GetPersonRequest(name=name)
        answer: person_service_pb2.GetPersonResponse = await self.persons.GetPerson(request, timeout=TIMEOUT)
        return answer

    async def link(self, person: str, target: str, *, override: bool = False) -> person_link_pb2.PersonLink:
        """Links, or proposes to."""
        request = link_request(person, target)
        request.override_refusal = override
        return (await self.links.LinkPersons(request, timeout=TIMEOUT)).link

    async def unlink(self, name: str, etag: str = "") -> person_link_service_pb2.UnlinkPersonsResponse:
        """Takes back, or declines."""
        request = person_link_service_pb2.UnlinkPersonsRequest(
            request_id=str(uuid4()), name=name, etag=etag, reason="DIFFERENT_PERSONS"
        )
        answer: person_link_service_pb2.UnlinkPersonsResponse = await self.links.UnlinkPersons(request, timeout=TIMEOUT)
        return answer

    async def refuse(self, person: str, other: str, *, withdraw: bool = False) -> person_link_pb2.LinkEvent:
        """Refuses, or takes a refusal back."""
        request = person_link_service_pb2.RefuseLinkRequest(
            request_id=str(uuid4()), person=person, other_person=other, reason="TWINS", withdraw=withdraw
        )
        return (await self.links.RefuseLink(request, timeout=TIMEOUT)).event

    async def events(self, person: str) -> list[person_link_pb2.LinkEvent]:
        """The history, two at a time."""
        request = person_link_service_pb2.ListLinkEventsRequest(person=person, page_size=2)
        found: list[person_link_pb2.LinkEvent] = []
        while True:
            page = await self.links.ListLinkEvents(request, timeout=TIMEOUT)
            found += page.events
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found


async def own(identity: Running, name: str) -> person_pb2.Person:
    """An entry as the person sees it, who has no need of a task or a link."""
    async with identity.as_citizen(name) as channel:
        request = person_service_pb2.GetPersonRequest(name=name)
        return (await person_service_pb2_grpc.PersonServiceStub(channel).GetPerson(request, timeout=TIMEOUT)).person


def link_request(person: str, target: str) -> person_link_service_pb2.LinkPersonsRequest:
    """A wish of its own."""
    return person_link_service_pb2.LinkPersonsRequest(
        request_id=str(uuid4()), person=person, target=target, reason="SAME_PERSON"
    )


def steward(identity: Running, name: str = "steward-1") -> AbstractAsyncContextManager[Steward]:
    """A steward under this name, through the gateway."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Steward]:
        made = identity.identities
        metadata = made.metadata(made.issuer.mint(PrincipalKind.STEWARD, name))
        async with made.channel(identity.address, identity.role, "gateway", metadata) as channel:
            yield Steward(
                person_link_service_pb2_grpc.PersonLinkServiceStub(channel),
                person_service_pb2_grpc.PersonServiceStub(channel),
            )

    return opened()


def wrong_fields(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Every wrong field with its reason."""
    wrong = error_details_pb2.BadRequest()
    assert any(detail.Unpack(wrong) for detail in details(error).details)
    return {one.field: one.reason for one in wrong.field_violations}
