"""The servicers of the consent role: convert, call one operation, convert back."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import (
    access_ledger_service_pb2,
    access_ledger_service_pb2_grpc,
    consent_service_pb2,
    consent_service_pb2_grpc,
    decision_service_pb2,
    decision_service_pb2_grpc,
)

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.identifiers import uuid_from_request
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent import convert
from services.consent.service.consents import ConsentService
from services.consent.service.decisions import DecisionService

_PERSON = "person"


class ConsentServicer(consent_service_pb2_grpc.ConsentServiceServicer):
    """`lienthong.consent.v1.ConsentService`."""

    def __init__(self, service: ConsentService, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    async def RequestConsent(
        self, request: consent_service_pb2.RequestConsentRequest, context: RpcContext
    ) -> consent_service_pb2.RequestConsentResponse:
        """Asks a person for consent."""
        principal = current_call().principal
        asked = await self._service.request(
            principal,
            convert.resource_id(request.person, "persons", _PERSON),
            convert.terms_in(request.terms, "terms"),
            uuid_from_request(
                f"{principal.facility}|RequestConsent", convert.uuid_of(request.request_id, "request_id")
            ),
        )
        return consent_service_pb2.RequestConsentResponse(consent_request=convert.request_message(asked, self._clock()))

    async def GetConsentRequest(
        self, request: consent_service_pb2.GetConsentRequestRequest, context: RpcContext
    ) -> consent_service_pb2.GetConsentRequestResponse:
        """A request."""
        found = await self._service.get_request(
            current_call().principal, convert.resource_id(request.name, "consentRequests", "name")
        )
        return consent_service_pb2.GetConsentRequestResponse(
            consent_request=convert.request_message(found, self._clock())
        )

    async def ListConsentRequests(
        self, request: consent_service_pb2.ListConsentRequestsRequest, context: RpcContext
    ) -> consent_service_pb2.ListConsentRequestsResponse:
        """Requests put to a person."""
        person = convert.resource_id(request.person, "persons", _PERSON)
        limit = page_limit(request.page_size)
        before = decode_token(request.page_token, request.person)
        found = await self._service.list_requests(
            current_call().principal, person, convert.uuid_of(before[0], "page_token") if before else None, limit + 1
        )
        token = encode_token((str(found[limit - 1].id),), request.person) if len(found) > limit else ""
        return consent_service_pb2.ListConsentRequestsResponse(
            consent_requests=[convert.request_message(one, self._clock()) for one in found[:limit]],
            next_page_token=token,
        )

    async def GrantConsent(
        self, request: consent_service_pb2.GrantConsentRequest, context: RpcContext
    ) -> consent_service_pb2.GrantConsentResponse:
        """Grants consent."""
        principal = current_call().principal
        id = uuid_from_request(f"{principal.subject}|GrantConsent", convert.uuid_of(request.request_id, "request_id"))
        if bool(request.consent_request) == request.HasField("terms"):
            raise InvalidArgument.of(FieldViolation("terms", "exactly one of consent_request and terms", "EXACTLY_ONE"))
        if request.consent_request:
            asked = convert.resource_id(request.consent_request, "consentRequests", "consent_request")
            granted = await self._service.grant_request(principal, asked, id)
        else:
            granted = await self._service.grant_terms(principal, convert.terms_in(request.terms, "terms"), id)
        return consent_service_pb2.GrantConsentResponse(consent=convert.consent_message(granted, self._clock()))

    async def DenyConsent(
        self, request: consent_service_pb2.DenyConsentRequest, context: RpcContext
    ) -> consent_service_pb2.DenyConsentResponse:
        """Refuses a request."""
        asked = convert.resource_id(request.consent_request, "consentRequests", "consent_request")
        denied = await self._service.deny(current_call().principal, asked)
        return consent_service_pb2.DenyConsentResponse(consent_request=convert.request_message(denied, self._clock()))

    async def RevokeConsent(
        self, request: consent_service_pb2.RevokeConsentRequest, context: RpcContext
    ) -> consent_service_pb2.RevokeConsentResponse:
        """Withdraws a consent."""
        revoked = await self._service.revoke(
            current_call().principal, convert.resource_id(request.name, "consents", "name")
        )
        return consent_service_pb2.RevokeConsentResponse(consent=convert.consent_message(revoked, self._clock()))

    async def GetConsent(
        self, request: consent_service_pb2.GetConsentRequest, context: RpcContext
    ) -> consent_service_pb2.GetConsentResponse:
        """A consent."""
        found = await self._service.get(current_call().principal, convert.resource_id(request.name, "consents", "name"))
        return consent_service_pb2.GetConsentResponse(consent=convert.consent_message(found, self._clock()))

    async def ListConsents(
        self, request: consent_service_pb2.ListConsentsRequest, context: RpcContext
    ) -> consent_service_pb2.ListConsentsResponse:
        """A person's consents."""
        person = convert.resource_id(request.person, "persons", _PERSON)
        limit = page_limit(request.page_size)
        before = decode_token(request.page_token, request.person)
        found = await self._service.list(
            current_call().principal, person, convert.uuid_of(before[0], "page_token") if before else None, limit + 1
        )
        token = encode_token((str(found[limit - 1].id),), request.person) if len(found) > limit else ""
        return consent_service_pb2.ListConsentsResponse(
            consents=[convert.consent_message(one, self._clock()) for one in found[:limit]], next_page_token=token
        )


class DecisionServicer(decision_service_pb2_grpc.DecisionServiceServicer):
    """`lienthong.consent.v1.DecisionService`."""

    def __init__(self, service: DecisionService) -> None:
        self._service = service

    async def Decide(
        self, request: decision_service_pb2.DecideRequest, context: RpcContext
    ) -> decision_service_pb2.DecideResponse:
        """Decides a batch."""
        call = current_call()
        decisions = await self._service.decide(call.principal, convert.queries_in(request), call.trace_id)
        return decision_service_pb2.DecideResponse(decisions=[convert.decision_message(taken) for taken in decisions])


class ExplanationServicer(decision_service_pb2_grpc.ExplanationServiceServicer):
    """`lienthong.consent.v1.ExplanationService`."""

    def __init__(self, service: DecisionService) -> None:
        self._service = service

    async def ExplainDecision(
        self, request: decision_service_pb2.ExplainDecisionRequest, context: RpcContext
    ) -> decision_service_pb2.ExplainDecisionResponse:
        """A decision as it was given."""
        found = await self._service.explain(
            current_call().principal, convert.resource_id(request.name, "decisions", "name")
        )
        return decision_service_pb2.ExplainDecisionResponse(decision=convert.decision_message(found))


class AccessLedgerServicer(access_ledger_service_pb2_grpc.AccessLedgerServiceServicer):
    """`lienthong.consent.v1.AccessLedgerService`."""

    def __init__(self, service: DecisionService) -> None:
        self._service = service

    async def ListAccesses(
        self, request: access_ledger_service_pb2.ListAccessesRequest, context: RpcContext
    ) -> access_ledger_service_pb2.ListAccessesResponse:
        """A person's ledger."""
        person = convert.resource_id(request.person, "persons", _PERSON)
        limit = page_limit(request.page_size)
        bound = f"ListAccesses|{request.person}"
        before = decode_token(request.page_token, bound)
        place = (datetime.fromisoformat(before[0]), int(before[1]), UUID(before[2])) if before else None
        found = await self._service.accesses(current_call().principal, person, place, limit + 1)
        end = found[limit - 1] if len(found) > limit else None
        token = encode_token((end.at.isoformat(), str(end.sequence), str(end.id)), bound) if end else ""
        return access_ledger_service_pb2.ListAccessesResponse(
            accesses=[convert.access_message(line) for line in found[:limit]], next_page_token=token
        )
