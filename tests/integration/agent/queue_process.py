"""A process that adds to a queue or sends it, for tests that kill it: `queue_process add FOLDER COUNT` or `send FOLDER ADDRESS`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import grpc
from lienthong.agent.queue import SealedQueue
from lienthong.agent.sending import QueueSender, Sent
from lienthong.agent.spool import Spool
from lienthong.records.v1 import submission_pb2


def document(number: int) -> submission_pb2.DocumentSubmission:
    return submission_pb2.DocumentSubmission(document_id=f"d{number:03}", content=f"<G>{number}</G>".encode() * 500)


def add(folder: Path, count: int) -> None:
    queue = SealedQueue(folder)
    with queue.locked():
        for number in range(count):
            queue.add(document(number), datetime.now(UTC))
            print(number, flush=True)


async def send(folder: Path, address: str) -> Sent:
    @asynccontextmanager
    async def connect() -> AsyncIterator[grpc.aio.Channel]:
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel

    queue = SealedQueue(folder)
    sender = QueueSender(queue, Spool(folder), connect, report=print)
    with queue.locked():
        return await sender.send()


if __name__ == "__main__":
    if sys.argv[1] == "add":
        add(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        asyncio.run(send(Path(sys.argv[2]), sys.argv[3]))
