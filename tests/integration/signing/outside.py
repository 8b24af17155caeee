"""Parties outside of the log, on loopback: witnesses as they ship, and a time-stamp authority that is `openssl ts`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from lienthong.client.tlog.checkpoint import Cosigner
from lienthong.client.tlog.note import VerifierKey
from lienthong.witness.server import application
from lienthong.witness.store import WitnessStore
from lienthong.witness.witness import Witness

from deploy.local.pki import Authority
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
        app = application(witness, self._worker)
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


_SETTINGS = """
[tsa]
default_tsa = ours
[ours]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
certs = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


class OpensslTimestamps:
    """A time-stamp authority under a root of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        root, key = Authority("Throw-away time-stamp root"), ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        certificate = root.issue("Throw-away time-stamp authority", key, [(usage, True)])
        self.roots = folder / "roots.pem"
        self.roots.write_bytes(root.pem)
        (folder / "tsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_SETTINGS.format(folder=folder))

    def application(self) -> web.Application:
        return answering("/tsa", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        query = self.folder / "query.tsq"
        query.write_bytes(await request.read())
        reply = await run("ts", "-reply", "-config", str(self.folder / "tsa.cnf"), "-queryfile", str(query))
        return web.Response(body=reply, content_type="application/timestamp-reply")

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
