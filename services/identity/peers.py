"""The consent role as the identity role sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import grpc
from lienthong.consent.v1 import access_ledger_service_pb2, access_ledger_service_pb2_grpc, decision_pb2

from services.chassis.peers import call_peer
from services.identity.service import Reading

_TIMEOUT = 5.0
_LARGEST_PAGE = 500
_MOST_PAGES = 100


class GrpcAccessLedger:
    """`AccessLedger` over gRPC. This role asks for itself: a steward has no business on a citizen's ledger."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)

    async def readings(self, person: UUID, since: datetime, until: datetime, limit: int) -> Sequence[Reading]:
        """Permitted accesses within a time. The ledger is read from its newest line until the beginning of that time, 50,000 lines at most."""
        found: list[Reading] = []
        token = ""
        for _ in range(_MOST_PAGES):
            request = access_ledger_service_pb2.ListAccessesRequest(
                person=f"persons/{person}", page_size=_LARGEST_PAGE, page_token=token
            )
            answer = await call_peer(self._stub.ListAccesses, request, timeout=_TIMEOUT, name="consent", forward=False)
            times = [line.access_time.ToDatetime(tzinfo=UTC) for line in answer.accesses]
            found += [
                _reading(person, line, at)
                for line, at in zip(answer.accesses, times, strict=True)
                if line.person == request.person and since <= at <= until and line.effect == decision_pb2.EFFECT_PERMIT
            ]
            token = answer.next_page_token
            # Lines stand in the order of their numbers, and the clocks of processes differ by seconds, not by pages.
            if not token or len(found) >= limit or (times and times[-1] < since):
                return found[:limit]
        return found[:limit]


def _reading(person: UUID, line: access_ledger_service_pb2.Access, at: datetime) -> Reading:
    return Reading(
        UUID(line.name.removeprefix("accesses/")), person, at, line.organization.removeprefix("organizations/")
    )
