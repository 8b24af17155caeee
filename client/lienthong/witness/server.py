"""The HTTP side of a witness."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from aiohttp import web

from lienthong.client.tlog.witness import LARGEST_REQUEST, PATH
from lienthong.witness.config import WitnessConfig
from lienthong.witness.keys import load_cosigner
from lienthong.witness.store import WitnessStore
from lienthong.witness.witness import Witness

_READ_SECONDS = 10.0
_WAITING = 64
"""Requests that may wait for the one writer; more are turned away with 503."""


def application(witness: Witness, worker: ThreadPoolExecutor) -> web.Application:
    """The application. SQLite waits for the disk, so every decision is made in `worker`, which has one thread."""
    waiting = 0

    async def add_checkpoint(request: web.Request) -> web.Response:
        nonlocal waiting
        if waiting >= _WAITING:
            return web.Response(status=503, text="busy\n")
        waiting += 1
        try:
            async with asyncio.timeout(_READ_SECONDS):
                body = await request.read()
            answer = await asyncio.get_running_loop().run_in_executor(worker, witness.add_checkpoint, body)
        except TimeoutError:
            return web.Response(status=408, text="too slow\n")
        finally:
            waiting -= 1
        _log("add_checkpoint", status=answer.status, reason=answer.reason)
        return web.Response(status=answer.status, text=answer.body, content_type=answer.content_type)

    app = web.Application(client_max_size=LARGEST_REQUEST)
    app.router.add_post(PATH, add_checkpoint)
    return app


async def serve(config: WitnessConfig) -> None:
    """Serves until SIGTERM or SIGINT; raises ConfigInvalid, StoreMissing, OSError."""
    cosigner = load_cosigner(config)
    tls = None
    if config.certificate is not None and config.private_key is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(config.certificate, config.private_key)
    store = WitnessStore(config.database)
    worker = ThreadPoolExecutor(1, thread_name_prefix="witness")
    runner = web.AppRunner(
        application(Witness(cosigner, config.logs, store, lambda: datetime.now(UTC)), worker), access_log=None
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await runner.setup()
        await web.TCPSite(runner, config.host, config.port, ssl_context=tls).start()
        _log("serving", address=f"{config.host}:{config.port}", witness=config.name)
        await stopped.wait()
    finally:
        await runner.cleanup()
        worker.shutdown()
        store.close()


def _log(event: str, **fields: str | int) -> None:
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
    sys.stderr.write(json.dumps(line) + "\n")
