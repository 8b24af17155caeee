"""The servicers of the identity role: convert, call one operation, convert back."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from google.protobuf.message import Message
from lienthong.identity.v1 import (
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_service_pb2,
    person_service_pb2_grpc,
    practitioner_service_pb2,
    practitioner_service_pb2_grpc,
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)
from opentelemetry.metrics import Counter as Instrument

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.identity import convert
from services.identity.service import FilingService, OrganizationService, PersonService, PractitionerService
from services.identity.telemetry import ATTRIBUTE_OUTCOME, Instruments


def _digest(request: Message) -> bytes:
    """Tells whether a request id comes with the same request again."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()


def _count(instrument: Instrument, outcomes: Iterable[str]) -> None:
    for outcome, number in Counter(outcomes).items():
        instrument.add(number, {ATTRIBUTE_OUTCOME: outcome})


class PersonServicer(person_service_pb2_grpc.PersonServiceServicer):
    """`lienthong.identity.v1.PersonService`."""

    def __init__(self, service: PersonService, instruments: Instruments) -> None:
        self._service = service
        self._instruments = instruments

    async def ResolvePersons(
        self, request: person_service_pb2.ResolvePersonsRequest, context: RpcContext
    ) -> person_service_pb2.ResolvePersonsResponse:
        """Finds persons by identifiers, cross-checked."""
        convert.count(request.queries, convert.MAX_QUERIES, "queries")
        queries = [convert.query_in(query, f"queries[{at}]") for at, query in enumerate(request.queries)]
        found = await self._service.resolve(current_call().principal, queries)
        _count(self._instruments.resolutions, (one.outcome.value for one in found))
        return person_service_pb2.ResolvePersonsResponse(resolutions=[convert.resolution_message(one) for one in found])

    async def RegisterPerson(
        self, request: person_service_pb2.RegisterPersonRequest, context: RpcContext
    ) -> person_service_pb2.RegisterPersonResponse:
        """Registers a person, or finds the one that has the identifiers."""
        person, created = await self._service.register(
            current_call().principal,
            convert.identifiers_in(request.identifiers, "identifiers"),
            convert.demographics_in(request.demographics, "demographics"),
            convert.assurance_in(request.assurance),
            convert.request_uuid(request.request_id),
            _digest(request),
        )
        _count(self._instruments.registrations, ["created" if created else "known"])
        return person_service_pb2.RegisterPersonResponse(person=convert.person_message(person), created=created)

    async def RegisterProvisionalPerson(
        self, request: person_service_pb2.RegisterProvisionalPersonRequest, context: RpcContext
    ) -> person_service_pb2.RegisterProvisionalPersonResponse:
        """Registers somebody whose identity is not confirmed."""
        person, number = await self._service.register_provisional(
            current_call().principal,
            request.temporary_identifier,
            convert.sex_in(request.sex, "sex"),
            request.estimated_age if request.HasField("estimated_age") else None,
            convert.demographics_in(request.claimed, "claimed"),
            request.local_mrn,
            convert.request_uuid(request.request_id),
            _digest(request),
        )
        _count(self._instruments.registrations, ["provisional"])
        return person_service_pb2.RegisterProvisionalPersonResponse(
            person=convert.person_message(person), temporary_identifier=number
        )

    async def GetPerson(
        self, request: person_service_pb2.GetPersonRequest, context: RpcContext
    ) -> person_service_pb2.GetPersonResponse:
        """Returns one person."""
        id = convert.resource_id(request.name, "persons", "name")
        person = await self._service.get(current_call().principal, id)
        return person_service_pb2.GetPersonResponse(person=convert.person_message(person))


class SourceRecordServicer(source_record_service_pb2_grpc.SourceRecordServiceServicer):
    """`lienthong.identity.v1.SourceRecordService`."""

    def __init__(self, service: FilingService, instruments: Instruments) -> None:
        self._service = service
        self._instruments = instruments

    async def FileSourceRecords(
        self, request: source_record_service_pb2.FileSourceRecordsRequest, context: RpcContext
    ) -> source_record_service_pb2.FileSourceRecordsResponse:
        """Files what documents say."""
        convert.count(request.records, convert.MAX_RECORDS, "records")
        records = [convert.source_record_in(record) for record in request.records]
        filings = await self._service.file(current_call().principal, records)
        _count(self._instruments.filings, (one.outcome.value for one in filings))
        return source_record_service_pb2.FileSourceRecordsResponse(
            filings=[convert.filing_message(one) for one in filings]
        )


class OrganizationServicer(organization_service_pb2_grpc.OrganizationServiceServicer):
    """`lienthong.identity.v1.OrganizationService`."""

    def __init__(self, service: OrganizationService) -> None:
        self._service = service

    async def CreateOrganization(
        self, request: organization_service_pb2.CreateOrganizationRequest, context: RpcContext
    ) -> organization_service_pb2.CreateOrganizationResponse:
        """Registers a facility."""
        created = await self._service.create(
            current_call().principal,
            convert.organization_in(request.organization),
            convert.request_uuid(request.request_id),
            _digest(request),
        )
        return organization_service_pb2.CreateOrganizationResponse(organization=convert.organization_message(created))

    async def GetOrganization(
        self, request: organization_service_pb2.GetOrganizationRequest, context: RpcContext
    ) -> organization_service_pb2.GetOrganizationResponse:
        """Returns a facility."""
        found = await self._service.get(convert.organization_code(request.name, "name"))
        return organization_service_pb2.GetOrganizationResponse(organization=convert.organization_message(found))

    async def ListOrganizations(
        self, request: organization_service_pb2.ListOrganizationsRequest, context: RpcContext
    ) -> organization_service_pb2.ListOrganizationsResponse:
        """Lists facilities by code."""
        limit = page_limit(request.page_size)
        bound = f"ListOrganizations|{request.care_level}"
        last = decode_token(request.page_token, bound)
        level = convert.page_level(request.care_level)
        found = await self._service.list(last[0] if last else "", level, limit + 1)
        return organization_service_pb2.ListOrganizationsResponse(
            organizations=[convert.organization_message(one) for one in found[:limit]],
            next_page_token=encode_token((found[limit - 1].code,), bound) if len(found) > limit else "",
        )

    async def SuspendOrganization(
        self, request: organization_service_pb2.SuspendOrganizationRequest, context: RpcContext
    ) -> organization_service_pb2.SuspendOrganizationResponse:
        """Suspends a facility."""
        suspended = await self._service.suspend(
            current_call().principal,
            convert.organization_code(request.name, "name"),
            request.etag,
            convert.request_uuid(request.request_id),
            _digest(request),
        )
        return organization_service_pb2.SuspendOrganizationResponse(
            organization=convert.organization_message(suspended)
        )


class PractitionerServicer(practitioner_service_pb2_grpc.PractitionerServiceServicer):
    """`lienthong.identity.v1.PractitionerService`."""

    def __init__(self, service: PractitionerService) -> None:
        self._service = service

    async def CreatePractitioner(
        self, request: practitioner_service_pb2.CreatePractitionerRequest, context: RpcContext
    ) -> practitioner_service_pb2.CreatePractitionerResponse:
        """Registers a practitioner."""
        created = await self._service.create(
            current_call().principal,
            convert.practitioner_in(request.practitioner),
            convert.request_uuid(request.request_id),
            _digest(request),
        )
        return practitioner_service_pb2.CreatePractitionerResponse(practitioner=convert.practitioner_message(created))

    async def GetPractitioner(
        self, request: practitioner_service_pb2.GetPractitionerRequest, context: RpcContext
    ) -> practitioner_service_pb2.GetPractitionerResponse:
        """Returns a practitioner."""
        id = convert.resource_id(request.name, "practitioners", "name")
        found = await self._service.get(current_call().principal, id)
        return practitioner_service_pb2.GetPractitionerResponse(practitioner=convert.practitioner_message(found))

    async def ListPractitioners(
        self, request: practitioner_service_pb2.ListPractitionersRequest, context: RpcContext
    ) -> practitioner_service_pb2.ListPractitionersResponse:
        """Lists the practitioners of a facility."""
        organization = convert.organization_code(request.organization, "organization")
        limit = page_limit(request.page_size)
        bound = f"ListPractitioners|{organization}"
        last = decode_token(request.page_token, bound)
        after = UUID(last[0]) if last else None
        found = await self._service.list(current_call().principal, organization, after, limit + 1)
        return practitioner_service_pb2.ListPractitionersResponse(
            practitioners=[convert.practitioner_message(one) for one in found[:limit]],
            next_page_token=encode_token((str(found[limit - 1].id),), bound) if len(found) > limit else "",
        )
