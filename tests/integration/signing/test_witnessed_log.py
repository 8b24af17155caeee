"""Receipts under the quorum of witnesses, what happens while it is missing, and time-stamps over checkpoints."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import aiohttp
import grpc
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.client.errors import from_rpc_error
from lienthong.client.tlog.checkpoint import Checkpoint, cosignatures, open_checkpoint, sign_checkpoint
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy, WitnessGroup
from lienthong.client.tlog.promise import format_time, promise_entry
from lienthong.client.tlog.proof import TlogProof
from lienthong.client.tlog.receipt import (
    Receipt,
    ReceiptCosignatureInvalid,
    ReceiptWitnessMissing,
    commitment,
    verify_receipt,
)
from lienthong.client.tlog.witness import PATH, AddCheckpoint
from lienthong.signing.v1 import log_service_pb2, log_service_pb2_grpc

from deploy.local.ports import Ports
from services.chassis.settings import SettingsError, TelemetrySettings
from services.signing.__main__ import compose
from services.signing.config import Settings, StampSettings, WitnessSettings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.integration.signing.outside import LocalWitness, OpensslTimestamps, answering, listen

ORIGIN = "log.lienthong.vn/2026"
PROMISER = NoteSigner.generate("lienthong.vn/receipt-promise")
DOCUMENT = b"<GIAMDINHHS/>"
NO_STAMPS = StampSettings()


@dataclass
class Log:
    """A signing role with its witnesses."""

    running: Running
    witnesses: list[LocalWitness]
    policy: TrustPolicy
    log: NoteSigner
    entries: list[bytes] = field(default_factory=list)

    async def append(self, count: int = 1) -> list[int]:
        entries = [entry(len(self.entries) + number + 1) for number in range(count)]
        self.entries += entries
        async with self.running.as_role("records") as channel:
            stub = log_service_pb2_grpc.LogAppendServiceStub(channel)
            answer = await stub.AppendEntries(log_service_pb2.AppendEntriesRequest(entries=entries), timeout=5)
        return list(answer.leaf_indexes)

    async def proof(self, index: int, tree_size: int = 0) -> str:
        async with self.running.as_role("records") as channel:
            stub = log_service_pb2_grpc.LogAppendServiceStub(channel)
            request = log_service_pb2.BatchGetEntryProofsRequest(leaf_indexes=[index], tree_size=tree_size)
            return str((await stub.BatchGetEntryProofs(request, timeout=5)).proofs[0])

    async def newest(self) -> tuple[Checkpoint, bool, str]:
        async with self.running.as_facility() as channel:
            stub = log_service_pb2_grpc.LogServiceStub(channel)
            answer = await stub.GetCheckpoint(log_service_pb2.GetCheckpointRequest(), timeout=5)
        checkpoint, _ = open_checkpoint(answer.checkpoint, self.policy.logs)
        return checkpoint, answer.witnessed, answer.checkpoint

    async def published(self, size: int, *, witnessed: bool) -> str:
        """The checkpoint once it has grown to the size."""

        async def there() -> str:
            try:
                checkpoint, cosigned, note = await self.newest()
            except grpc.aio.AioRpcError:
                return ""
            return note if checkpoint.size >= size and cosigned is witnessed else ""

        return await until(there)

    def receipt(self, index: int, proof: str) -> Receipt:
        one = self.entries[index]
        received = datetime.fromisoformat(json.loads(one)["received_at"])
        return Receipt(one, salt(index + 1), promise_entry(one, received, PROMISER), proof or None)


def salt(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def entry(number: int) -> bytes:
    value = {
        "v": 1,
        "kind": "INSURANCE_RECORD",
        "facility": "01001",
        "sequence": number,
        "submission": f"0190a000-0000-7000-8000-{number:012}",
        "commitment": commitment(salt(number), DOCUMENT).hex(),
        "signer_certificate_sha256": "ab" * 32,
        "indication": "TOTAL_PASSED",
        "received_at": format_time(datetime.now(UTC)),
    }
    return json.dumps(value, separators=(",", ":")).encode()


T = TypeVar("T")


async def until(there: Callable[[], Awaitable[T]]) -> T:
    for _ in range(200):
        found = await there()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")


@pytest.fixture
async def start_log(
    start_role: StartRole, identities: Identities, database_for: DatabaseFor, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Log]]]:
    """Starts a signing role with three witnesses, two of which make the quorum."""
    ports, stack = Ports(), AsyncExitStack()
    log = NoteSigner(ORIGIN, load_pem_private_key(identities.pki.ed25519("log").read_bytes(), None))  # type: ignore[arg-type] # Ed25519 by construction

    async def start(
        down: int = 0,
        patience: timedelta = timedelta(hours=4),
        stamp: StampSettings = NO_STAMPS,
        shown: str = "",
        strangers: dict[str, str] | None = None,
    ) -> Log:
        witnesses = [LocalWitness(name, tmp_path, log.verifier_key, ports) for name in ("ministry", "insurer", "hanoi")]
        for witness in witnesses:
            stack.push_async_callback(witness.stop)
        for witness in witnesses[down:]:
            await witness.start()
        if shown:
            await witnesses[0].start()
            body = AddCheckpoint(0, (), shown).encode()
            async with aiohttp.ClientSession() as http:
                async with http.post(f"http://{witnesses[0].address}{PATH}", data=body) as answer:
                    assert answer.status == 200
        keys = {witness.name: witness.cosigner.verifier_key for witness in witnesses}
        policy = TrustPolicy(
            logs=(log.verifier_key,),
            promise_keys=(PROMISER.verifier_key,),
            witnesses=keys,
            groups={"two": WitnessGroup(2, tuple(keys))},
            quorum="two",
            witness_urls={one.name: f"http://{one.address}" for one in witnesses} | (strangers or {}),
        )
        path = tmp_path / "trust.policy"
        path.write_text(policy.encode())
        settings = Settings(
            server=identities.server_settings("signing"),
            database=database_for("signing"),
            telemetry=TelemetrySettings(log_level="error"),
            log_key=identities.pki.folder / "log.pem",
            log_origin=ORIGIN,
            witness=WitnessSettings(policy=path, timeout=timedelta(seconds=2), patience=patience),
            stamp=stamp,
            checkpoint_interval=timedelta(milliseconds=50),
        )
        running = await stack.enter_async_context(start_role("signing", compose, settings))
        return Log(running, witnesses, policy, log)

    yield start
    await stack.aclose()
    ports.release()


Start = Callable[..., Awaitable[Log]]


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
