"""The feed: its part of `lienthong.identity.v1.PersonService`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lienthong.identity.v1 import person_service_pb2, person_service_pb2_grpc

from services.chassis.deadline import remaining
from services.chassis.server import RpcContext
from services.identity.convert import feed
from services.identity.service import FeedService

ENDS_BEFORE = 1.0
"""Seconds before the caller's deadline at which a stream ends in order, so that the caller opens the next one."""


class FeedMethods(person_service_pb2_grpc.PersonServiceServicer):
    """Following what happens to entries."""

    _feed: FeedService

    async def WatchPersons(
        self, request: person_service_pb2.WatchPersonsRequest, context: RpcContext
    ) -> AsyncIterator[person_service_pb2.WatchPersonsResponse]:
        """Tells what happens, until the deadline."""
        async for changes, place, _ in self._feed.watch(feed.place_in(request.cursor)):
            yield feed.page_message(changes, place)
            if remaining().total_seconds() < ENDS_BEFORE:
                return
