"""`lienthong.identity.v1.SourceRecordService`."""

from __future__ import annotations

from lienthong.identity.v1 import (
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)

from services.chassis.call import current_call
from services.chassis.server import RpcContext
from services.identity.convert import scalars, source_records
from services.identity.rpc.answers import count_outcomes
from services.identity.service import FilingService
from services.identity.telemetry import Instruments


class SourceRecordServicer(source_record_service_pb2_grpc.SourceRecordServiceServicer):
    """`lienthong.identity.v1.SourceRecordService`."""

    def __init__(self, service: FilingService, instruments: Instruments) -> None:
        self._service = service
        self._instruments = instruments

    async def FileSourceRecords(
        self, request: source_record_service_pb2.FileSourceRecordsRequest, context: RpcContext
    ) -> source_record_service_pb2.FileSourceRecordsResponse:
        """Files what documents say."""
        scalars.count(request.records, source_records.MAX_RECORDS, "records")
        records = [source_records.source_record_in(record) for record in request.records]
        filings = await self._service.file(current_call().principal, records)
        count_outcomes(self._instruments.filings, (one.outcome.value for one in filings))
        return source_record_service_pb2.FileSourceRecordsResponse(
            filings=[source_records.filing_message(one) for one in filings]
        )
