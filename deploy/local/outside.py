"""The outside world as one process: the two issuers, the insurer's portal, and the collector of spans.

`python -m deploy.local.outside FILE` reads its settings from a JSON file and runs until SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from joserfc.jwk import ECKey

from deploy.local.idapp import Accounts, AppClient, IdApp
from deploy.local.notices import Notices
from deploy.local.oauth import Facilities, Operators
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
    facility_key: str
    operator_key: str
    citizen_key: str
    client_id: str
    client_jwk: dict[str, Any]
    operators: dict[str, tuple[str, str]]
    insurer_username: str
    insurer_password: str
    insurer_folder: str

    @property
    def base(self) -> str:
        """Base URL."""
        return f"https://{self.listen}"


@asynccontextmanager
async def opened(settings: Outside) -> AsyncIterator[None]:
    """The outside world while the context is open."""
    application = web.Application(client_max_size=LARGEST_BODY)
    facilities = TokenIssuer.load(f"{settings.base}/facility", Path(settings.facility_key))
    operators = TokenIssuer.load(f"{settings.base}/operator", Path(settings.operator_key))
    citizens = TokenIssuer.load(f"{settings.base}/citizen", Path(settings.citizen_key))
    client = AppClient(settings.client_id, ECKey.import_key(settings.client_jwk))
    secret, _ = settings.operators["admin"]
    reception = Reception(settings.insurer_username, settings.insurer_password, Path(settings.insurer_folder))
    application.add_routes(Facilities(facilities).routes())
    application.add_routes(Operators(operators, settings.operators).routes())
    accounts = Accounts(secret)
    application.add_routes(IdApp(citizens, client, accounts).routes())
    application.add_routes(Notices(citizens.issuer, client, accounts).routes())
    application.add_routes(reception.routes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.authority)
    context.load_cert_chain(settings.certificate, settings.private_key)
    context.verify_mode = ssl.CERT_OPTIONAL
    host, _, port = settings.listen.rpartition(":")
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        async with OtlpReceiver(settings.collector, Path(settings.spans)):
            await web.TCPSite(runner, host, int(port), ssl_context=context, reuse_address=True).start()
            yield
    finally:
        await runner.cleanup()


async def serve(settings: Outside) -> None:
    """Runs until told to end."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with opened(settings):
        await told.wait()


def main() -> None:
    """Entry point."""
    asyncio.run(serve(Outside(**json.loads(Path(sys.argv[1]).read_text("utf-8")))))


if __name__ == "__main__":
    main()
