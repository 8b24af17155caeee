"""The outside world as one process: the two issuers, the insurer's portal, and the collector of spans.

`python -m deploy.local.outside FILE` reads its settings from a JSON file and runs until SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from joserfc.jwk import ECKey

from deploy.local.idapp import IdApp, Platform, World
from deploy.local.otlp import OtlpReceiver
from deploy.local.reception import Reception
from deploy.local.tokens import TokenIssuer

LARGEST_BODY = 32 * 1024 * 1024


@dataclass(frozen=True)
class Outside:
    """Settings of the outside world; paths as text, so that they can be written to a file."""

    listen: str
    collector: str
    spans: str
    certificate: str
    private_key: str
    authority: str
    platform_key: str
    citizen_key: str
    client_id: str
    client_jwk: dict[str, Any]
    operators: dict[str, tuple[str, str]]
    insurer_username: str
    insurer_password: str

    @property
    def base(self) -> str:
        """Base URL."""
        return f"https://{self.listen}"


async def serve(settings: Outside) -> None:
    """Runs until told to end."""
    world = World(
        {name: (secret, kind) for name, (secret, kind) in settings.operators.items()},
        settings.client_id,
        ECKey.import_key(settings.client_jwk),
    )
    application = web.Application(client_max_size=LARGEST_BODY)
    platform = TokenIssuer.load(f"{settings.base}/platform", Path(settings.platform_key))
    citizen = TokenIssuer.load(f"{settings.base}/citizen", Path(settings.citizen_key))
    application.add_routes(Platform(platform, world).routes())
    application.add_routes(IdApp(citizen, world).routes())
    application.add_routes(Reception(settings.insurer_username, settings.insurer_password).routes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.authority)
    context.load_cert_chain(settings.certificate, settings.private_key)
    context.verify_mode = ssl.CERT_OPTIONAL
    host, _, port = settings.listen.rpartition(":")
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with OtlpReceiver(settings.collector, Path(settings.spans)):
        await web.TCPSite(runner, host, int(port), ssl_context=context, reuse_address=True).start()
        await told.wait()
    await runner.cleanup()


def main() -> None:
    """Entry point."""
    asyncio.run(serve(Outside(**json.loads(Path(sys.argv[1]).read_text("utf-8")))))


if __name__ == "__main__":
    main()
