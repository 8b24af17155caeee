"""The ports to other roles, over gRPC. Background work acts for this role itself; reads forward the end actor's token."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import grpc
from lienthong.consent.v1 import decision_service_pb2, decision_service_pb2_grpc
from lienthong.identity.v1 import (
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)
from lienthong.referrals.v1 import slip_import_service_pb2, slip_import_service_pb2_grpc
from lienthong.signing.v1 import (
    log_service_pb2,
    log_service_pb2_grpc,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

from services.chassis.errors import PeerRefused
from services.chassis.peers import call_peer
from services.records.convert import peers as convert
from services.records.formats.document import ParsedDocument
from services.records.model import Decision, Filing, Incoming, Query, Verdict
from services.records.service.slips import slip_from_json

_BATCH_SECONDS = 15.0
_READ_SECONDS = 5.0


class PeerAnswerShort(Exception):
    """A peer answered another number of items than it was asked for; nothing of the answer can be used."""


class GrpcSigning:
    """`Signing`. A batch mixes callers, so this role asks on its own behalf."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._verification = verification_service_pb2_grpc.VerificationServiceStub(channel)
        self._log = log_service_pb2_grpc.LogAppendServiceStub(channel)

    async def verify(self, documents: Sequence[Incoming]) -> Sequence[Verdict]:
        """Judges a batch."""
        request = verification_service_pb2.VerifyDocumentsRequest(
            documents=[convert.signed_document(document) for document in documents]
        )
        method = self._verification.VerifyDocuments
        response = await call_peer(method, request, timeout=_BATCH_SECONDS, name="signing", forward=False)
        _count(documents, response.verdicts)
        return [convert.verdict_in(verdict) for verdict in response.verdicts]

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """Appends to the log."""
        request = log_service_pb2.AppendEntriesRequest(entries=entries)
        method = self._log.AppendEntries
        response = await call_peer(method, request, timeout=_BATCH_SECONDS, name="signing", forward=False)
        _count(entries, response.leaf_indexes)
        return list(response.leaf_indexes)

    async def proofs(self, indexes: Sequence[int]) -> Sequence[str]:
        """Asks for proofs."""
        request = log_service_pb2.BatchGetEntryProofsRequest(leaf_indexes=indexes)
        method = self._log.BatchGetEntryProofs
        response = await call_peer(method, request, timeout=_BATCH_SECONDS, name="signing", forward=False)
        _count(indexes, response.proofs)
        return list(response.proofs)


class GrpcIdentity:
    """`Identity`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._records = source_record_service_pb2_grpc.SourceRecordServiceStub(channel)
        self._organizations = organization_service_pb2_grpc.OrganizationServiceStub(channel)

    async def file(self, documents: Sequence[ParsedDocument]) -> Sequence[Filing]:
        """Files a batch."""
        request = source_record_service_pb2.FileSourceRecordsRequest(
            records=[convert.source_record(document) for document in documents]
        )
        method = self._records.FileSourceRecords
        response = await call_peer(method, request, timeout=_BATCH_SECONDS, name="identity", forward=False)
        _count(documents, response.filings)
        return [convert.filing_in(filing) for filing in response.filings]

    async def active(self, facility: str) -> bool:
        """Whether a facility takes part."""
        request = organization_service_pb2.GetOrganizationRequest(name=f"organizations/{facility}")
        method = self._organizations.GetOrganization
        try:
            response = await call_peer(method, request, timeout=_READ_SECONDS, name="identity", forward=False)
        except PeerRefused as error:
            if error.peer_reason == "ORGANIZATION_NOT_FOUND":
                return False
            raise
        return bool(response.organization.state == organization_pb2.ORGANIZATION_STATE_ACTIVE)


class GrpcConsent:
    """`Consent`. The end actor's token travels along, so the decision is about that actor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = decision_service_pb2_grpc.DecisionServiceStub(channel)

    async def decide(self, query: Query) -> Decision:
        """Asks for one decision."""
        request = decision_service_pb2.DecideRequest(queries=[convert.decision_query(query)])
        response = await call_peer(self._stub.Decide, request, timeout=_READ_SECONDS, name="consent")
        _count(request.queries, response.decisions)
        return convert.decision_in(response.decisions[0])


class GrpcSlips:
    """`Slips`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = slip_import_service_pb2_grpc.SlipImportServiceStub(channel)

    async def hand_over(self, slips: Sequence[tuple[UUID, bytes]]) -> None:
        """Imports papers."""
        request = slip_import_service_pb2.ImportSlipsRequest(
            slips=[convert.slip_message(event, slip_from_json(payload)) for event, payload in slips]
        )
        await call_peer(self._stub.ImportSlips, request, timeout=_BATCH_SECONDS, name="referrals", forward=False)


def _count(asked: Sequence[object], answered: Sequence[object]) -> None:
    if len(asked) != len(answered):
        raise PeerAnswerShort
