"""Traces and metrics. Span names and attributes are chosen by us: no exception text, no person identifier, on any of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags

from services.chassis import log
from services.chassis.settings import TelemetrySettings

TRACEPARENT = "traceparent"
_EXPORT_SECONDS = 0.5


def parse_traceparent(value: str) -> SpanContext | None:
    """W3C trace context, version 00; None when malformed."""
    parts = value.split("-")
    if len(parts) != 4 or [len(part) for part in parts] != [2, 32, 16, 2] or parts[0] != "00":
        return None
    try:
        trace_id, span_id, flags = int(parts[1], 16), int(parts[2], 16), int(parts[3], 16)
    except ValueError:
        return None
    found = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return found if found.is_valid else None


def traceparent() -> str:
    """The current span context in W3C form; empty when there is none."""
    current = trace.get_current_span().get_span_context()
    if not current.is_valid:
        return ""
    return f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}"


def trace_id() -> str:
    """The current trace id, 32 hex digits; zeros when there is none."""
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


class Telemetry:
    """The role's tracer; spans go to the collector in batches, and what is pending is flushed when it is left."""

    def __init__(self, settings: TelemetrySettings, role: str) -> None:
        log.set_level(settings.log_level)
        sampler = ParentBased(TraceIdRatioBased(settings.sample_ratio))
        self._provider = TracerProvider(
            sampler=sampler, resource=Resource.create({"service.name": f"lienthong-{role}"}), shutdown_on_exit=False
        )
        if settings.otlp_endpoint:
            exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, insecure=True, timeout=2)
            self._provider.add_span_processor(
                BatchSpanProcessor(exporter, max_queue_size=8192, schedule_delay_millis=_EXPORT_SECONDS * 1000)
            )
        self.tracer = self._provider.get_tracer("lienthong")
        # Database and outbox create their spans through the API, so that they need not be handed a tracer; one process is one role.
        trace.set_tracer_provider(self._provider)

    async def __aenter__(self) -> Telemetry:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._provider.shutdown()

    def server_span(self, name: str, remote: SpanContext | None, attributes: Mapping[str, str]) -> Span:
        """A SERVER span under a remote parent; one that records nothing when the parent was not sampled."""
        if remote is not None and not remote.trace_flags.sampled:
            return NonRecordingSpan(remote)
        parent = trace.set_span_in_context(NonRecordingSpan(remote)) if remote else Context()
        return self.tracer.start_span(
            name,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        )

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int] | None = None, parent: str = "") -> Iterator[Span]:
        """An internal span; `parent` is a traceparent to continue, for work that was queued."""
        remote = parse_traceparent(parent) if parent else None
        under = trace.set_span_in_context(NonRecordingSpan(remote)) if remote else None
        span = self.tracer.start_span(
            name,
            context=under,
            attributes=dict(attributes or {}),
            record_exception=False,
            set_status_on_exception=False,
        )
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            yield span
        finally:
            otel_context.detach(token)
            span.end()
