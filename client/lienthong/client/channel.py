"""Channels to the gateway: TLS, the facility's client certificate, its access token, and a trace id for every call."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import grpc

from lienthong.client.retry import SERVICE_CONFIG

Source = bytes | Path
LARGEST_MESSAGE = 20 * 1024 * 1024
TRACEPARENT: ContextVar[str] = ContextVar("lienthong_traceparent", default="")
"""W3C trace context that calls continue; empty starts a fresh trace for each."""


def channel_options() -> list[tuple[str, Any]]:
    """Options of every channel: the retry policy, and pings that notice a dead connection within half a minute."""
    return [
        ("grpc.service_config", SERVICE_CONFIG),
        ("grpc.enable_retries", 1),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


def new_traceparent() -> str:
    """A fresh W3C trace context, sampled."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"


class _CallMetadata(grpc.AuthMetadataPlugin):
    """Puts the current access token on every call."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        try:
            callback((("authorization", f"Bearer {self._token()}"),), None)
        except Exception as error:  # noqa: BLE001 - gRPC turns it into UNAVAILABLE for this call
            callback((), error)


def connect(
    target: str,
    *,
    authority: Source,
    certificate: Source | None = None,
    private_key: Source | None = None,
    token: Callable[[], str] | str | None = None,
    server_name: str | None = None,
) -> grpc.aio.Channel:
    """An asynchronous channel to `host:port`. `authority` is the CA bundle (PEM), certificate and key the facility's (PEM), `token` the access token or a
    function that returns a valid one; `server_name` is set when the certificate's name differs from the host. Every call needs a timeout."""
    credentials, options = _prepare(authority, certificate, private_key, token, server_name)
    interceptors: list[Any] = [_TraceUnary(), _TraceStream()]
    return grpc.aio.secure_channel(target, credentials, options=options, interceptors=interceptors)


def connect_sync(
    target: str,
    *,
    authority: Source,
    certificate: Source | None = None,
    private_key: Source | None = None,
    token: Callable[[], str] | str | None = None,
    server_name: str | None = None,
) -> grpc.Channel:
    """As `connect`, blocking."""
    credentials, options = _prepare(authority, certificate, private_key, token, server_name)
    return grpc.secure_channel(target, credentials, options=options)


def _prepare(
    authority: Source,
    certificate: Source | None,
    private_key: Source | None,
    token: Callable[[], str] | str | None,
    server_name: str | None,
) -> tuple[grpc.ChannelCredentials, Sequence[tuple[str, Any]]]:
    credentials = grpc.ssl_channel_credentials(
        _read(authority), _read(private_key) if private_key else None, _read(certificate) if certificate else None
    )
    if token is not None:
        fixed = token
        provide = (lambda: fixed) if isinstance(fixed, str) else fixed
        credentials = grpc.composite_channel_credentials(
            credentials, grpc.metadata_call_credentials(_CallMetadata(provide))
        )
    options = [
        *channel_options(),
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ]
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    return credentials, options


def _read(source: Source) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _traced(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    if "traceparent" not in metadata:
        metadata.add("traceparent", TRACEPARENT.get() or new_traceparent())
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


class _TraceUnary(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg] # generic in the stubs only
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_traced(client_call_details), request)


class _TraceStream(grpc.aio.StreamStreamClientInterceptor):  # type: ignore[type-arg] # generic in the stubs only
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(_traced(client_call_details), request_iterator)
