"""One adapter for all four kinds of RPC: every call becomes one coroutine around which the interceptors stand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from services.chassis.errors import DomainError
from services.chassis.principal import NOBODY, Principal
from services.chassis.status import CODES, DETAILS_HEADER, TRACE_HEADER, status_of
from services.chassis.workload import Workload

Proceed = Callable[[], Awaitable[None]]
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Inbound:
    """A call on its way in. Interceptors fill in what they establish; `request` is a message, or an iterator for request streams."""

    api: str
    method: str
    request: Any
    context: Context
    metadata: Mapping[str, str]
    streams_requests: bool
    response: Message | None = None
    trace_id: str = "0" * 32
    end: float = 0.0
    workload: Workload = field(default_factory=lambda: Workload("unknown"))
    principal: Principal = NOBODY
    forwarded: tuple[tuple[str, str], ...] = ()

    async def refuse(self, error: DomainError) -> None:
        """Ends the call with a rich status; does not return."""
        status = status_of(error, self.api, self.trace_id)
        trailing = ((DETAILS_HEADER, status.SerializeToString()), (TRACE_HEADER, self.trace_id))
        await self.context.abort(CODES[error.kind], error.text, trailing_metadata=trailing)


class Interceptor(Protocol):
    """Stands around a call."""

    async def around(self, inbound: Inbound, proceed: Proceed) -> None:
        """Does its part, and proceeds or refuses."""


class Chain(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # generic in the stubs only
    """Puts the interceptors around every handler of one API. What is known of a method is worked out once, at its first call."""

    def __init__(self, api: str, interceptors: Sequence[Interceptor], outside: frozenset[str] = frozenset()) -> None:
        self._api = api
        self._interceptors = tuple(interceptors)
        self._outside = outside
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler with the interceptors around it."""
        path = handler_call_details.method
        known = self._handlers.get(path)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        wrapped = self._wrap(path.lstrip("/"), handler)
        self._handlers[path] = wrapped
        return wrapped

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour: Any = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        streams_responses = bool(handler.response_streaming)
        interceptors = tuple(
            one for one in self._interceptors if not (method in self._outside and getattr(one, "skips_outside", False))
        )

        async def innermost(inbound: Inbound) -> None:
            if streams_responses:
                result = behaviour(inbound.request, inbound.context)
                if isinstance(result, AsyncIterator):
                    async for message in result:
                        await inbound.context.write(message)
                else:
                    await result
            else:
                inbound.response = await behaviour(inbound.request, inbound.context)

        async def run(inbound: Inbound, place: int) -> None:
            if place == len(interceptors):
                await innermost(inbound)
            else:
                await interceptors[place].around(inbound, lambda: run(inbound, place + 1))

        async def serve(request: Any, context: Context) -> Any:
            metadata = {str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            inbound = Inbound(self._api, method, request, context, metadata, bool(handler.request_streaming))
            await run(inbound, 0)
            return inbound.response

        async def serve_stream(request: Any, context: Context) -> None:
            await serve(request, context)

        return _handler(handler, serve_stream if streams_responses else serve)


def _handler(handler: grpc.RpcMethodHandler[Any, Any], behaviour: Any) -> grpc.RpcMethodHandler[Any, Any]:
    makers = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Any = makers[bool(handler.request_streaming), bool(handler.response_streaming)]
    made: grpc.RpcMethodHandler[Any, Any] = make(
        behaviour,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
    return made
