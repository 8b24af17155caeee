"""`EvidenceService`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.records.v1 import evidence_service_pb2, evidence_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.records import telemetry
from services.records.convert import evidence as convert
from services.records.convert.documents import disclosure_message
from services.records.convert.scalars import context_in, resource_id
from services.records.proof import TouchedCursor
from services.records.rpc.caller import calling_facility
from services.records.service.packages import PackageService
from services.records.service.verdicts import VerdictService
from services.records.telemetry import Instruments


class EvidenceServicer(evidence_service_pb2_grpc.EvidenceServiceServicer):
    """`lienthong.records.v1.EvidenceService`."""

    def __init__(self, packages: PackageService, verdicts: VerdictService, instruments: Instruments) -> None:
        self._packages = packages
        self._verdicts = verdicts
        self._instruments = instruments

    async def GetEvidencePackage(
        self, request: evidence_service_pb2.GetEvidencePackageRequest, context: RpcContext
    ) -> evidence_service_pb2.GetEvidencePackageResponse:
        """Returns what proves a document."""
        content, decision = await self._packages.get(
            current_call().principal,
            resource_id(request.name, "documents", "name"),
            context_in(request.context, "context"),
        )
        self._instruments.reads.add(1, {telemetry.ATTRIBUTE_OUTCOME: "GetEvidencePackage"})
        return evidence_service_pb2.GetEvidencePackageResponse(content=content, disclosure=disclosure_message(decision))

    async def ListVerdicts(
        self, request: evidence_service_pb2.ListVerdictsRequest, context: RpcContext
    ) -> evidence_service_pb2.ListVerdictsResponse:
        """Lists the verdicts on a submission of the caller."""
        id = resource_id(request.parent, "submissions", "parent")
        record, later = await self._verdicts.list(calling_facility(current_call()), id)
        return evidence_service_pb2.ListVerdictsResponse(verdicts=convert.verdict_messages(record, later))

    async def ListTouchedDocuments(
        self, request: evidence_service_pb2.ListTouchedDocumentsRequest, context: RpcContext
    ) -> evidence_service_pb2.ListTouchedDocumentsResponse:
        """Lists what a key signed and who was given it."""
        limit = page_limit(request.page_size)
        asked = convert.compromise_in(request)
        bound = f"ListTouchedDocuments|{asked.certificate_sha256}|{asked.since.isoformat()}"
        last = decode_token(request.page_token, bound)
        after = TouchedCursor(datetime.fromisoformat(last[0]), UUID(last[1])) if last else None
        found = await self._verdicts.touched(asked, after, limit + 1)
        page = found[:limit]
        token = ""
        if len(found) > limit:
            token = encode_token((page[-1].received_at.isoformat(), str(page[-1].submission)), bound)
        return evidence_service_pb2.ListTouchedDocumentsResponse(
            documents=[convert.touched_message(one, asked.since) for one in page], next_page_token=token
        )
