"""`lienthong.consent.v1.NoticeService`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import notice_service_pb2, notice_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.consent.convert import scalars
from services.consent.convert.notices import notice_message
from services.consent.service.notices import NoticeService


class NoticeServicer(notice_service_pb2_grpc.NoticeServiceServicer):
    """`lienthong.consent.v1.NoticeService`."""

    def __init__(self, service: NoticeService) -> None:
        self._service = service

    async def ListNotices(
        self, request: notice_service_pb2.ListNoticesRequest, context: RpcContext
    ) -> notice_service_pb2.ListNoticesResponse:
        """A person's notices."""
        person = scalars.resource_id(request.person, "persons", "person")
        limit = page_limit(request.page_size)
        bound = f"ListNotices|{request.person}"
        before = decode_token(request.page_token, bound)
        place = (datetime.fromisoformat(before[0]), UUID(before[1])) if before else None
        found = await self._service.list(current_call().principal, person, place, limit + 1)
        end = found[limit - 1] if len(found) > limit else None
        return notice_service_pb2.ListNoticesResponse(
            notices=[notice_message(one) for one in found[:limit]],
            next_page_token=encode_token((end.created_at.isoformat(), str(end.id)), bound) if end else "",
        )
