"""`lienthong.consent.v1.AccessLedgerService`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import access_ledger_service_pb2, access_ledger_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent.convert import ledger, scalars
from services.consent.service.decisions import DecisionService

_PERSON = "person"


class AccessLedgerServicer(access_ledger_service_pb2_grpc.AccessLedgerServiceServicer):
    """`lienthong.consent.v1.AccessLedgerService`."""

    def __init__(self, service: DecisionService) -> None:
        self._service = service

    async def ListAccesses(
        self, request: access_ledger_service_pb2.ListAccessesRequest, context: RpcContext
    ) -> access_ledger_service_pb2.ListAccessesResponse:
        """A person's ledger."""
        person = scalars.resource_id(request.person, "persons", _PERSON)
        limit = page_limit(request.page_size)
        bound = f"ListAccesses|{request.person}"
        before = decode_token(request.page_token, bound)
        place = (datetime.fromisoformat(before[0]), int(before[1]), UUID(before[2])) if before else None
        found = await self._service.accesses(current_call().principal, person, place, limit + 1)
        end = found[limit - 1] if len(found) > limit else None
        token = encode_token((end.at.isoformat(), str(end.sequence), str(end.id)), bound) if end else ""
        return access_ledger_service_pb2.ListAccessesResponse(
            accesses=[ledger.access_message(line) for line in found[:limit]], next_page_token=token
        )
