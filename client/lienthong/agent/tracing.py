"""The agent's own root span, where the facility has a collector: OTEL_EXPORTER_OTLP_ENDPOINT set and the extra `tracing` installed.

Without either, calls still carry a fresh W3C trace context, so every receipt and error has a trace id.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lienthong.client.channel import TRACEPARENT

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@contextmanager
def traced(command: str) -> Iterator[None]:
    """A CLIENT span named after the command around what is done inside; it holds no argument of the command."""
    if not os.environ.get(ENDPOINT):
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind
    except ImportError:
        yield
        return
    provider = TracerProvider(resource=Resource.create({"service.name": "lienthong-agent"}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(insecure=os.environ[ENDPOINT].startswith("http://"), timeout=2)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    span = provider.get_tracer("lienthong").start_span(f"lienthong {command}", kind=SpanKind.CLIENT)
    context = span.get_span_context()
    token = TRACEPARENT.set(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}")
    try:
        yield
    finally:
        TRACEPARENT.reset(token)
        span.end()
        provider.shutdown()
