"""What happens after the answer: log, papers, and the insurer's portal, also when each of them is down for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from aiohttp.web import Application
from lienthong.records.v1 import intake_service_pb2, submission_pb2

from deploy.local.reception import Reception
from services.chassis.clock import system_clock
from services.chassis.errors import PeerUnavailable
from services.records.config import InsurerSettings, Settings
from services.records.delivery.insurer import InsurerPortal, open_portal
from services.records.ports import InsurerRefused, InsurerUnavailable
from tests.fakes.records_samples import FACILITY, accepted, episode
from tests.integration.records.conftest import Records, StartRecords, document, sha256

pb = submission_pb2
PASSWORD = "mat-khau"


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[TestServer]:
    """The simulator of the insurer's reception portal."""
    application = Application()
    application.add_routes(Reception("bv01001", PASSWORD, tmp_path / "received").routes())
    server = TestServer(application)
    async with server:
        yield server


@pytest.fixture
def insurer(portal: TestServer, tmp_path: Path) -> InsurerSettings:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n", "utf-8")
    return InsurerSettings(str(portal.make_url("/insurer")), "bv01001", password)


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    """What a check returns once it is true."""
    for _ in range(200):
        found = await check()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("not in time")


async def submission(records: Records, name: str) -> submission_pb2.Submission:
    request = intake_service_pb2.GetSubmissionRequest(name=name)
    found: submission_pb2.Submission = (await records.intake("GetSubmission", request)).submission
    return found


async def received(portal: TestServer) -> dict[str, Any]:
    async with ClientSession() as http, http.get(portal.make_url("/insurer/received")) as response:
        found: dict[str, Any] = await response.json()
        return found


async def set_mode(portal: TestServer, mode: str) -> None:
    async with ClientSession() as http, http.post(portal.make_url(f"/insurer/mode/{mode}")):
        pass


async def test_one_intake_reaches_the_insurer_too(
    start_records: StartRecords, insurer: InsurerSettings, portal: TestServer
) -> None:
    records = await start_records(insurer=insurer)
    answer = await records.submit(document(episode(1)))

    async def acknowledged() -> submission_pb2.Submission | None:
        found = await submission(records, answer.name)
        return found if found.state == pb.SUBMISSION_STATE_ACKNOWLEDGED else None

    found = await until(acknowledged)
    steps = {change.state: change for change in found.history}
    assert steps[pb.SUBMISSION_STATE_DELIVERED].destination == "insurer"
    assert steps[pb.SUBMISSION_STATE_ACKNOWLEDGED].reason.startswith(f"{FACILITY}-")
    found = await received(portal)
    assert (list(found["received"]), found["twice"]) == ([sha256(episode(1))], 0)


async def test_a_portal_that_is_down_is_tried_again(
    start_records: StartRecords, insurer: InsurerSettings, portal: TestServer
) -> None:
    records = await start_records(insurer=insurer)
    await set_mode(portal, "down")
    answer = await records.submit(document(episode(1)))
    await records.until_logged(answer.name)
    assert (await received(portal))["files"] == 0
    await set_mode(portal, "up")
    await until(lambda: _arrived(portal))
    assert (await received(portal))["twice"] == 0


async def _arrived(portal: TestServer) -> bool:
    return bool((await received(portal))["files"] == 1)


async def test_a_log_that_is_down_completes_receipts_when_it_is_back(records: Records) -> None:
    answer = await records.submit(document(episode(1)))
    await records.until_logged(answer.name)
    records.signing.covered = 1
    second = await records.submit(document(episode(2), "b"))
    await asyncio.sleep(0.3)
    assert not (await submission(records, second.name)).receipt.tlog_proof
    records.signing.covered = 2
    assert (await records.until_logged(second.name)).receipt.tlog_proof == "proof of 1"


async def test_papers_wait_for_the_referrals_role(records: Records) -> None:
    records.slips.fault = PeerUnavailable("referrals")
    answer = await records.submit(document(episode(5, referral_to="79001", follow_up=True)))
    await asyncio.sleep(0.3)
    assert not records.slips.papers
    records.slips.fault = None

    async def arrived() -> bool:
        return len(records.slips.papers) == 2

    await until(arrived)
    assert {slip.document for slip in records.slips.papers.values()} == {UUID(answer.document.partition("/")[2])}


async def test_delivered_messages_leave_the_outbox(records: Records, settings: Settings) -> None:
    answer = await records.submit(document(episode(5, referral_to="79001", follow_up=True)))
    await records.until_logged(answer.name)

    async def empty() -> bool:
        url = (settings.database.owner_url or "").replace("+psycopg", "")
        async with await psycopg.AsyncConnection.connect(url) as connection:
            row = await (await connection.execute("SELECT count(*) FROM outbox")).fetchone()
        return row == (0,)

    await until(empty)


async def test_the_adapter_renews_its_session_and_names_refusals(insurer: InsurerSettings, portal: TestServer) -> None:
    content = accepted(episode(1)).incoming.content
    async with open_portal(insurer, system_clock) as adapter:
        first = await adapter.deliver(FACILITY, "3176", content, check_in=False)
        assert first.startswith(FACILITY)
        assert await adapter.deliver(FACILITY, "4750", content, check_in=False) != first
        adapter._session = ("stale", "stale", adapter._session[2])  # type: ignore[index] # it has one by now
        assert await adapter.deliver(FACILITY, "3176", content, check_in=False)
        with pytest.raises(InsurerRefused):
            await adapter.deliver(FACILITY, "3176", b"", check_in=False)
        await set_mode(portal, "down")
        with pytest.raises(InsurerUnavailable):
            await adapter.deliver(FACILITY, "3176", content, check_in=False)
        await set_mode(portal, "up")
        check_in = accepted(episode(2)).incoming.content
        for version in ("4750", "3176"):
            assert await adapter.deliver(FACILITY, version, check_in, check_in=True)
        seen = [one["check_in"] for one in (await received(portal))["received"].values()]
        assert seen == [False, True]
        await set_mode(portal, "refuse")
        with pytest.raises(InsurerRefused):
            await adapter.deliver(FACILITY, "3176", content, check_in=False)
    wrong = Path(insurer.password_file or "")
    wrong.write_text("wrong", "utf-8")
    async with open_portal(insurer, system_clock) as adapter:
        with pytest.raises(InsurerUnavailable):
            await adapter.deliver(FACILITY, "3176", content, check_in=False)


async def test_a_portal_nobody_serves(insurer: InsurerSettings) -> None:
    async with ClientSession() as http:
        nowhere = InsurerSettings("http://127.0.0.1:1/insurer", "u", insurer.password_file)
        adapter = InsurerPortal(http, nowhere, "x", system_clock)
        with pytest.raises(InsurerUnavailable):
            await adapter.deliver(FACILITY, "3176", b"x", check_in=False)
