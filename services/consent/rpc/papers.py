"""The part of `lienthong.consent.v1.ConsentService` that records signed papers."""

from __future__ import annotations

from datetime import UTC

from lienthong.consent.v1 import consent_service_pb2, consent_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.identifiers import uuid_from_request
from services.chassis.server import RpcContext
from services.consent.convert import consents, scalars, terms
from services.consent.papers import LARGEST_SCAN, Paper, is_pdf
from services.consent.service.papers import PaperService


class PaperMethods(consent_service_pb2_grpc.ConsentServiceServicer):
    """The practitioner who vouches."""

    _papers: PaperService
    _clock: Clock

    async def RecordPaperConsent(
        self, request: consent_service_pb2.RecordPaperConsentRequest, context: RpcContext
    ) -> consent_service_pb2.RecordPaperConsentResponse:
        """Records a consent that was signed on paper."""
        principal = current_call().principal
        request_id = scalars.uuid_of(request.request_id, "request_id")
        id = uuid_from_request(f"{principal.facility}|{principal.licence}|RecordPaperConsent", request_id)
        granted = await self._papers.record(principal, _paper(request), id)
        now = self._clock()
        return consent_service_pb2.RecordPaperConsentResponse(
            consents=[consents.consent_message(one, now) for one in granted]
        )


def _paper(request: consent_service_pb2.RecordPaperConsentRequest) -> Paper:
    wrong: list[FieldViolation] = []
    if len(request.scan) > LARGEST_SCAN:
        wrong.append(FieldViolation("scan", f"at most {LARGEST_SCAN} bytes", "SIZE_OUT_OF_RANGE"))
    elif not is_pdf(request.scan):
        wrong.append(FieldViolation("scan", "a PDF file", "FORMAT_UNKNOWN"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return Paper(
        person=scalars.resource_id(request.person, "persons", "person"),
        terms=terms.terms_in(request.terms, "terms"),
        text_version=request.text_version,
        signed_at=request.sign_time.ToDatetime(UTC),
        guardian=scalars.resource_id(request.guardian, "persons", "guardian") if request.guardian else None,
        child_signed=request.child_signed,
        scan=request.scan,
    )
