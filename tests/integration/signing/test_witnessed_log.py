"""Receipts under the quorum of witnesses, what happens while it is missing, and time-stamps over checkpoints."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.client.errors import from_rpc_error
from lienthong.client.tlog.checkpoint import Checkpoint, cosignatures, open_checkpoint, sign_checkpoint
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.proof import TlogProof
from lienthong.client.tlog.receipt import (
    ReceiptCosignatureInvalid,
    ReceiptWitnessMissing,
    verify_receipt,
)
from lienthong.client.tlog.witness import PATH
from lienthong.signing.v1 import log_service_pb2, log_service_pb2_grpc

from deploy.local.ports import Ports
from services.chassis.settings import SettingsError
from services.signing.config import StampSettings
from tests.fixtures.identities import Identities
from tests.integration.signing.outside import OpensslTimestamps, answering, listen
from tests.integration.signing.witnessed import DOCUMENT, ORIGIN, Start, until


async def test_a_receipt_has_the_quorum(start_log: Start) -> None:
    log = await start_log()
    (index,) = await log.append()
    proof = await until(lambda: log.proof(index))
    report = verify_receipt(log.receipt(index, proof), log.policy, document=DOCUMENT)
    assert len(report.witnesses) >= 2
    note = await log.published(1, witnessed=True)
    assert log.policy.satisfied(
        {seen.key for seen in cosignatures(open_checkpoint(note, log.policy.logs)[1], log.policy.witnesses.values())}
    )


async def test_a_receipt_fails_by_name_without_quorum_and_with_a_corrupted_cosignature(start_log: Start) -> None:
    log = await start_log()
    await log.append()
    await log.published(1, witnessed=True)
    proof = TlogProof.parse(await until(lambda: log.proof(0)))
    text, *lines = proof.checkpoint.split("\n— ")
    note = [f"\n— {line}" for line in lines]
    bare = text + note[0] if note[0].endswith("\n") else text + note[0] + "\n"
    with pytest.raises(ReceiptWitnessMissing) as missing:
        verify_receipt(log.receipt(0, with_checkpoint(proof, bare)), log.policy, document=DOCUMENT)
    assert missing.value.reason == "WITNESS_QUORUM_MISSING"
    name, value = lines[1].split()
    raw = bytearray(base64.b64decode(value))
    raw[40] ^= 1
    wrong = proof.checkpoint.replace(value, base64.b64encode(bytes(raw)).decode())
    with pytest.raises(ReceiptCosignatureInvalid) as invalid:
        verify_receipt(log.receipt(0, with_checkpoint(proof, wrong)), log.policy, document=DOCUMENT)
    assert (invalid.value.reason, name in str(invalid.value)) == ("COSIGNATURE_INVALID", True)


def with_checkpoint(proof: TlogProof, checkpoint: str) -> str:
    return TlogProof(proof.index, proof.path, checkpoint, proof.extra).encode()


async def test_one_witness_may_be_away_and_is_brought_up_to_date(start_log: Start) -> None:
    log = await start_log(down=1)
    for size in (1, 2, 3):
        await log.append()
        await log.published(size, witnessed=True)
    away = log.witnesses[0]
    assert away.seen() == 0
    await away.start()

    async def caught_up() -> bool:
        return away.seen() == 3

    await until(caught_up)


async def test_receipts_wait_for_the_quorum(start_log: Start) -> None:
    log = await start_log(down=2)
    await log.append()
    note = await log.published(1, witnessed=False)
    assert await log.proof(0) == ""
    # A caller that names the published size gets the proof as it is.
    assert TlogProof.parse(await log.proof(0, tree_size=1)).checkpoint.startswith(note.split("\n\n")[0])
    await log.witnesses[0].start()
    await log.published(1, witnessed=True)
    proof = await until(lambda: log.proof(0))
    verify_receipt(log.receipt(0, proof), log.policy, document=DOCUMENT)


async def test_beyond_the_patience_receipts_are_completed_and_say_what_is_missing(start_log: Start) -> None:
    log = await start_log(down=3, patience=timedelta(milliseconds=1))
    await log.append()
    proof = await until(lambda: log.proof(0))
    receipt = log.receipt(0, proof)
    with pytest.raises(ReceiptWitnessMissing):
        verify_receipt(receipt, log.policy, document=DOCUMENT)
    # Whoever asks for no witness can still see that it is logged.
    alone = TrustPolicy(logs=log.policy.logs, promise_keys=log.policy.promise_keys)
    assert verify_receipt(receipt, alone, document=DOCUMENT).leaf_index == 0
    assert not (await log.newest())[1]


async def test_a_witness_that_saw_another_history_is_not_won_over(start_log: Start, identities: Identities) -> None:
    key = load_pem_private_key(identities.pki.ed25519("log").read_bytes(), None)
    other = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), NoteSigner(ORIGIN, key))  # type: ignore[arg-type] # Ed25519 by construction
    log = await start_log(down=2, shown=other)
    await log.append(3)
    await log.published(3, witnessed=False)
    forked = log.witnesses[0]

    async def evidence() -> list[str]:
        return forked.forks()

    (kept,) = await until(evidence)
    # The note that the log made and the one that the witness cosigned are of one size: both signed by the log, so they convict it.
    assert (await log.newest())[2].startswith(kept.split("\n\n")[0])
    assert not (await log.newest())[1]
    assert await log.proof(0) == ""


async def test_a_false_cosignature_is_not_kept(start_log: Start) -> None:
    ports = Ports()
    address = ports.reserve()
    asked: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.read())
        return web.Response(text="— witness.example/ministry " + base64.b64encode(bytes(76)).decode() + "\n")

    runner = await listen(answering(PATH, answer), address)
    log = await start_log(down=2, strangers={"ministry": f"http://{address}"})
    await log.append()

    async def was_asked() -> bool:
        return bool(asked)

    await until(was_asked)
    note = await log.published(1, witnessed=False)
    assert "witness.example/ministry" not in note
    await runner.cleanup()
    ports.release()


async def test_proofs_under_a_size_that_is_not_published(start_log: Start) -> None:
    log = await start_log()
    await log.append()
    await log.published(1, witnessed=True)
    for size in (2, -1):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await log.proof(0, tree_size=size)
        assert from_rpc_error(caught.value).reason == "CHECKPOINT_NOT_FOUND"


async def test_checkpoints_are_time_stamped(start_log: Start, tmp_path: Path) -> None:
    ports, authority = Ports(), OpensslTimestamps(tmp_path)
    address = ports.reserve()
    runner = await listen(authority.application(), address)
    stamp = StampSettings(f"http://{address}/tsa", authority.roots, timedelta(milliseconds=50), timedelta(seconds=5))
    log = await start_log(stamp=stamp)

    async def stamped(least_size: int) -> log_service_pb2.GetCheckpointTimestampResponse | None:
        async with log.running.as_facility() as channel:
            stub = log_service_pb2_grpc.LogServiceStub(channel)
            request = log_service_pb2.GetCheckpointTimestampRequest(least_size=least_size)
            try:
                return await stub.GetCheckpointTimestamp(request, timeout=5)
            except grpc.aio.AioRpcError as error:
                assert from_rpc_error(error).reason == "CHECKPOINT_NOT_FOUND"
                return None

    assert await stamped(0) is None
    for size in (1, 2, 3):
        await log.append()
        answer = await until(lambda size=size: stamped(size))  # type: ignore[misc] # bound at once
        assert answer is not None
        assert open_checkpoint(answer.checkpoint, log.policy.logs)[0].size >= size
        assert await authority.verifies(answer.timestamp_token, answer.checkpoint.encode())
        assert not await authority.verifies(answer.timestamp_token, answer.checkpoint.encode() + b" ")
        assert abs(answer.timestamp_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    oldest, newest = await stamped(1), await stamped(0)
    assert oldest is not None
    assert newest is not None
    assert open_checkpoint(oldest.checkpoint, log.policy.logs)[0].size == 1
    assert open_checkpoint(newest.checkpoint, log.policy.logs)[0].size == 3
    await runner.cleanup()
    ports.release()


async def test_a_token_of_a_foreign_authority_is_not_kept(start_log: Start, tmp_path: Path) -> None:
    ports = Ports()
    folders = [tmp_path / "theirs", tmp_path / "ours"]
    for folder in folders:
        folder.mkdir()
    theirs, ours = (OpensslTimestamps(folder) for folder in folders)
    address = ports.reserve()
    asked: list[int] = []
    app = theirs.application()

    async def counted(_: web.Request, response: web.StreamResponse) -> None:
        asked.append(response.status)

    app.on_response_prepare.append(counted)
    runner = await listen(app, address)
    stamp = StampSettings(f"http://{address}/tsa", ours.roots, timedelta(milliseconds=50), timedelta(seconds=5))
    log = await start_log(stamp=stamp)
    await log.append()

    async def was_asked() -> bool:
        return len(asked) > 2

    await until(was_asked)
    async with log.running.as_facility() as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await log_service_pb2_grpc.LogServiceStub(channel).GetCheckpointTimestamp(
                log_service_pb2.GetCheckpointTimestampRequest(), timeout=5
            )
    await runner.cleanup()
    ports.release()


async def test_a_policy_that_cannot_work_stops_the_start(start_log: Start) -> None:
    with pytest.raises(SettingsError, match="no address"):
        await start_log(strangers={"ministry": ""})
