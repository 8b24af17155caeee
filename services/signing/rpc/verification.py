"""Servicers that judge signatures: for the records role, and for whoever holds a signed file."""

from __future__ import annotations

from lienthong.signing.v1 import (
    validation_service_pb2,
    validation_service_pb2_grpc,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

from services.chassis.clock import Clock
from services.chassis.server import RpcContext
from services.signing import convert
from services.signing.service.evidence import EvidenceService
from services.signing.service.verification import VerificationService


class VerificationServicer(verification_service_pb2_grpc.VerificationServiceServicer):
    """`lienthong.signing.v1.VerificationService`."""

    def __init__(self, service: VerificationService, evidence: EvidenceService) -> None:
        self._service = service
        self._evidence = evidence

    async def VerifyDocuments(
        self, request: verification_service_pb2.VerifyDocumentsRequest, context: RpcContext
    ) -> verification_service_pb2.VerifyDocumentsResponse:
        """Judges a batch."""
        verdicts = await self._service.judge(convert.documents(request))
        return verification_service_pb2.VerifyDocumentsResponse(
            verdicts=[convert.verdict_message(verdict) for verdict in verdicts]
        )

    async def BatchGetEvidence(
        self, request: verification_service_pb2.BatchGetEvidenceRequest, context: RpcContext
    ) -> verification_service_pb2.BatchGetEvidenceResponse:
        """Evidence by hash."""
        found = await self._evidence.batch(request.sha256)
        return verification_service_pb2.BatchGetEvidenceResponse(
            evidence=[convert.evidence_message(one) for one in found]
        )


class ValidationServicer(validation_service_pb2_grpc.ValidationServiceServicer):
    """`lienthong.signing.v1.ValidationService`."""

    def __init__(self, service: VerificationService, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    async def ValidateSignatures(
        self, request: validation_service_pb2.ValidateSignaturesRequest, context: RpcContext
    ) -> validation_service_pb2.ValidateSignaturesResponse:
        """Judges one file now."""
        now = self._clock()
        verdict = await self._service.validate(convert.validated_document(request, now))
        return validation_service_pb2.ValidateSignaturesResponse(
            verdict=convert.verdict_message(verdict), validate_time=convert.timestamp(now)
        )
