"""The queue through crashes and outages: nothing lost, nothing counted twice."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import code_pb2
from lienthong.agent import sending
from lienthong.agent.queue import SealedQueue
from lienthong.agent.sending import QueueSender, Sent
from lienthong.agent.spool import Spool, SpoolState
from lienthong.client.errors import LienthongError
from lienthong.records.v1 import intake_service_pb2, receipt_pb2, submission_pb2

from tests.integration.agent import queue_process
from tests.integration.agent.queue_process import document

COUNT = 120


class Intake:
    """Keeps documents as the real one does: the first answer counts, the same bytes get it again."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.arrived = 0
        self.pause = 0.0
        self.refused = ""

    async def submit_documents(
        self, requests: AsyncIterator[intake_service_pb2.SubmitDocumentsRequest], _: object
    ) -> AsyncIterator[intake_service_pb2.SubmitDocumentsResponse]:
        async for request in requests:
            for one in request.documents:
                self.arrived += 1
                digest = hashlib.sha256(one.content).hexdigest()
                assert self.kept.setdefault(one.document_id, digest) == digest
                result = intake_service_pb2.SubmissionResult(document_id=one.document_id)
                if one.document_id == self.refused:
                    result.error.code = code_pb2.FAILED_PRECONDITION
                    result.error.message = "refused"
                else:
                    receipt = receipt_pb2.Receipt(entry=b"{}", salt=bytes(32), promise="promise")
                    name = f"submissions/{one.document_id}"
                    result.submission.CopyFrom(submission_pb2.Submission(name=name, receipt=receipt))
                yield intake_service_pb2.SubmitDocumentsResponse(results=[result])
                await asyncio.sleep(self.pause)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = grpc.aio.server()
        method = grpc.stream_stream_rpc_method_handler(
            self.submit_documents,
            intake_service_pb2.SubmitDocumentsRequest.FromString,
            intake_service_pb2.SubmitDocumentsResponse.SerializeToString,
        )
        service = "lienthong.records.v1.IntakeService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"SubmitDocuments": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


def child(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", queue_process.__name__, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def fill(folder: Path, count: int) -> None:
    queue_process.add(folder, count)


async def test_kill_while_sending_loses_and_duplicates_nothing(tmp_path: Path) -> None:
    await asyncio.to_thread(fill, tmp_path, COUNT)
    intake = Intake()
    intake.pause = 0.005
    async with intake.serving() as address:
        for mark in (20, 60):
            process = await asyncio.to_thread(child, "send", str(tmp_path), address)
            while len(intake.kept) < mark and process.poll() is None:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.communicate)
            assert process.returncode == -signal.SIGKILL
            waiting, accepted = SealedQueue(tmp_path).items(), Spool(tmp_path).accepted()
            # Whatever is not in the queue any more has its answer and its receipt on disk.
            gone = {f"d{number:03}" for number in range(COUNT)} - {item.document_id for item in waiting}
            assert gone <= accepted.keys()
            assert all(Spool(tmp_path).receipt_path(f"submissions/{name}").exists() for name in gone)
        intake.pause = 0.0
        await queue_process.send(tmp_path, address)
    assert SealedQueue(tmp_path).items() == []
    expected = {f"d{n:03}": hashlib.sha256(document(n).content).hexdigest() for n in range(COUNT)}
    assert intake.kept == expected == Spool(tmp_path).accepted()


async def test_kill_while_adding_keeps_what_was_confirmed(tmp_path: Path) -> None:
    process = await asyncio.to_thread(child, "add", str(tmp_path), "100000")
    assert process.stdout is not None
    confirmed = -1
    while confirmed < 30:
        confirmed = int(await asyncio.to_thread(process.stdout.readline))
    process.send_signal(signal.SIGKILL)
    rest, _ = await asyncio.to_thread(process.communicate)
    confirmed = int(rest.split()[-1]) if rest.endswith("\n") else confirmed
    queue = SealedQueue(tmp_path)
    with queue.locked():
        items = queue.items()
    assert [item.load().document_id for item in items][: confirmed + 1] == [f"d{n:03}" for n in range(confirmed + 1)]
    assert len(items) <= confirmed + 2
    assert [*(tmp_path / "queue").glob("*.part")] == []


async def test_an_answer_before_the_crash_is_not_asked_for_again(tmp_path: Path) -> None:
    await asyncio.to_thread(fill, tmp_path, 3)
    kept = {item.document_id: item.path.read_bytes() for item in SealedQueue(tmp_path).items()}
    paths = {item.document_id: item.path for item in SealedQueue(tmp_path).items()}
    intake = Intake()
    async with intake.serving() as address:
        await queue_process.send(tmp_path, address)
        # As if the process had died after the answer was recorded and before the document was shredded.
        paths["d001"].write_bytes(kept["d001"])
        sent = await queue_process.send(tmp_path, address)
    assert (sent, intake.arrived) == (Sent(accepted=1), 3)
    assert not paths["d001"].exists()


async def test_a_refused_document_stays_with_its_reason_and_is_not_sent_again(tmp_path: Path) -> None:
    await asyncio.to_thread(fill, tmp_path, 3)
    intake = Intake()
    intake.refused = "d001"
    async with intake.serving() as address:
        assert await queue_process.send(tmp_path, address) == Sent(accepted=2, refused=1)
        assert await queue_process.send(tmp_path, address) == Sent()
    (item,) = SealedQueue(tmp_path).items()
    entry = Spool(tmp_path).find("d001")
    assert entry is not None
    assert (item.document_id, item.refused, entry.state, intake.arrived) == ("d001", True, SpoolState.REJECTED, 3)


async def test_sent_when_the_gateway_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(fill, tmp_path, 3)
    intake, pauses = Intake(), list[float]()
    addresses = ["127.0.0.1:1"] * 5
    real = asyncio.sleep

    async def shortly(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    @asynccontextmanager
    async def connect() -> AsyncIterator[grpc.aio.Channel]:
        if addresses:
            addresses.pop()
            raise LienthongError.of_code("UNAVAILABLE", "down")
        async with grpc.aio.insecure_channel(up) as channel:
            yield channel

    async with intake.serving() as up:
        monkeypatch.setattr(sending.random, "uniform", lambda _, most: most)  # type: ignore[attr-defined] # the module as the sender sees it
        queue = SealedQueue(tmp_path)
        sender = QueueSender(queue, Spool(tmp_path), connect, report=lambda *_: None)
        intake.pause = 0
        monkeypatch.setattr(asyncio, "sleep", shortly)
        found = [one async for one in sender.send_until_empty()]
        monkeypatch.undo()
    assert [type(one) for one in found[:-1]] == [type(LienthongError.of_code("UNAVAILABLE", ""))] * 5
    assert (found[-1], queue.items()) == (Sent(accepted=3), [])
    assert pauses[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]


async def test_death_in_the_middle_of_shredding_damages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(fill, tmp_path, 3)
    queue = SealedQueue(tmp_path)
    first, *others = queue.items()

    def dies(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            queue.shred(first)
    assert [item.path for item in SealedQueue(tmp_path).items()] == [item.path for item in others]
    with queue.locked():
        assert {path.suffix for path in (tmp_path / "queue").iterdir()} == {".item", ""}
