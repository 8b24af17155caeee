"""`lienthong auditor emergency` against a running consent role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from lienthong.agent.cli import main

from tests.integration.consent.ward import DOCTOR, HOSPITAL, OTHER, SECOND, WHY, Ward

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(ward: Ward, tmp_path: Path) -> Command:
    """Runs a command as an auditor; gives exit code and output."""
    token = tmp_path / "token"
    made = ward.running.identities
    gateway = made.workload("gateway")

    def call(*arguments: str, employer: str = "") -> tuple[int, str]:
        token.write_text(made.tokens.auditor(employer=employer, at=ward.clock()), "utf-8")
        options = {
            "--gateway": ward.running.address,
            "--authority": made.pki.authority,
            "--token-file": token,
            "--certificate": gateway.certificate,
            "--private-key": gateway.private_key,
            "--server-name": "consent.lienthong.internal",
        }
        given = [str(part) for option in options.items() for part in option]
        done = CliRunner().invoke(main, ["auditor", *given, "emergency", *arguments])
        # The server under test writes its log into what is captured of the standard error.
        return done.exit_code, done.stdout if done.exit_code == 0 else done.output

    return call


async def test_a_review_from_the_queue_to_the_statistics(ward: Ward, command: Command) -> None:
    async def run(*arguments: str, employer: str = "") -> list[str]:
        code, output = await asyncio.to_thread(command, *arguments, employer=employer)
        assert code == 0, output
        return output.splitlines()

    first = (await ward.open(ward.app.enrol())).emergency_access.name
    ward.clock.advance(timedelta(minutes=1))
    second = (await ward.open(ward.app.enrol(), DOCTOR, OTHER)).emergency_access.name
    await ward.confirm(first, SECOND)
    await ward.widen(first)
    lines = await run("list")
    assert [line.split()[0] for line in lines] == [first, second]
    assert lines[0].split()[1:3] == ["CONFIRMED", "WIDENED"]
    assert [line.split()[0] for line in await run("list", "--facility", OTHER)] == [second]
    assert [line.split()[0] for line in await run("list", employer=HOSPITAL)] == [second]
    shown = await run("show", first)
    assert f"  why       {WHY}" in shown
    assert any(line.startswith("  confirmed") and line.endswith(SECOND) for line in shown)
    finding = "Nothing in the book of the ward says so."
    assert await run("review", first, "unjustified", "--finding", finding) == [f"{first}  UNJUSTIFIED"]
    assert [line.split()[0] for line in await run("list")] == [second]
    assert [line.split()[0] for line in await run("list", "--all")] == [first, second]
    counted = await run("statistics", "--facility", HOSPITAL)
    assert counted == [
        f"{HOSPITAL}{who}  opened 1  unconfirmed 0  widened 1  reviewed 1  unjustified 1  overdue 0  over the median 1.0"
        for who in ("", f" {DOCTOR}")
    ]
    code, output = await asyncio.to_thread(command, "review", first, "justified", "--finding", finding)
    assert code == 1
    assert "REVIEW_CLOSED" in output
