"""How people of the platform reach the gateway: operators, stewards, auditors and citizens, with a token of their own instead of a facility's profile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import grpc

from lienthong.agent.session import run
from lienthong.client.channel import connect

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Officer:
    """A connection to be. The token is read for every call, so that a login may renew its file meanwhile."""

    def __init__(
        self,
        gateway: str,
        authority: Path,
        token_file: Path,
        certificate: Path | None,
        private_key: Path | None,
        server_name: str,
    ) -> None:
        self._gateway = gateway
        self._authority = authority
        self._token = token_file
        self._certificate = certificate
        self._private_key = private_key
        self._server_name = server_name

    def token(self) -> str:
        """The caller's access token as it is now."""
        return self._token.read_text("utf-8").strip()

    def on_channel(self, work: Callable[[grpc.aio.Channel], Awaitable[T]]) -> T:
        """Opens a channel, does the work, closes it; what goes wrong ends in one message."""

        async def inside() -> T:
            channel = connect(
                self._gateway,
                authority=self._authority,
                certificate=self._certificate,
                private_key=self._private_key,
                token=self.token,
                server_name=self._server_name or None,
            )
            try:
                return await work(channel)
            finally:
                await channel.close(None)

        return run(inside())


def connection(command: F) -> F:
    """The options of a connection, as keyword arguments of `Officer`."""
    options = (
        click.option(
            "--gateway", envvar="LIENTHONG_GATEWAY", required=True, help="host:port of the public gRPC listener."
        ),
        click.option(
            "--authority", envvar="LIENTHONG_AUTHORITY", required=True, type=_FILE, help="CA bundle of the gateway."
        ),
        click.option(
            "--token-file", envvar="LIENTHONG_TOKEN_FILE", required=True, type=_FILE, help="The caller's access token."
        ),
        click.option(
            "--certificate", envvar="LIENTHONG_CERTIFICATE", type=_FILE, default=None, help="Where one is asked for."
        ),
        click.option("--private-key", envvar="LIENTHONG_PRIVATE_KEY", type=_FILE, default=None, help="Its key."),
        click.option(
            "--server-name", default="", help="Where the gateway's certificate has another name than its host."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
