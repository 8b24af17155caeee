"""What every command shares: the profile, the key, the channel, and errors in words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lienthong.agent.profile import ENVIRONMENT, Profile, ProfileInvalid, load_profile

if TYPE_CHECKING:
    # Loaded at first use: gRPC and X.509 take longer to load than most commands to run.
    import grpc

    from lienthong.agent.signing.signer import Signer
    from lienthong.agent.signing.timestamping import Stamp
    from lienthong.agent.tokens import ClientCredentials
    from lienthong.client.errors import LienthongError

T = TypeVar("T")
CALL_SECONDS = 20.0
"""Deadline of a unary call; the gateway refuses calls without one."""


class Session:
    """One use of the CLI. The profile is read when a command needs it, so that offline commands need none."""

    def __init__(self, profile_path: Path | None, licence: str, role: str) -> None:
        self._path = profile_path
        self._licence = licence
        self._role = role
        self._profile: Profile | None = None
        self._authentication: tuple[str, int] = ("", 0)

    def authenticated(self, acr: str, at: int) -> None:
        """The facility says how (authentication context class) and when (seconds since 1970) it authenticated the practitioner."""
        self._authentication = (acr, at)

    @property
    def command(self) -> str:
        """The command in hand, such as `submit`; names the root span."""
        context = click.get_current_context(silent=True)
        return context.info_name or "agent" if context else "agent"

    @property
    def profile(self) -> Profile:
        """The facility's profile."""
        if self._profile is None:
            path = self._path or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
            if path is None:
                raise click.ClickException(f"no profile: give --profile or set {ENVIRONMENT}")
            try:
                self._profile = load_profile(path)
            except ProfileInvalid as error:
                raise click.ClickException(str(error)) from error
        return self._profile

    def signer(self, role: str = "facility") -> Signer:
        """The key of `facility` or `practitioner` that the profile names."""
        from lienthong.agent.signing.opening import open_signer
        from lienthong.agent.signing.signer import SigningError

        try:
            return open_signer(self.profile.key_source(role))
        except (ProfileInvalid, SigningError) as error:
            raise click.ClickException(str(error)) from error

    def stamp(self) -> Stamp:
        """The time-stamp authority that the profile names."""
        from lienthong.agent.signing.signer import SigningError
        from lienthong.agent.signing.timestamping import TimestampClient

        profile = self.profile
        if not profile.timestamp_url or profile.timestamp_authority is None:
            raise click.ClickException("the profile names no time-stamp authority: timestamp_url, timestamp_authority")
        try:
            return TimestampClient(profile.timestamp_url, profile.timestamp_authority)
        except SigningError as error:
            raise click.ClickException(str(error)) from error

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A channel to the gateway with the facility's certificate and token."""
        from lienthong.agent.tokens import ClientCredentials
        from lienthong.agent.tracing import traced

        profile = self.profile
        tokens = ClientCredentials(
            profile.token_endpoint,
            authority=profile.authority,
            certificate=profile.client_certificate,
            private_key=profile.client_key,
            licence=self._licence,
            role=self._role,
            authentication=self._authentication,
        )
        await asyncio.to_thread(tokens)
        with traced(self.command):
            async with self._connected(tokens) as channel:
                yield channel

    @asynccontextmanager
    async def _connected(self, tokens: ClientCredentials) -> AsyncIterator[grpc.aio.Channel]:
        from lienthong.client.channel import connect

        profile = self.profile
        channel = connect(
            profile.gateway,
            authority=profile.authority,
            certificate=profile.client_certificate,
            private_key=profile.client_key,
            token=tokens,
            server_name=profile.server_name or None,
        )
        try:
            yield channel
        finally:
            await channel.close(None)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine; whatever goes wrong ends in one clear message and exit code 1."""
    import grpc

    from lienthong.agent.tokens import TokenRefused
    from lienthong.client.errors import LienthongError, from_rpc_error

    try:
        return asyncio.run(work)
    except grpc.aio.AioRpcError as error:
        raise click.ClickException(describe(from_rpc_error(error))) from error
    except LienthongError as error:
        raise click.ClickException(describe(error)) from error
    except TokenRefused as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        # A certificate or key that the profile names is not there, or TLS cannot use it.
        raise click.ClickException(f"{error.filename or 'TLS'}: {type(error).__name__}") from error


def call(session: Session, work: Callable[[grpc.aio.Channel], Awaitable[T]]) -> T:
    """Opens a channel, does the work, closes it."""

    async def inside() -> T:
        async with session.channel() as channel:
            return await work(channel)

    return run(inside())


def describe(error: LienthongError) -> str:
    """An error in words: reason, every wrong field, what would change it, and the trace id to quote to support."""
    lines = [f"{error.reason or error.code.name}: {error.message}"]
    lines += [f"  {violation.field}: {violation.description}" for violation in error.violations]
    lines += [f"  {name}: {value}" for name, value in sorted(error.metadata.items())]
    if error.trace_id:
        lines.append(f"  trace: {error.trace_id}")
    return "\n".join(lines)
