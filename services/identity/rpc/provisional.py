"""Provisional persons and newborns: their part of `lienthong.identity.v1.PersonService`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.identity.v1 import person_service_pb2, person_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.identity.convert import persons, provisional, scalars
from services.identity.rpc.answers import count_outcomes, digest
from services.identity.service import Gate, IdentificationService, NewbornService, ProvisionalService, UpdateService
from services.identity.service.actors import AT_FACILITY
from services.identity.service.gate import own_registration
from services.identity.telemetry import Instruments


class ProvisionalMethods(person_service_pb2_grpc.PersonServiceServicer):
    """Methods around persons whose identity is not confirmed."""

    def __init__(
        self,
        provisional: ProvisionalService,
        newborns: NewbornService,
        updates: UpdateService,
        identification: IdentificationService,
        gate: Gate,
        instruments: Instruments,
    ) -> None:
        self._provisional = provisional
        self._newborns = newborns
        self._updates = updates
        self._identification = identification
        self._gate = gate
        self._instruments = instruments

    async def RegisterProvisionalPerson(
        self, request: person_service_pb2.RegisterProvisionalPersonRequest, context: RpcContext
    ) -> person_service_pb2.RegisterProvisionalPersonResponse:
        """Registers somebody whose identity is not confirmed."""
        person, number = await self._provisional.register(
            current_call().principal,
            provisional.arrival_in(request),
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        count_outcomes(self._instruments.registrations, ["provisional"])
        return person_service_pb2.RegisterProvisionalPersonResponse(
            person=persons.person_message(person), temporary_identifier=number
        )

    async def RegisterNewborn(
        self, request: person_service_pb2.RegisterNewbornRequest, context: RpcContext
    ) -> person_service_pb2.RegisterNewbornResponse:
        """Registers a newborn by mother and order of birth."""
        person, number = await self._newborns.register(
            current_call().principal,
            provisional.birth_in(request),
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        count_outcomes(self._instruments.registrations, ["newborn"])
        return person_service_pb2.RegisterNewbornResponse(
            person=persons.person_message(person), temporary_identifier=number
        )

    async def ListProvisionalPersons(
        self, request: person_service_pb2.ListProvisionalPersonsRequest, context: RpcContext
    ) -> person_service_pb2.ListProvisionalPersonsResponse:
        """A page of the work list."""
        limit = page_limit(request.page_size)
        bound = f"ListProvisionalPersons|{request.organization}|{request.min_age_hours}|{request.notice_due}"
        last = decode_token(request.page_token, bound)
        after = (datetime.fromisoformat(last[0]), UUID(last[1])) if last else None
        principal = current_call().principal
        found = await self._provisional.list(principal, provisional.wanted_in(request), after, limit + 1)
        end = found[limit - 1] if len(found) > limit else None
        page = found[:limit]
        if principal.kind not in AT_FACILITY:
            # How long entries wait, and where; nothing that describes who they are.
            return person_service_pb2.ListProvisionalPersonsResponse(
                items=[provisional.waiting_message(one) for one in page],
                next_page_token=encode_token((end.came.arrival_at.isoformat(), str(end.person.id)), bound)
                if end
                else "",
            )
        rulings = await self._gate.rulings(
            principal,
            "PersonService/ListProvisionalPersons",
            [(one.person.id, own_registration(principal, one.person.id)) for one in page],
        )
        shown = [(one, ruling.decision) for one, ruling in zip(page, rulings, strict=True) if ruling.permitted]
        return person_service_pb2.ListProvisionalPersonsResponse(
            items=[provisional.line_message(one) for one, _ in shown],
            decisions=[decision for _, decision in shown],
            withheld_count=len(page) - len(shown),
            next_page_token=encode_token((end.came.arrival_at.isoformat(), str(end.person.id)), bound) if end else "",
        )

    async def RecordAuthorityNotice(
        self, request: person_service_pb2.RecordAuthorityNoticeRequest, context: RpcContext
    ) -> person_service_pb2.RecordAuthorityNoticeResponse:
        """Keeps when the authority of the commune was told."""
        line = await self._provisional.note_notice(
            current_call().principal,
            scalars.resource_id(request.name, "persons", "name"),
            scalars.time_in(request.notice_time, "notice_time") if request.HasField("notice_time") else None,
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        return person_service_pb2.RecordAuthorityNoticeResponse(item=provisional.line_message(line))

    async def UpdatePerson(
        self, request: person_service_pb2.UpdatePersonRequest, context: RpcContext
    ) -> person_service_pb2.UpdatePersonResponse:
        """Adds what has become known of a person."""
        person = await self._updates.update(
            current_call().principal,
            provisional.update_in(request),
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        return person_service_pb2.UpdatePersonResponse(person=persons.person_message(person))

    async def IdentifyProvisionalPerson(
        self, request: person_service_pb2.IdentifyProvisionalPersonRequest, context: RpcContext
    ) -> person_service_pb2.IdentifyProvisionalPersonResponse:
        """Says who a provisional person is."""
        identified = await self._identification.identify(
            current_call().principal,
            provisional.identification_in(request),
            scalars.request_uuid(request.request_id),
            digest(request),
        )
        outcome = "linked" if identified.link else "review" if identified.task else "confirmed"
        count_outcomes(self._instruments.identifications, [outcome])
        return provisional.identified_message(identified)
