"""Agreeing to a consent: `lienthong.consent.v1.ConsentService/AgreeToConsent`."""

from __future__ import annotations

from lienthong.consent.v1 import consent_service_pb2, consent_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.server import RpcContext
from services.consent.convert import consents, scalars
from services.consent.service.agreements import Agreements
from services.consent.service.consents import ConsentService


class AgreementMethods(consent_service_pb2_grpc.ConsentServiceServicer):
    """The child of seven and more, or the guardian."""

    _agreements: Agreements
    _service: ConsentService
    _clock: Clock

    async def AgreeToConsent(
        self, request: consent_service_pb2.AgreeToConsentRequest, context: RpcContext
    ) -> consent_service_pb2.AgreeToConsentResponse:
        """Agrees to a consent that awaits it. One agreement in a role is kept, so that a retry finds the first."""
        scalars.uuid_of(request.request_id, "request_id")
        id = scalars.resource_id(request.name, "consents", "name")
        agreed = await self._agreements.agree(current_call().principal, id)
        uses = await self._service.uses([agreed])
        message = consents.consent_message(agreed, self._clock(), uses.get(agreed.id, 0))
        return consent_service_pb2.AgreeToConsentResponse(consent=message)
