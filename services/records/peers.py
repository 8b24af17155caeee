"""The ports to other roles, over gRPC. Background work acts for this role itself; reads forward the end actor's token."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from uuid import UUID

import grpc
from lienthong.consent.v1 import decision_service_pb2, decision_service_pb2_grpc
from lienthong.identity.v1 import (
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_service_pb2,
    person_service_pb2_grpc,
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)
from lienthong.referrals.v1 import slip_import_service_pb2, slip_import_service_pb2_grpc
from lienthong.signing.v1 import (
    log_service_pb2,
    log_service_pb2_grpc,
    trust_pb2,
    trust_service_pb2,
    trust_service_pb2_grpc,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

from services.chassis.errors import PeerRefused
from services.chassis.feed import Batch, Redirect
from services.chassis.peers import call_peer, stream_peer
from services.records.convert import feed as feed_convert
from services.records.convert import peers as convert
from services.records.formats.document import ParsedDocument
from services.records.model import Case, Decision, Filing, Query, Verdict
from services.records.proof import AlgorithmRule, Compromise, EvidencePiece, TimestampedCheckpoint
from services.records.service.slips import slip_from_json

_BATCH_SECONDS = 15.0
_READ_SECONDS = 5.0
_WATCH_SECONDS = 3600.0
_LARGEST_PAGE = 500
_MOST_EVIDENCE = 200


class PeerAnswerShort(Exception):
    """A peer answered another number of items than it was asked for; nothing of the answer can be used."""


class GrpcSigning:
    """`Signing`. A batch mixes callers, so this role asks on its own behalf."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._verification = verification_service_pb2_grpc.VerificationServiceStub(channel)
        self._log = log_service_pb2_grpc.LogAppendServiceStub(channel)
        self._readers = log_service_pb2_grpc.LogServiceStub(channel)
        self._trust = trust_service_pb2_grpc.TrustServiceStub(channel)

    async def verify(self, cases: Sequence[Case]) -> Sequence[Verdict]:
        """Judges a batch."""
        request = verification_service_pb2.VerifyDocumentsRequest(
            documents=[convert.signed_document(case) for case in cases]
        )
        method = self._verification.VerifyDocuments
        response = await call_peer(method, request, timeout=_BATCH_SECONDS, name="signing", forward=False)
        _count(cases, response.verdicts)
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

    async def compromised(self) -> Sequence[Compromise]:
        """Asks for the compromised signers, a page at a time."""
        found: list[Compromise] = []
        token = ""
        while True:
            request = trust_service_pb2.ListSignerCertificatesRequest(
                state=trust_pb2.SIGNER_CERTIFICATE_STATE_COMPROMISED, page_size=_LARGEST_PAGE, page_token=token
            )
            method = self._trust.ListSignerCertificates
            response = await call_peer(method, request, timeout=_BATCH_SECONDS, name="signing", forward=False)
            found += [convert.compromise_in(one) for one in response.signer_certificates]
            token = response.next_page_token
            if not token:
                return found

    async def evidence(self, hashes: Sequence[str]) -> Sequence[EvidencePiece]:
        """Asks for evidence until the peer has no more of it; what it gives is held against its hash."""
        found: dict[str, EvidencePiece] = {}
        open_hashes = list(dict.fromkeys(hashes))
        while open_hashes:
            asked, open_hashes = open_hashes[:_MOST_EVIDENCE], open_hashes[_MOST_EVIDENCE:]
            while asked:
                request = verification_service_pb2.BatchGetEvidenceRequest(sha256=asked)
                method = self._verification.BatchGetEvidence
                response = await call_peer(method, request, timeout=_READ_SECONDS, name="signing", forward=False)
                given = {one.sha256: convert.evidence_in(one) for one in response.evidence if one.sha256 in asked}
                if not given:
                    break
                found.update(given)
                asked = [one for one in asked if one not in given]
        return list(found.values())

    async def timestamped_checkpoint(self, leaf_index: int) -> TimestampedCheckpoint | None:
        """Asks for the checkpoint, and then for the entry's proof under that very one."""
        request = log_service_pb2.GetCheckpointTimestampRequest(least_size=leaf_index + 1)
        method = self._readers.GetCheckpointTimestamp
        try:
            response = await call_peer(method, request, timeout=_READ_SECONDS, name="signing", forward=False)
        except PeerRefused as error:
            if error.peer_reason == "CHECKPOINT_NOT_FOUND":
                return None
            raise
        checkpoint = convert.timestamped_checkpoint_in(response)
        proofs = log_service_pb2.BatchGetEntryProofsRequest(
            leaf_indexes=[leaf_index], tree_size=convert.checkpoint_size(checkpoint.checkpoint)
        )
        answer = await call_peer(
            self._log.BatchGetEntryProofs, proofs, timeout=_READ_SECONDS, name="signing", forward=False
        )
        _count([leaf_index], answer.proofs)
        return convert.proven_checkpoint(checkpoint, answer.proofs[0]) if answer.proofs[0] else None

    async def algorithms(self) -> Sequence[AlgorithmRule]:
        """Asks for the signature policy."""
        request = trust_service_pb2.GetSignaturePolicyRequest()
        method = self._trust.GetSignaturePolicy
        response = await call_peer(method, request, timeout=_READ_SECONDS, name="signing", forward=False)
        return [convert.algorithm_in(one) for one in response.algorithms]


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


class GrpcPersonFeed:
    """The feed of the person index."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = person_service_pb2_grpc.PersonServiceStub(channel)

    async def open(self, cursor: str) -> AsyncGenerator[Batch[Redirect], None]:
        """Follows after a cursor, for an hour at the most; who wants more asks again."""
        request = person_service_pb2.WatchPersonsRequest(cursor=cursor)
        async with aclosing(
            stream_peer(self._stub.WatchPersons, request, timeout=_WATCH_SECONDS, name="identity")
        ) as answers:
            async for answer in answers:
                yield feed_convert.person_batch(answer)
