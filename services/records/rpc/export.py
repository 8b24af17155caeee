"""`ExportService`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from lienthong.records.v1 import export_service_pb2, export_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.server import RpcContext
from services.records import telemetry
from services.records.convert.documents import disclosure_message
from services.records.convert.scalars import context_in, resource_id
from services.records.service.export import ExportService
from services.records.telemetry import Instruments

PIECE = 256 * 1024
"""Bytes of a message at most."""


class ExportServicer(export_service_pb2_grpc.ExportServiceServicer):
    """`lienthong.records.v1.ExportService`."""

    def __init__(self, service: ExportService, instruments: Instruments) -> None:
        self._service = service
        self._instruments = instruments

    async def ExportPersonData(
        self, request: export_service_pb2.ExportPersonDataRequest, context: RpcContext
    ) -> AsyncIterator[export_service_pb2.ExportPersonDataResponse]:
        """Streams the container."""
        person = resource_id(request.person, "persons", "person")
        asked = context_in(request.context, "context")
        decision = await self._service.begin(person, asked)
        self._instruments.reads.add(1, {telemetry.ATTRIBUTE_OUTCOME: "ExportPersonData"})
        yield export_service_pb2.ExportPersonDataResponse(disclosure=disclosure_message(decision))
        digest, held = hashlib.sha256(), b""
        async for made in self._service.pieces(current_call().principal, person, asked, decision):
            digest.update(made)
            held += made
            while len(held) >= PIECE:
                yield export_service_pb2.ExportPersonDataResponse(content=held[:PIECE])
                held = held[PIECE:]
        yield export_service_pb2.ExportPersonDataResponse(content=held, content_sha256=digest.hexdigest())
