"""Servicer of the trust list."""

from __future__ import annotations

from datetime import UTC

from lienthong.signing.v1 import trust_service_pb2, trust_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.server import RpcContext
from services.signing import convert
from services.signing.policy import SignaturePolicy
from services.signing.service.trust import TrustService
from services.signing.service.trust_list import TrustListService


class TrustServicer(trust_service_pb2_grpc.TrustServiceServicer):
    """`lienthong.signing.v1.TrustService`."""

    def __init__(self, service: TrustService, lists: TrustListService, policy: SignaturePolicy, clock: Clock) -> None:
        self._service = service
        self._lists = lists
        self._policy = policy
        self._clock = clock

    async def CreateTrustAnchor(
        self, request: trust_service_pb2.CreateTrustAnchorRequest, context: RpcContext
    ) -> trust_service_pb2.CreateTrustAnchorResponse:
        """Puts an authority on the trust list."""
        authority = await self._service.add_authority(convert.wanted_authority(request.trust_anchor))
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
        signer = await self._service.register_signer(convert.wanted_signer(request.signer_certificate))
        return trust_service_pb2.RegisterSignerCertificateResponse(
            signer_certificate=convert.signer_message(signer, self._clock())
        )

    async def ListSignerCertificates(
        self, request: trust_service_pb2.ListSignerCertificatesRequest, context: RpcContext
    ) -> trust_service_pb2.ListSignerCertificatesResponse:
        """Lists signing certificates."""
        principal = current_call().principal
        state = convert.signer_state(request.state)
        page, token = await self._service.signers(
            principal, request.facility, request.page_size, request.page_token, state
        )
        return trust_service_pb2.ListSignerCertificatesResponse(
            signer_certificates=[convert.signer_message(signer, self._clock()) for signer in page],
            next_page_token=token,
        )

    async def SuspendSignerCertificate(
        self, request: trust_service_pb2.SuspendSignerCertificateRequest, context: RpcContext
    ) -> trust_service_pb2.SuspendSignerCertificateResponse:
        """Suspends a signing certificate."""
        signer = await self._service.suspend_signer(request.name)
        return trust_service_pb2.SuspendSignerCertificateResponse(
            signer_certificate=convert.signer_message(signer, self._clock())
        )

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

    async def ImportTrustList(
        self, request: trust_service_pb2.ImportTrustListRequest, context: RpcContext
    ) -> trust_service_pb2.ImportTrustListResponse:
        """Imports a trusted list."""
        imported = await self._lists.import_list(request.trust_list)
        return trust_service_pb2.ImportTrustListResponse(
            sequence_number=imported.sequence,
            issue_time=convert.timestamp(imported.issued_at),
            next_update=convert.timestamp(imported.next_update),
            granted=[f"trustAnchors/{one}" for one in imported.named(withdrawn=False)],
            withdrawn=[f"trustAnchors/{one}" for one in imported.named(withdrawn=True)],
        )

    async def ReportKeyCompromise(
        self, request: trust_service_pb2.ReportKeyCompromiseRequest, context: RpcContext
    ) -> trust_service_pb2.ReportKeyCompromiseResponse:
        """Reports a key compromised."""
        signer = await self._service.report_compromise(request.name, request.compromise_time.ToDatetime(UTC))
        return trust_service_pb2.ReportKeyCompromiseResponse(
            signer_certificate=convert.signer_message(signer, self._clock())
        )

    async def GetSignaturePolicy(
        self, request: trust_service_pb2.GetSignaturePolicyRequest, context: RpcContext
    ) -> trust_service_pb2.GetSignaturePolicyResponse:
        """The policy in force."""
        return convert.policy_message(self._policy)
