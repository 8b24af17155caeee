"""`lienthong.consent.v1.ConsentService`."""

from __future__ import annotations

from lienthong.consent.v1 import consent_service_pb2, consent_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.identifiers import uuid_from_request
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent.convert import consents, scalars, terms
from services.consent.service.consents import ConsentService

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
            scalars.resource_id(request.person, "persons", _PERSON),
            terms.terms_in(request.terms, "terms"),
            uuid_from_request(
                f"{principal.facility}|RequestConsent", scalars.uuid_of(request.request_id, "request_id")
            ),
        )
        return consent_service_pb2.RequestConsentResponse(
            consent_request=consents.request_message(asked, self._clock())
        )

    async def GetConsentRequest(
        self, request: consent_service_pb2.GetConsentRequestRequest, context: RpcContext
    ) -> consent_service_pb2.GetConsentRequestResponse:
        """A request."""
        found = await self._service.get_request(
            current_call().principal, scalars.resource_id(request.name, "consentRequests", "name")
        )
        return consent_service_pb2.GetConsentRequestResponse(
            consent_request=consents.request_message(found, self._clock())
        )

    async def ListConsentRequests(
        self, request: consent_service_pb2.ListConsentRequestsRequest, context: RpcContext
    ) -> consent_service_pb2.ListConsentRequestsResponse:
        """Requests put to a person."""
        person = scalars.resource_id(request.person, "persons", _PERSON)
        limit = page_limit(request.page_size)
        before = decode_token(request.page_token, request.person)
        found = await self._service.list_requests(
            current_call().principal, person, scalars.uuid_of(before[0], "page_token") if before else None, limit + 1
        )
        token = encode_token((str(found[limit - 1].id),), request.person) if len(found) > limit else ""
        return consent_service_pb2.ListConsentRequestsResponse(
            consent_requests=[consents.request_message(one, self._clock()) for one in found[:limit]],
            next_page_token=token,
        )

    async def GrantConsent(
        self, request: consent_service_pb2.GrantConsentRequest, context: RpcContext
    ) -> consent_service_pb2.GrantConsentResponse:
        """Grants consent."""
        principal = current_call().principal
        id = uuid_from_request(f"{principal.subject}|GrantConsent", scalars.uuid_of(request.request_id, "request_id"))
        if bool(request.consent_request) == request.HasField("terms"):
            raise InvalidArgument.of(FieldViolation("terms", "exactly one of consent_request and terms", "EXACTLY_ONE"))
        if request.consent_request:
            asked = scalars.resource_id(request.consent_request, "consentRequests", "consent_request")
            granted = await self._service.grant_request(principal, asked, id)
        else:
            granted = await self._service.grant_terms(principal, terms.terms_in(request.terms, "terms"), id)
        return consent_service_pb2.GrantConsentResponse(consent=consents.consent_message(granted, self._clock()))

    async def DenyConsent(
        self, request: consent_service_pb2.DenyConsentRequest, context: RpcContext
    ) -> consent_service_pb2.DenyConsentResponse:
        """Refuses a request."""
        asked = scalars.resource_id(request.consent_request, "consentRequests", "consent_request")
        denied = await self._service.deny(current_call().principal, asked)
        return consent_service_pb2.DenyConsentResponse(consent_request=consents.request_message(denied, self._clock()))

    async def RevokeConsent(
        self, request: consent_service_pb2.RevokeConsentRequest, context: RpcContext
    ) -> consent_service_pb2.RevokeConsentResponse:
        """Withdraws a consent."""
        revoked = await self._service.revoke(
            current_call().principal, scalars.resource_id(request.name, "consents", "name")
        )
        return consent_service_pb2.RevokeConsentResponse(consent=consents.consent_message(revoked, self._clock()))

    async def GetConsent(
        self, request: consent_service_pb2.GetConsentRequest, context: RpcContext
    ) -> consent_service_pb2.GetConsentResponse:
        """A consent."""
        found = await self._service.get(current_call().principal, scalars.resource_id(request.name, "consents", "name"))
        return consent_service_pb2.GetConsentResponse(consent=consents.consent_message(found, self._clock()))

    async def ListConsents(
        self, request: consent_service_pb2.ListConsentsRequest, context: RpcContext
    ) -> consent_service_pb2.ListConsentsResponse:
        """A person's consents."""
        person = scalars.resource_id(request.person, "persons", _PERSON)
        limit = page_limit(request.page_size)
        before = decode_token(request.page_token, request.person)
        found = await self._service.list(
            current_call().principal, person, scalars.uuid_of(before[0], "page_token") if before else None, limit + 1
        )
        token = encode_token((str(found[limit - 1].id),), request.person) if len(found) > limit else ""
        return consent_service_pb2.ListConsentsResponse(
            consents=[consents.consent_message(one, self._clock()) for one in found[:limit]], next_page_token=token
        )
