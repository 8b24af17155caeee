"""A signing role with its witnesses, for tests of the log."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import grpc
from lienthong.client.tlog.checkpoint import Checkpoint, open_checkpoint
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.promise import format_time, promise_entry
from lienthong.client.tlog.receipt import Receipt, commitment
from lienthong.signing.v1 import log_service_pb2, log_service_pb2_grpc

from services.chassis.settings import DatabaseSettings
from services.signing.config import StampSettings
from tests.fixtures.identities import Running
from tests.integration.signing.outside import LocalWitness

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
    database: DatabaseSettings
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


Start = Callable[..., Awaitable[Log]]
