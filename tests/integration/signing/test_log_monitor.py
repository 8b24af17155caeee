"""A monitor over the public API of a real signing role, whose operator tampers with the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web
from lienthong.client.tlog.receipt import ReceiptWitnessMissing, verify_receipt
from lienthong.monitor.monitor import Monitor
from lienthong.monitor.renewal import renewed
from lienthong.monitor.source import GrpcLog
from lienthong.monitor.state import MonitorState
from sqlalchemy.engine import make_url

from tests.integration.signing.witnessed import DOCUMENT, Log, Start, entry, until

Check = Callable[[Log], Awaitable[list[str]]]


@pytest.fixture
async def check(tmp_path: Path) -> AsyncIterator[Check]:
    """One pass of the monitor of facility 01001, two hours from now."""
    (tmp_path / "receipts").mkdir()
    state = MonitorState(tmp_path / "monitor.db")

    async def one_pass(log: Log) -> list[str]:
        async with log.running.as_facility() as channel:
            monitor = Monitor(
                GrpcLog(channel),
                log.policy,
                state,
                lambda: datetime.now(UTC) + timedelta(hours=2),
                facilities=["01001"],
                receipts=tmp_path / "receipts",
            )
            return [str(one) for one in await monitor.check()]

    yield one_pass
    state.close()


def tamper(log: Log, *statements: str) -> None:
    owner = make_url(log.database.owner_url or "").set(drivername="postgresql")
    with psycopg.connect(owner.render_as_string(hide_password=False)) as connection:
        for statement in statements:
            connection.execute(statement)


async def test_an_honest_log_gives_no_alarm(start_log: Start, check: Check, tmp_path: Path) -> None:
    log = await start_log()
    for size in (3, 10):
        await log.append(size - len(log.entries))
        await log.published(size, witnessed=True)
        proof = await until(lambda: log.proof(0))
        (tmp_path / f"receipts/{size}.json").write_text(log.receipt(0, proof).to_json())
        assert await check(log) == []


async def test_an_entry_that_was_promised_and_never_logged(start_log: Start, check: Check, tmp_path: Path) -> None:
    log = await start_log()
    await log.append(2)
    await log.published(2, witnessed=True)
    log.entries.append(entry(3))
    (tmp_path / "receipts/lost.json").write_text(log.receipt(2, "").to_json())
    (alarm,) = await check(log)
    assert alarm.startswith("PROMISE_BROKEN: lost.json was due ")


async def test_an_entry_that_was_dropped_from_the_database(start_log: Start, check: Check) -> None:
    log = await start_log()
    await log.append(5)
    await log.published(5, witnessed=True)
    tamper(log, "DELETE FROM log_entry WHERE leaf_index = 4")
    assert await check(log) == ["ENTRIES_MISMATCH: entries 0 to 4"]


async def test_a_log_that_was_set_back(start_log: Start, check: Check) -> None:
    log = await start_log()
    await log.append(3)
    await log.published(3, witnessed=True)
    await log.append(2)
    await log.published(5, witnessed=True)
    assert await check(log) == []
    tamper(
        log,
        "DELETE FROM log_cosignature WHERE size > 3",
        "DELETE FROM log_witnessed WHERE size > 3",
        "DELETE FROM log_checkpoint WHERE size > 3",
        "DELETE FROM log_entry WHERE leaf_index >= 3",
        "UPDATE log_state SET size = 3",
    )
    assert await check(log) == ["LOG_SHRANK: from 5 to 3"]
    # Grown again with other entries it is another history, and no witness signs it.
    log.entries = log.entries[:3]
    log.entries.append(b"")
    await log.append(3)
    await log.published(6, witnessed=False)
    alarms = await check(log)
    assert alarms == ["CONSISTENCY_BROKEN: from 5 to 6"]


async def test_a_receipt_of_an_outage_is_renewed_once_the_witnesses_are_back(start_log: Start) -> None:
    log = await start_log(down=3, patience=timedelta(milliseconds=1))
    await log.append(3)
    receipt = log.receipt(1, await until(lambda: log.proof(1)))
    with pytest.raises(ReceiptWitnessMissing):
        verify_receipt(receipt, log.policy, document=DOCUMENT)
    async with log.running.as_facility() as channel:
        source = GrpcLog(channel)
        assert await renewed(receipt, source, log.policy) is None
        for witness in log.witnesses[:2]:
            await witness.start()
        await log.published(3, witnessed=True)
        again = await renewed(receipt, source, log.policy)
    assert again is not None
    assert len(verify_receipt(again, log.policy, document=DOCUMENT).witnesses) == 2
    assert (again.entry, again.promise, again.salt) == (receipt.entry, receipt.promise, receipt.salt)


async def test_a_witness_whose_answer_was_lost_signs_again(start_log: Start) -> None:
    """It put the checkpoint on disk, and the log never heard of it."""
    log = await start_log(down=2)
    lost: list[bytes] = []
    witness = log.witnesses[0]

    async def lose(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        answer = await handler(request)
        if answer.status == 200 and len(lost) < 2:
            lost.append(await request.read())
            raise ConnectionResetError
        return answer

    witness.middlewares = [web.middleware(lose)]
    await witness.start()
    await log.append(2)
    await log.published(2, witnessed=True)
    assert len(lost) == 2
    assert witness.seen() == 2
