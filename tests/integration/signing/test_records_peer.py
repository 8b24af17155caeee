"""What the records role asks of signing for evidence, by its own code against the real role."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.agent.signing.cms import sign_detached
from lienthong.client.errors import from_rpc_error
from lienthong.client.tlog.checkpoint import open_checkpoint
from lienthong.client.tlog.merkle import leaf_hash, verify_inclusion
from lienthong.client.tlog.proof import TlogProof
from lienthong.signing.v1 import trust_service_pb2, trust_service_pb2_grpc

from deploy.local.ports import Ports
from services.chassis.principal import PrincipalKind
from services.records.peers import GrpcSigning
from services.records.proof import Compromise, EvidenceKind
from services.signing.config import StampSettings
from tests.fixtures.identities import Running
from tests.integration.signing.outside import OpensslTimestamps, listen
from tests.integration.signing.test_trust_and_log import judge, register, signer, signing
from tests.integration.signing.witnessed import Start, until

__all__ = ["signing"]


async def report(signing: Running, name: str, since: datetime) -> None:
    at = Timestamp()
    at.FromDatetime(since)
    request = trust_service_pb2.ReportKeyCompromiseRequest(name=name, request_id=str(uuid.uuid4()), compromise_time=at)
    async with signing.as_officer(PrincipalKind.ADMIN) as channel:
        await trust_service_pb2_grpc.TrustServiceStub(channel).ReportKeyCompromise(request, timeout=5)


async def test_compromised_keys_are_told_with_their_time(signing: Running) -> None:
    pairs = [signing.identities.pki.signer("01001", algorithm="p256") for _ in range(3)]
    registered = [await register(signing, pair) for pair in pairs]
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    async with signing.as_role("records") as channel:
        peer = GrpcSigning(channel)
        assert await peer.compromised() == []
        for one in registered[:2]:
            await report(signing, one.name, since)
        expected = {Compromise(one.name.removeprefix("signerCertificates/"), since) for one in registered[:2]}
        assert set(await peer.compromised()) == expected
    async with signing.as_officer(PrincipalKind.ADMIN) as channel:
        stub = trust_service_pb2_grpc.TrustServiceStub(channel)
        # The filter is part of what a page token was made for.
        request = trust_service_pb2.ListSignerCertificatesRequest(state=3, page_size=1)  # type: ignore[arg-type] # COMPROMISED
        first = await stub.ListSignerCertificates(request, timeout=5)
        assert len(first.signer_certificates) == 1
        other = trust_service_pb2.ListSignerCertificatesRequest(page_size=1, page_token=first.next_page_token)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListSignerCertificates(other, timeout=5)
        assert [one.field for one in from_rpc_error(refused.value).violations] == ["page_token"]
        unknown = trust_service_pb2.ListSignerCertificatesRequest(state=99)  # type: ignore[arg-type] # not of the contract
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListSignerCertificates(unknown, timeout=5)
        assert [one.field for one in from_rpc_error(refused.value).violations] == ["state"]


async def test_the_policys_algorithms_and_evidence_by_hash(signing: Running) -> None:
    async with signing.as_role("records") as channel:
        peer = GrpcSigning(channel)
        rules = {(one.name, one.least_key_bits): one.until for one in await peer.algorithms()}
        assert rules["sha256", 0] is None
        assert rules["rsa-pkcs1v15-sha256", 2048] == datetime(2031, 1, 1, tzinfo=UTC)
        pair = signing.identities.pki.signer("01001", algorithm="p256")
        await register(signing, pair)
        verdict = await judge(signing, b"a document", sign_detached(b"a document", signer(pair)))
        named = list(verdict.signatures[0].evidence_sha256)
        assert set(verdict.signatures[0].chain_sha256) <= set(named)
        # More than one question takes, with some that nobody has.
        found = {one.sha256: one for one in await peer.evidence([*(f"{at:064x}" for at in range(250)), *named])}
        assert found.keys() == set(named)
        assert {one.kind for one in found.values()} == {EvidenceKind.CERTIFICATE, EvidenceKind.REVOCATION_LIST}
        assert found[named[0]].content == pair.certificate_der
        assert await peer.evidence([]) == []


async def test_the_time_stamped_checkpoint_with_the_entrys_proof_under_it(start_log: Start, tmp_path: Path) -> None:
    ports, authority = Ports(), OpensslTimestamps(tmp_path)
    address = ports.reserve()
    runner = await listen(authority.application(), address)
    stamp = StampSettings(f"http://{address}/tsa", authority.roots, timedelta(milliseconds=50), timedelta(seconds=5))
    log = await start_log(stamp=stamp)
    async with log.running.as_role("records") as channel:
        peer = GrpcSigning(channel)
        assert await peer.timestamped_checkpoint(7) is None
        first, _ = await log.append(2)
        found = await until(lambda: peer.timestamped_checkpoint(first))
        assert found is not None
        assert await authority.verifies(found.token, found.checkpoint.encode())
        stated, _ = open_checkpoint(found.checkpoint, log.policy.logs)
        proof = TlogProof.parse(found.tlog_proof)
        # The proof carries the very bytes that are stamped.
        assert proof.checkpoint == found.checkpoint
        assert proof.extra == log.entries[first]
        verify_inclusion(proof.index, stated.size, leaf_hash(log.entries[first]), proof.path, stated.root)
        # More entries and cosignatures change nothing of it.
        await log.append(3)
        await until(lambda: peer.timestamped_checkpoint(4))
        assert await peer.timestamped_checkpoint(first) == found
    await runner.cleanup()
    ports.release()
