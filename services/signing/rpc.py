"""The servicers of the signing role: convert, call one operation, convert back."""

from __future__ import annotations

from lienthong.signing.v1 import (
    log_service_pb2,
    log_service_pb2_grpc,
    trust_service_pb2,
    trust_service_pb2_grpc,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

from services.chassis.call import current_call
from services.chassis.server import RpcContext
from services.signing import convert
from services.signing.service.log import LogService
from services.signing.service.trust import TrustService
from services.signing.service.verification import VerificationService


class VerificationServicer(verification_service_pb2_grpc.VerificationServiceServicer):
    """`lienthong.signing.v1.VerificationService`."""

    def __init__(self, service: VerificationService) -> None:
        self._service = service

    async def VerifyDocuments(
        self, request: verification_service_pb2.VerifyDocumentsRequest, context: RpcContext
    ) -> verification_service_pb2.VerifyDocumentsResponse:
        """Judges a batch."""
        verdicts = await self._service.judge(convert.documents(request))
        return verification_service_pb2.VerifyDocumentsResponse(
            verdicts=[convert.verdict_message(verdict) for verdict in verdicts]
        )


class TrustServicer(trust_service_pb2_grpc.TrustServiceServicer):
    """`lienthong.signing.v1.TrustService`."""

    def __init__(self, service: TrustService) -> None:
        self._service = service

    async def CreateTrustAnchor(
        self, request: trust_service_pb2.CreateTrustAnchorRequest, context: RpcContext
    ) -> trust_service_pb2.CreateTrustAnchorResponse:
        """Puts an authority on the trust list."""
        kind = convert.authority_kind(request.trust_anchor.kind)
        authority = await self._service.add_authority(kind, request.trust_anchor.certificate)
        return trust_service_pb2.CreateTrustAnchorResponse(trust_anchor=convert.authority_message(authority))

    async def ListTrustAnchors(
        self, request: trust_service_pb2.ListTrustAnchorsRequest, context: RpcContext
    ) -> trust_service_pb2.ListTrustAnchorsResponse:
        """Lists the authorities."""
        page, token = await self._service.authorities(request.page_size, request.page_token)
        return trust_service_pb2.ListTrustAnchorsResponse(
            trust_anchors=[convert.authority_message(authority) for authority in page], next_page_token=token
        )

    async def RegisterSignerCertificate(
        self, request: trust_service_pb2.RegisterSignerCertificateRequest, context: RpcContext
    ) -> trust_service_pb2.RegisterSignerCertificateResponse:
        """Registers a facility's certificate."""
        wanted = request.signer_certificate
        signer = await self._service.register_signer(wanted.facility, wanted.certificate)
        return trust_service_pb2.RegisterSignerCertificateResponse(signer_certificate=convert.signer_message(signer))

    async def ListSignerCertificates(
        self, request: trust_service_pb2.ListSignerCertificatesRequest, context: RpcContext
    ) -> trust_service_pb2.ListSignerCertificatesResponse:
        """Lists signing certificates."""
        principal = current_call().principal
        page, token = await self._service.signers(principal, request.facility, request.page_size, request.page_token)
        return trust_service_pb2.ListSignerCertificatesResponse(
            signer_certificates=[convert.signer_message(signer) for signer in page], next_page_token=token
        )

    async def SuspendSignerCertificate(
        self, request: trust_service_pb2.SuspendSignerCertificateRequest, context: RpcContext
    ) -> trust_service_pb2.SuspendSignerCertificateResponse:
        """Suspends a signing certificate."""
        signer = await self._service.suspend_signer(request.name)
        return trust_service_pb2.SuspendSignerCertificateResponse(signer_certificate=convert.signer_message(signer))

    async def ImportRevocationList(
        self, request: trust_service_pb2.ImportRevocationListRequest, context: RpcContext
    ) -> trust_service_pb2.ImportRevocationListResponse:
        """Imports a revocation list."""
        imported, count = await self._service.import_revocations(request.revocation_list)
        return trust_service_pb2.ImportRevocationListResponse(
            issuer=f"trustAnchors/{imported.issuer}",
            crl_number=str(imported.number),
            entry_count=count,
            next_update=convert.timestamp(imported.next_update),
        )


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
