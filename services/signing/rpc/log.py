"""Servicers of the transparency log."""

from __future__ import annotations

from lienthong.signing.v1 import log_service_pb2, log_service_pb2_grpc

from services.chassis.server import RpcContext
from services.signing import convert
from services.signing.service.log import LogService


class LogServicer(log_service_pb2_grpc.LogServiceServicer):
    """`lienthong.signing.v1.LogService`."""

    def __init__(self, service: LogService) -> None:
        self._service = service

    async def GetCheckpoint(
        self, request: log_service_pb2.GetCheckpointRequest, context: RpcContext
    ) -> log_service_pb2.GetCheckpointResponse:
        """The newest checkpoint."""
        newest = await self._service.checkpoint()
        return log_service_pb2.GetCheckpointResponse(checkpoint=newest.cosigned, witnessed=newest.witnessed)

    async def GetCheckpointTimestamp(
        self, request: log_service_pb2.GetCheckpointTimestampRequest, context: RpcContext
    ) -> log_service_pb2.GetCheckpointTimestampResponse:
        """A time-stamped checkpoint."""
        found = await self._service.timestamp(request.least_size)
        return log_service_pb2.GetCheckpointTimestampResponse(
            checkpoint=found.checkpoint.note,
            timestamp_token=found.token,
            timestamp_time=convert.timestamp(found.stated_at),
        )

    async def GetInclusionProof(
        self, request: log_service_pb2.GetInclusionProofRequest, context: RpcContext
    ) -> log_service_pb2.GetInclusionProofResponse:
        """Path of a leaf."""
        leaf, path = await self._service.inclusion(request.leaf_index, request.tree_size)
        return log_service_pb2.GetInclusionProofResponse(leaf_hash=leaf, path=path)

    async def GetConsistencyProof(
        self, request: log_service_pb2.GetConsistencyProofRequest, context: RpcContext
    ) -> log_service_pb2.GetConsistencyProofResponse:
        """Path between two sizes."""
        path = await self._service.consistency(request.old_size, request.new_size)
        return log_service_pb2.GetConsistencyProofResponse(path=path)

    async def ListEntries(
        self, request: log_service_pb2.ListEntriesRequest, context: RpcContext
    ) -> log_service_pb2.ListEntriesResponse:
        """A run of entries."""
        entries = await self._service.entries(request.start_index, request.page_size)
        return log_service_pb2.ListEntriesResponse(entries=entries, next_index=request.start_index + len(entries))


class LogAppendServicer(log_service_pb2_grpc.LogAppendServiceServicer):
    """`lienthong.signing.v1.LogAppendService`."""

    def __init__(self, service: LogService) -> None:
        self._service = service

    async def AppendEntries(
        self, request: log_service_pb2.AppendEntriesRequest, context: RpcContext
    ) -> log_service_pb2.AppendEntriesResponse:
        """Appends entries."""
        return log_service_pb2.AppendEntriesResponse(leaf_indexes=await self._service.append(request.entries))

    async def BatchGetEntryProofs(
        self, request: log_service_pb2.BatchGetEntryProofsRequest, context: RpcContext
    ) -> log_service_pb2.BatchGetEntryProofsResponse:
        """Portable proofs."""
        return log_service_pb2.BatchGetEntryProofsResponse(
            proofs=await self._service.proofs(request.leaf_indexes, request.tree_size)
        )
