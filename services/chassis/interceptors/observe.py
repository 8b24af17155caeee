"""observe: the span, the metrics and the access-log line of a call, and its trace id on every answer.

The stock interceptor reports OK after an abort and puts exception text, which can hold a patient's name, on the span; hence our own.
"""

from __future__ import annotations

import time

import grpc
from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.trace import Status, StatusCode

from services.chassis import log
from services.chassis.interceptors.adapter import Inbound, Proceed
from services.chassis.status import TRACE_HEADER
from services.chassis.telemetry import TRACEPARENT, Telemetry, parse_traceparent

_DURATION = metrics.get_meter("lienthong").create_histogram(
    "rpc.server.call.duration", unit="s", description="Duration of inbound calls by method and code."
)
_QUIET = frozenset({"grpc.health.v1.Health/Check"})
_SERVER_FAULTS = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS}
)


class Observe:
    """Outermost: sees every call and its final code."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    async def around(self, inbound: Inbound, proceed: Proceed) -> None:
        """Measures the call. After an abort the context holds the code, which is all that is recorded."""
        if inbound.method in _QUIET:
            await proceed()
            return
        started = time.perf_counter()
        remote = parse_traceparent(inbound.metadata.get(TRACEPARENT, ""))
        attributes = {"rpc.system.name": "grpc", "rpc.method": inbound.method}
        span = self._telemetry.server_span(inbound.method, remote, attributes)
        inbound.trace_id = f"{span.get_span_context().trace_id:032x}"
        inbound.context.set_trailing_metadata(((TRACE_HEADER, inbound.trace_id),))
        token = otel_context.attach(trace.set_span_in_context(span))
        cancelled = True
        try:
            await proceed()
            cancelled = False
        except Exception:
            cancelled = False
            raise
        finally:
            otel_context.detach(token)
            code = grpc.StatusCode.CANCELLED if cancelled else _code(inbound)
            seconds = time.perf_counter() - started
            if span.is_recording():
                span.set_attribute("rpc.response.status_code", code.name)
                span.set_attribute("lienthong.workload", inbound.workload.role)
                span.set_attribute("lienthong.principal.kind", inbound.principal.kind.value)
                if code in _SERVER_FAULTS:
                    span.set_status(Status(StatusCode.ERROR))
            span.end()
            _DURATION.record(seconds, {"rpc.method": inbound.method, "rpc.response.status_code": code.name})
            log.event(
                "call",
                method=inbound.method,
                code=code.name,
                seconds=round(seconds, 6),
                workload=inbound.workload.role,
                principal=inbound.principal.kind.value,
                trace_id=inbound.trace_id,
            )


def _code(inbound: Inbound) -> grpc.StatusCode:
    code = inbound.context.code()
    if isinstance(code, grpc.StatusCode):
        return code
    return next((one for one in grpc.StatusCode if one.value[0] == code), grpc.StatusCode.OK)
