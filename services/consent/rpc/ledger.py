"""`lienthong.consent.v1.AccessLedgerService`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import access_ledger_service_pb2, access_ledger_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent.convert import ledger, scalars
from services.consent.service.ledger import LedgerService

_PERSON = "person"
_LINES = 500
_MOST_LINES = 1000
_MOST_BYTES = 2 * 1024 * 1024
"""Lines may name many documents; a page ends at this size at the latest."""


class AccessLedgerServicer(access_ledger_service_pb2_grpc.AccessLedgerServiceServicer):
    """`lienthong.consent.v1.AccessLedgerService`."""

    def __init__(self, service: LedgerService) -> None:
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

    async def GetLedgerProof(
        self, request: access_ledger_service_pb2.GetLedgerProofRequest, context: RpcContext
    ) -> access_ledger_service_pb2.GetLedgerProofResponse:
        """A page of lines, and with the first the anchors."""
        person = scalars.resource_id(request.person, "persons", _PERSON)
        limit = page_limit(request.page_size or _LINES, _MOST_LINES)
        bound = f"GetLedgerProof|{request.person}"
        after = decode_token(request.page_token, bound)
        place = (UUID(after[0]), int(after[1])) if after else None
        principal = current_call().principal
        # Asked for before the lines: what is anchored MUST be among them.
        anchors = [] if place else await self._service.anchors(principal, person)
        found = await self._service.lines(principal, person, place, limit + 1)
        page = _fitting([ledger.line_message(line) for line in found[:limit]])
        end = page[-1] if len(page) < len(found) else None
        token = encode_token((end.person.removeprefix("persons/"), str(end.sequence)), bound) if end else ""
        return access_ledger_service_pb2.GetLedgerProofResponse(
            lines=page, anchors=[ledger.anchor_message(one) for one in anchors], next_page_token=token
        )


def _fitting(lines: Sequence[access_ledger_service_pb2.LedgerLine]) -> Sequence[access_ledger_service_pb2.LedgerLine]:
    size = 0
    for number, line in enumerate(lines):
        size += len(line.canonical)
        if size > _MOST_BYTES and number:
            return lines[:number]
    return lines
