"""Notices to their proto."""

from __future__ import annotations

from lienthong.consent.v1 import notice_service_pb2

from services.consent.convert.scalars import stamp
from services.consent.notices import Notice


def notice_message(notice: Notice) -> notice_service_pb2.Notice:
    """The proto of a notice."""
    return notice_service_pb2.Notice(
        name=f"notices/{notice.id}",
        type=notice.type,
        resource=notice.resource,
        organization=f"organizations/{notice.organization}" if notice.organization else "",
        create_time=stamp(notice.created_at),
        deliver_time=stamp(notice.delivered_at),
    )
