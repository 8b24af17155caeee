"""`lienthong.consent.v1.ConsentService`."""

from __future__ import annotations

from collections.abc import Sequence

from lienthong.consent.v1 import consent_pb2, consent_service_pb2

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.identifiers import uuid_from_request
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent.convert import consents, scalars, terms
from services.consent.model import Consent, ConsentRequest
from services.consent.rpc.agreements import AgreementMethods
from services.consent.rpc.papers import PaperMethods
from services.consent.service.agreements import Agreements
from services.consent.service.consents import ConsentService
from services.consent.service.papers import PaperService

_PERSON = "person"


class ConsentServicer(AgreementMethods, PaperMethods):
    """`lienthong.consent.v1.ConsentService`."""

    def __init__(self, service: ConsentService, agreements: Agreements, papers: PaperService, clock: Clock) -> None:
        self._service = service
        self._agreements = agreements
        self._papers = papers
        self._clock = clock

    async def RequestConsent(
        self, request: consent_service_pb2.RequestConsentRequest, context: RpcContext
    ) -> consent_service_pb2.RequestConsentResponse:
        """Asks a person for consent."""
        principal = current_call().principal
        asked, code = await self._service.request(
            principal,
            scalars.resource_id(request.person, "persons", _PERSON),
            terms.terms_in(request.terms, "terms"),
            uuid_from_request(
                f"{principal.facility}|RequestConsent", scalars.uuid_of(request.request_id, "request_id")
            ),
            consents.channel_in(request.channel, "channel"),
        )
        return consent_service_pb2.RequestConsentResponse(
            consent_request=consents.request_message(asked, self._clock()), kiosk_code=code
        )

    async def ConfirmConsentCode(
        self, request: consent_service_pb2.ConfirmConsentCodeRequest, context: RpcContext
    ) -> consent_service_pb2.ConfirmConsentCodeResponse:
        """Tells a code that was sent by SMS."""
        principal = current_call().principal
        request_id = scalars.uuid_of(request.request_id, "request_id")
        id = uuid_from_request(f"{principal.facility}|ConfirmConsentCode", request_id)
        asked = scalars.resource_id(request.consent_request, "consentRequests", "consent_request")
        granted = await self._service.confirm_code(principal, asked, request.code, id)
        return consent_service_pb2.ConfirmConsentCodeResponse(consents=await self._shown(granted))

    async def GetConsentRequest(
        self, request: consent_service_pb2.GetConsentRequestRequest, context: RpcContext
    ) -> consent_service_pb2.GetConsentRequestResponse:
        """A request."""
        found = await self._service.get_request(
            current_call().principal, scalars.resource_id(request.name, "consentRequests", "name")
        )
        return consent_service_pb2.GetConsentRequestResponse(consent_request=(await self._asked([found]))[0])

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
            consent_requests=await self._asked(found[:limit]),
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
        if request.kiosk_code and not request.consent_request:
            raise InvalidArgument.of(FieldViolation("kiosk_code", "only with consent_request", "EXACTLY_ONE"))
        if request.consent_request and request.person:
            raise InvalidArgument.of(FieldViolation(_PERSON, "empty with consent_request", "EXACTLY_ONE"))
        if request.consent_request:
            asked = scalars.resource_id(request.consent_request, "consentRequests", "consent_request")
            granted = await self._service.grant_request(principal, asked, id, request.kiosk_code)
        else:
            ward = scalars.resource_id(request.person, "persons", _PERSON) if request.person else None
            granted = await self._service.grant_terms(principal, terms.terms_in(request.terms, "terms"), id, ward)
        shown = await self._shown(granted)
        return consent_service_pb2.GrantConsentResponse(consent=shown[0], consents=shown)

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
        return consent_service_pb2.RevokeConsentResponse(consent=(await self._shown([revoked]))[0])

    async def GetConsent(
        self, request: consent_service_pb2.GetConsentRequest, context: RpcContext
    ) -> consent_service_pb2.GetConsentResponse:
        """A consent."""
        found = await self._service.get(current_call().principal, scalars.resource_id(request.name, "consents", "name"))
        return consent_service_pb2.GetConsentResponse(consent=(await self._shown([found]))[0])

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
            consents=await self._shown(found[:limit]), next_page_token=token
        )

    async def ListConsentEvents(
        self, request: consent_service_pb2.ListConsentEventsRequest, context: RpcContext
    ) -> consent_service_pb2.ListConsentEventsResponse:
        """What happened to a consent."""
        id = scalars.resource_id(request.consent, "consents", "consent")
        limit = page_limit(request.page_size)
        before = decode_token(request.page_token, f"events|{request.consent}")
        start = int(before[0]) if before else 0
        found = await self._service.events(current_call().principal, id)
        more = start + limit < len(found)
        return consent_service_pb2.ListConsentEventsResponse(
            events=[consents.event_message(one) for one in found[start : start + limit]],
            next_page_token=encode_token((str(start + limit),), f"events|{request.consent}") if more else "",
        )

    async def ListRecipients(
        self, request: consent_service_pb2.ListRecipientsRequest, context: RpcContext
    ) -> consent_service_pb2.ListRecipientsResponse:
        """Who was given data on the ground of a consent."""
        id = scalars.resource_id(request.consent, "consents", "consent")
        limit = page_limit(request.page_size)
        bound = f"recipients|{request.consent}"
        after = decode_token(request.page_token, bound)
        found = await self._service.recipients(current_call().principal, id, after[0] if after else "", limit + 1)
        token = encode_token((found[limit - 1].organization,), bound) if len(found) > limit else ""
        return consent_service_pb2.ListRecipientsResponse(
            recipients=[consents.recipient_message(one) for one in found[:limit]], next_page_token=token
        )

    async def AcknowledgeErasure(
        self, request: consent_service_pb2.AcknowledgeErasureRequest, context: RpcContext
    ) -> consent_service_pb2.AcknowledgeErasureResponse:
        """Keeps that the calling facility has erased what it was given."""
        scalars.uuid_of(request.request_id, "request_id")
        id = scalars.resource_id(request.consent, "consents", "consent")
        said = await self._service.acknowledge_erasure(current_call().principal, id, request.retained_under)
        return consent_service_pb2.AcknowledgeErasureResponse(recipient=consents.recipient_message(said))

    async def _shown(self, found: Sequence[Consent]) -> list[consent_pb2.Consent]:
        uses = await self._service.uses(found)
        return [consents.consent_message(one, self._clock(), uses.get(one.id, 0)) for one in found]

    async def _asked(self, found: Sequence[ConsentRequest]) -> list[consent_pb2.ConsentRequest]:
        granted = await self._service.of_requests(found)
        return [consents.request_message(one, self._clock(), granted.get(one.id, ())) for one in found]
