"""`lienthong.identity.v1.RegistryFeedService`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lienthong.identity.v1 import registry_feed_service_pb2, registry_feed_service_pb2_grpc

from services.chassis.deadline import remaining
from services.chassis.server import RpcContext
from services.identity.convert import registry_feed
from services.identity.registers import RegistryKey, RegistryLine, RegistryPlace
from services.identity.rpc.feed import ENDS_BEFORE
from services.identity.service import Streams

RegistryStreams = Streams[RegistryLine, RegistryPlace, RegistryKey]


class RegistryFeedServicer(registry_feed_service_pb2_grpc.RegistryFeedServiceServicer):
    """Following the registries."""

    def __init__(self, feed: RegistryStreams) -> None:
        self._feed = feed

    async def WatchRegistry(
        self, request: registry_feed_service_pb2.WatchRegistryRequest, context: RpcContext
    ) -> AsyncIterator[registry_feed_service_pb2.WatchRegistryResponse]:
        """Tells what the registries say, until the deadline."""
        async for lines, place, more in self._feed.watch(registry_feed.place_in(request.cursor)):
            yield registry_feed.page_message(lines, place, more=more)
            if remaining().total_seconds() < ENDS_BEFORE:
                return
