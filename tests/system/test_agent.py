"""The agent's command line against a whole stack: batches, the offline queue killed in the middle, and verdicts in words."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lienthong.agent.profile import Profile, load_profile
from lienthong.agent.queue import SealedQueue
from lienthong.agent.spool import Spool
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc, submission_pb2
from lienthong.samples.generator import Generator
from lienthong.signing.v1 import verdict_pb2

from deploy.local.seed import sample_person
from deploy.local.suite import LocalStack
from tests.system.stack_access import channel_of

pytestmark = pytest.mark.xdist_group("stack")
FACILITY = "19001"


def profile_of(stack: LocalStack) -> tuple[str, Profile]:
    (path,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == FACILITY]
    return path, load_profile(Path(path))


def unsigned(stack: LocalStack, folder: Path, prefix: str, count: int, seed: int) -> Path:
    generator, persons = Generator(seed), [sample_person(one) for one in stack.endpoints["persons"]]
    folder.mkdir()
    for number in range(count):
        episode = generator.episode(persons[number % len(persons)], FACILITY, "3176")
        (folder / f"{prefix}-{number:03}.xml").write_bytes(episode.content)
    return folder


def agent(stack: LocalStack, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lienthong.agent", "--profile", profile_of(stack)[0], *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def done(stack: LocalStack, *arguments: str) -> tuple[int, str]:
    process = agent(stack, *arguments)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


async def kept(stack: LocalStack, prefix: str) -> dict[str, submission_pb2.Submission]:
    """Everything that the system holds of these documents, by its own account; an id that is held twice fails."""
    channel = channel_of(stack, FACILITY)
    stub, found, token = intake_service_pb2_grpc.IntakeServiceStub(channel), dict[str, submission_pb2.Submission](), ""
    while True:
        request = intake_service_pb2.ListSubmissionsRequest(page_size=500, page_token=token)
        page = await stub.ListSubmissions(request, timeout=20)
        for one in page.submissions:
            assert one.document_id not in found
            found[one.document_id] = one
        token = page.next_page_token
        if not token:
            break
    await channel.close(None)
    return {name: one for name, one in found.items() if name.startswith(prefix)}


def test_one_signature_for_thirty_documents(stack: LocalStack, folder: Path) -> None:
    documents = unsigned(stack, folder / "batch", "batch", 30, 501)
    status, text = done(stack, "submit", str(documents), "--batch", "20")
    assert (status, "accepted 30, rejected 0" in text) == (0, True), text
    assert text.count("one signature for") == 2
    status, text = done(stack, "submit", str(documents), "--batch", "20")
    assert (status, "already accepted 30" in text, "one signature" in text) == (0, True, False), text

    async def verdict() -> verdict_pb2.Verdict:
        channel = channel_of(stack, FACILITY)
        stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        name = (await kept(stack, "batch"))["batch-007"].name
        answer = await stub.GetSubmission(intake_service_pb2.GetSubmissionRequest(name=name), timeout=20)
        await channel.close(None)
        return answer.submission.verdict

    (signature,) = asyncio.run(verdict()).signatures
    assert signature.format == verdict_pb2.SIGNATURE_FORMAT_BATCH
    assert signature.indication == verdict_pb2.INDICATION_TOTAL_PASSED


def test_the_queue_survives_a_kill(stack: LocalStack, folder: Path) -> None:
    documents = unsigned(stack, folder / "queue", "queue", 120, 502)
    status, text = done(stack, "queue", "add", str(documents))
    assert (status, "queued 120" in text) == (0, True), text
    spool = profile_of(stack)[1].spool
    names = [file.name for file in (spool / "queue").iterdir()]
    assert not [name for name in names if "queue-" in name]
    process, end = agent(stack, "queue", "send"), time.monotonic() + 60
    while len(SealedQueue(spool).items()) == 120 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status, text = done(stack, "queue", "send", "--until-empty")
    assert (status, "refused 0, waiting 0" in text) == (0, True), text
    assert SealedQueue(spool).items() == []
    held = asyncio.run(kept(stack, "queue"))
    assert {name: one.content_sha256 for name, one in held.items()} == {
        name: digest for name, digest in Spool(spool).accepted().items() if name.startswith("queue")
    }
    assert len(held) == 120
    assert all(Spool(spool).receipt_path(one.name).exists() for one in held.values())


@pytest.mark.parametrize("form", ["xmldsig", "xades", "cms", "xades-detached", "jws"])
def test_every_form_is_explained(stack: LocalStack, folder: Path, form: str) -> None:
    documents = unsigned(stack, folder / "plain", f"form-{form}", 1, 503)
    status, text = done(stack, "sign", str(documents), "--out", str(folder / "signed"), "--format", form)
    assert status == 0, text
    file = folder / "signed" / f"form-{form}-000.xml"
    status, text = done(stack, "verify", str(file))
    assert (status, "TOTAL_PASSED" in text) == (0, True), text
    file.write_bytes(file.read_bytes().replace(b"MACSKCB", b"MACSKCC"))
    status, text = done(stack, "verify", str(file), "--language", "vi")
    assert (status, "TOTAL_FAILED" in text) == (1, True), text
