"""Parties outside of the log, on loopback: witnesses as they ship, and a time-stamp authority that is `openssl ts`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lienthong.client.tlog.checkpoint import Cosigner
from lienthong.client.tlog.note import VerifierKey
from lienthong.witness.server import application as witness_application
from lienthong.witness.store import WitnessStore
from lienthong.witness.witness import Witness

from deploy.local.authorities import application
from deploy.local.pki import Pki
from deploy.local.ports import Ports
from tests.fixtures.debian import openssl


class LocalWitness:
    """A witness in this process; it can be away and come back with its memory."""

    def __init__(self, name: str, folder: Path, log: VerifierKey, ports: Ports) -> None:
        self.name = name
        self.cosigner = Cosigner(f"witness.example/{name}", Ed25519PrivateKey.generate())
        self.address = ports.reserve()
        self.middlewares: list[Any] = []
        self.store_path = folder / f"{name}.sqlite3"
        self._log = log
        self._runner: web.AppRunner | None = None
        self._store: WitnessStore | None = None
        self._worker = ThreadPoolExecutor(1)
        WitnessStore.create(self.store_path)

    async def start(self) -> None:
        self._store = WitnessStore(self.store_path)
        logs = {self._log.name: [self._log]}
        witness = Witness(self.cosigner, logs, self._store, lambda: datetime.now(UTC))
        app = witness_application(witness, self._worker)
        app.middlewares.extend(self.middlewares)
        self._runner = await listen(app, self.address)

    async def stop(self) -> None:
        if self._runner is not None and self._store is not None:
            await self._runner.cleanup()
            self._store.close()
            self._runner = None

    def seen(self) -> int:
        """Size that it cosigned last."""
        with closing(WitnessStore(self.store_path)) as store:
            latest = store.latest(self._log.name)
            return latest.size if latest else 0

    def forks(self) -> list[str]:
        """Notes that contradict what it cosigned."""
        with closing(WitnessStore(self.store_path)) as store:
            return store.forks(self._log.name)


async def listen(app: web.Application, address: str) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    host, _, port = address.rpartition(":")
    await web.TCPSite(runner, host, int(port)).start()
    return runner


def answering(path: str, answer: Callable[[web.Request], Awaitable[web.Response]]) -> web.Application:
    """A server with one POST path."""
    app = web.Application()
    app.router.add_post(path, answer)
    return app


class OpensslTimestamps:
    """The time-stamp authority of a local stack, under a root of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = Pki(folder / "authority").public_authorities()
        self.roots = self.folder / "time-root.crt"
        self.application = partial(application, self.folder)

    async def verifies(self, token: bytes, content: bytes) -> bool:
        """Whether `openssl ts -verify` takes the token for the content."""
        (self.folder / "token.der").write_bytes(token)
        (self.folder / "content").write_bytes(content)
        said = await run(
            *("ts", "-verify", "-token_in", "-in", str(self.folder / "token.der")),
            *("-data", str(self.folder / "content"), "-CAfile", str(self.roots)),
        )
        return b"Verification: OK" in said


async def run(*arguments: str) -> bytes:
    """Output of an openssl command."""
    process = await asyncio.create_subprocess_exec(
        openssl(), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0]
