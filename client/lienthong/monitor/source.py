"""Where a monitor reads the log: the public API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import grpc

from lienthong.signing.v1 import log_service_pb2, log_service_pb2_grpc

_SECONDS = 20.0


class LogSource(Protocol):
    """A log as its readers see it. Nothing that it says is believed."""

    async def checkpoint(self) -> str:
        """The newest checkpoint, a signed note with cosignatures."""

    async def consistency(self, old_size: int, new_size: int) -> Sequence[bytes]:
        """The path between two sizes, 1 <= old_size <= new_size."""

    async def entries(self, start: int, limit: int) -> Sequence[bytes]:
        """At most `limit` entries from an index on."""


class GrpcLog:
    """`lienthong.signing.v1.LogService` over a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = log_service_pb2_grpc.LogServiceStub(channel)

    async def checkpoint(self) -> str:
        """GetCheckpoint."""
        answer = await self._stub.GetCheckpoint(log_service_pb2.GetCheckpointRequest(), timeout=_SECONDS)
        return str(answer.checkpoint)

    async def consistency(self, old_size: int, new_size: int) -> Sequence[bytes]:
        """GetConsistencyProof."""
        request = log_service_pb2.GetConsistencyProofRequest(old_size=old_size, new_size=new_size)
        return list((await self._stub.GetConsistencyProof(request, timeout=_SECONDS)).path)

    async def entries(self, start: int, limit: int) -> Sequence[bytes]:
        """ListEntries."""
        request = log_service_pb2.ListEntriesRequest(start_index=start, page_size=limit)
        return list((await self._stub.ListEntries(request, timeout=_SECONDS)).entries)

    async def inclusion(self, index: int, size: int) -> Sequence[bytes]:
        """GetInclusionProof."""
        request = log_service_pb2.GetInclusionProofRequest(leaf_index=index, tree_size=size)
        return list((await self._stub.GetInclusionProof(request, timeout=_SECONDS)).path)
