"""Channels to other roles: mTLS, one retry policy, trace and end actor passed on, deadlines that shrink on the way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from lienthong.client.channel import channel_options
from lienthong.client.errors import from_rpc_error
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from services.chassis.call import CALL
from services.chassis.deadline import child_timeout
from services.chassis.errors import PeerRefused, PeerUnavailable
from services.chassis.settings import ServerSettings
from services.chassis.statements import tracer_of
from services.chassis.telemetry import TRACEPARENT, traceparent

_UNAVAILABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)


@dataclass(frozen=True)
class PeerSettings:
    """A role to call: its name and `host:port`."""

    name: str
    address: str


@asynccontextmanager
async def channel(peer: PeerSettings, settings: ServerSettings) -> AsyncIterator[grpc.aio.Channel]:
    """A channel with this role's certificate; the peer must show `<role>.lienthong.internal`."""
    credentials = grpc.ssl_channel_credentials(
        settings.authority.read_bytes(), settings.private_key.read_bytes(), settings.certificate.read_bytes()
    )
    options = [
        *channel_options(),
        ("grpc.ssl_target_name_override", f"{peer.name}.lienthong.internal"),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
    ]
    opened = grpc.aio.secure_channel(peer.address, credentials, options=options)
    try:
        yield opened
    finally:
        await opened.close(None)


async def call_peer(
    method: Callable[..., Any], request: Any, *, timeout: float, name: str, forward: bool = True
) -> Any:
    """Calls a peer with at most `timeout` seconds of what is left. The token of the end actor travels along, unless `forward` is false: then this
    role acts itself. Raises PeerUnavailable, or PeerRefused with the peer's reason."""
    path = getattr(method, "_method", b"").decode().lstrip("/")
    span = tracer_of(trace.get_tracer_provider()).start_span(
        path or name,
        kind=SpanKind.CLIENT,
        attributes={"rpc.system.name": "grpc"},
        record_exception=False,
        set_status_on_exception=False,
    )
    token = otel_context.attach(trace.set_span_in_context(span))
    try:
        metadata = [(TRACEPARENT, traceparent())]
        call = CALL.get()
        if forward and call is not None:
            metadata.extend(call.forwarded)
        return await method(request, timeout=child_timeout(timeout), metadata=metadata)
    except grpc.aio.AioRpcError as error:
        span.set_status(Status(StatusCode.ERROR))
        if error.code() in _UNAVAILABLE:
            raise PeerUnavailable(name) from error
        raise PeerRefused(name, from_rpc_error(error).reason or error.code().name) from error
    finally:
        otel_context.detach(token)
        span.end()


async def stream_peer(
    method: Callable[..., Any], request: Any, *, timeout: float, name: str
) -> AsyncGenerator[Any, None]:
    """The answers of a peer's stream, asked for by this role itself in background work; it ends after `timeout` seconds at the latest. Raises
    PeerUnavailable, or PeerRefused with the peer's reason. Close it (`contextlib.aclosing`) when it is left early.
    """
    call = method(request, timeout=timeout, metadata=[(TRACEPARENT, traceparent())])
    try:
        async for answer in call:
            yield answer
    except grpc.aio.AioRpcError as error:
        if error.code() in _UNAVAILABLE:
            raise PeerUnavailable(name) from error
        raise PeerRefused(name, from_rpc_error(error).reason or error.code().name) from error
    finally:
        call.cancel()
