"""`lienthong steward` against a running person index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from lienthong.agent.cli import main

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.keyring import FileKeyring
from services.chassis.principal import PrincipalKind
from services.identity.config import Settings
from services.identity.postgres import PostgresStore
from tests.fixtures.identities import Running
from tests.integration.identity.conftest import NAME
from tests.integration.identity.stewards import steward
from tests.integration.identity.test_review_desk import Raiser, half_an_hour_later

ONE, TWO, THREE = "001185000001", "001185000002", "001185000003"
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def consent_address(decision_point: Running) -> str:
    """Persons are read here, and each read rests on a decision."""
    return decision_point.address


@pytest.fixture
async def raiser(identity: Running, settings: Settings, keyring_file: Path) -> AsyncIterator[Raiser]:
    async with Database(settings.database) as database:
        yield Raiser(PostgresStore(database, FileKeyring(keyring_file), system_clock))


@pytest.fixture
def command(identity: Running, tmp_path: Path) -> Command:
    """Runs a command as a steward; gives exit code and output."""
    token = tmp_path / "token"
    made = identity.identities
    gateway = made.workload("gateway")

    def call(*arguments: str, by: str = "steward-1") -> tuple[int, str]:
        token.write_text(made.issuer.mint(PrincipalKind.STEWARD, by) + "\n", "utf-8")
        options = {
            "--gateway": identity.address,
            "--authority": made.pki.authority,
            "--token-file": token,
            "--certificate": gateway.certificate,
            "--private-key": gateway.private_key,
            "--server-name": "identity.lienthong.internal",
        }
        given = [str(part) for option in options.items() for part in option]
        done = CliRunner().invoke(main, ["steward", *given, *arguments])
        # The server under test writes its log into what is captured of the standard error.
        return done.exit_code, done.stdout if done.exit_code == 0 else done.output

    return call


async def run(command: Command, *arguments: str, by: str = "steward-1") -> str:
    """The output of a command that goes well."""
    code, output = await asyncio.to_thread(command, *arguments, by=by)
    assert code == 0, output
    return output


async def test_a_review_from_the_list_to_the_link(
    identity: Running, raiser: Raiser, command: Command, settings: Settings
) -> None:
    async with steward(identity) as desk:
        one, two = await desk.register(ONE), await desk.register(TWO, "Nguyễn Thị Hoa")
    task = await raiser.task(one, two, documents=3)
    assert f"{task}  OPEN  SCORE_BAND  3 documents  1 candidates  +14.0 bits" in await run(command, "reviews")
    shown = (await run(command, "claim")).splitlines()
    assert shown[0].startswith(f"{task}  SCORE_BAND  3 documents  etag ")
    assert shown[2:7] == [
        f"subject {one}",
        f"candidate {two}  +14.0 bits",
        "  human_name   +12.2   +12.2  AGREES        ++++++",
        "  birth_date    +3.5   +15.7  PARTIAL       ++",
        "  phone         -1.8   +13.9  DISAGREES     -",
    ]
    assert f"  demographics.human_name  {NAME}  |  Nguyễn Thị Hoa" in shown
    assert await run(command, "claim", by="steward-2") == "nothing waits\n"
    half_an_hour_later(settings)
    await run(command, "claim", task, by="steward-2")
    code, output = await asyncio.to_thread(command, "decide", task, "same", "--reason", "SEEN_BOTH", by="steward-2")
    assert (code, "person: a candidate of the task" in output) == (1, True)
    decided = await run(command, "decide", task, "same", "--person", two, "--reason", "SEEN_BOTH", by="steward-2")
    assert decided.startswith("DECIDED personLinks/")
    assert f"{two} -> {one}  STEWARD  STEWARD/steward-2  SEEN_BOTH" in await run(command, "events", one)
    assert await run(command, "statistics") == ("waiting 0, decided 1, median 0.0 h\nlooked at twice 0, agreed 0\n")


async def test_links_refusals_and_history(identity: Running, command: Command) -> None:
    async with steward(identity) as desk:
        one, two, three = [await desk.register(number) for number in (ONE, TWO, THREE)]
    made = await run(command, "link", one, two, "--reason", "SAME_PERSON")
    state, name, rest = made.split(maxsplit=2)
    assert (state, rest.strip()) == ("ACTIVE", f"{one} -> {two}")
    assert (await run(command, "unlink", name, "--reason", "TWINS")).startswith(f"UNLINKED {name}\n")
    assert "REFUSED" in await run(command, "refuse", one, three, "--reason", "TWINS")
    code, output = await asyncio.to_thread(command, "link", one, three, "--reason", "SAME_PERSON")
    assert (code, "LINK_REFUSED" in output) == (1, True)
    assert "REFUSAL_WITHDRAWN" in await run(command, "refuse", one, three, "--withdraw", "--reason", "ONE_CHILD")
    assert [line.split("  ")[1] for line in (await run(command, "events", one)).splitlines()] == [
        "LINKED",
        "UNLINKED",
        "REFUSED",
        "REFUSAL_WITHDRAWN",
    ]
    # Nobody has read the person through the link.
    code, output = await asyncio.to_thread(command, "consequences", name)
    assert (code, "accesses/" in output) == (0, False)
