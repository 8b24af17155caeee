"""Starts a signing role with its witnesses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy, WitnessGroup
from lienthong.client.tlog.witness import PATH, AddCheckpoint

from deploy.local.ports import Ports
from services.chassis.settings import TelemetrySettings
from services.signing.__main__ import compose
from services.signing.config import Settings, StampSettings, WitnessSettings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, StartRole
from tests.integration.signing.outside import LocalWitness
from tests.integration.signing.witnessed import NO_STAMPS, ORIGIN, PROMISER, Log


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
        path, database = tmp_path / "trust.policy", database_for("signing")
        path.write_text(policy.encode())
        settings = Settings(
            server=identities.server_settings("signing"),
            database=database,
            telemetry=TelemetrySettings(log_level="error"),
            log_key=identities.pki.folder / "log.pem",
            log_origin=ORIGIN,
            witness=WitnessSettings(policy=path, timeout=timedelta(seconds=2), patience=patience),
            stamp=stamp,
            checkpoint_interval=timedelta(milliseconds=50),
        )
        running = await stack.enter_async_context(start_role("signing", compose, settings))
        return Log(running, witnesses, policy, log, database)

    yield start
    await stack.aclose()
    ports.release()
