"""A small receiver of spans (OTLP over gRPC) that keeps them as JSON lines, and the tree of one trace for people to
read.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

SPANS = "spans.jsonl"
_LARGEST_FILE = 64 * 1024 * 1024
_LARGEST_MESSAGE = 16 * 1024 * 1024
_STABLE_SECONDS = 1.2
"""A trace counts as complete when nothing was added for this long: roles send every half second, the gateway too."""


@dataclass(frozen=True)
class Span:
    """A span as kept: ids in hex, times in nanoseconds since 1970, `parent` empty for the first one."""

    trace: str
    span: str
    parent: str
    service: str
    name: str
    kind: int
    start: int
    end: int
    error: bool
    attributes: dict[str, str]


class SpanFile:
    """An append-only file of at most 64 MiB; when it is full it becomes `.1`, of which there is one."""

    def __init__(self, path: Path, largest: int = _LARGEST_FILE) -> None:
        self._path = path
        self._largest = largest
        self._file: TextIO = path.open("a", encoding="utf-8")

    def append(self, spans: Iterable[Span]) -> None:
        """Writes spans; a reader sees whole lines only."""
        self._file.write("".join(json.dumps(asdict(span), ensure_ascii=False) + "\n" for span in spans))
        self._file.flush()
        if self._file.tell() > self._largest:
            self._file.close()
            self._path.replace(_older(self._path))
            self._file = self._path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class OtlpReceiver:
    """The collector's trace service on one plaintext loopback address."""

    def __init__(self, address: str, path: Path) -> None:
        self._address = address
        self._file = SpanFile(path)
        self._server = grpc.aio.server(options=(("grpc.max_receive_message_length", _LARGEST_MESSAGE),))
        self.port = 0

    async def __aenter__(self) -> Self:
        register: Callable[..., None] = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        register(_TraceService(self._file), self._server)
        self.port = self._server.add_insecure_port(self._address)
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(0.5)
        self._file.close()


class _TraceService(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, file: SpanFile) -> None:
        self._file = file

    async def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self._file.append(span for resource in request.resource_spans for span in _spans(resource))
        return trace_service_pb2.ExportTraceServiceResponse()


def _spans(resource: ResourceSpans) -> Iterator[Span]:
    service = next((_text(one.value) for one in resource.resource.attributes if one.key == "service.name"), "")
    for scope in resource.scope_spans:
        for span in scope.spans:
            yield Span(
                trace=span.trace_id.hex(),
                span=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                service=service,
                name=span.name,
                kind=span.kind,
                start=span.start_time_unix_nano,
                end=span.end_time_unix_nano,
                error=span.status.code == span.status.STATUS_CODE_ERROR,
                attributes={one.key: _text(one.value) for one in span.attributes},
            )


def _text(value: AnyValue) -> str:
    which = value.WhichOneof("value")
    return str(getattr(value, which)) if which else ""


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def read_spans(path: Path, trace: str) -> list[Span]:
    """All spans of a trace so far, by start."""
    found: dict[str, Span] = {}
    for file in (_older(path), path):
        if file.exists():
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    if trace in line and line.endswith("\n"):
                        span = Span(**json.loads(line))
                        found[span.span] = span
    return sorted((span for span in found.values() if span.trace == trace), key=lambda span: span.start)


def wait_for_trace(path: Path, trace: str, seconds: float = 5.0) -> list[Span]:
    """The spans of a trace once no more arrive, or after `seconds`."""
    end = time.monotonic() + seconds
    spans = read_spans(path, trace)
    changed = time.monotonic()
    while time.monotonic() < end and (not spans or time.monotonic() - changed < _STABLE_SECONDS):
        time.sleep(0.2)
        now = read_spans(path, trace)
        if len(now) != len(spans):
            spans, changed = now, time.monotonic()
    return spans


async def wait_for_trace_async(path: Path, trace: str, seconds: float = 5.0) -> list[Span]:
    """As `wait_for_trace`, without blocking the loop."""
    return await asyncio.to_thread(wait_for_trace, path, trace, seconds)


def tree(spans: list[Span]) -> list[str]:
    """The trace as lines: offset and duration in milliseconds, service, name. A span whose parent is not there stands
    at the top.
    """
    if not spans:
        return []
    known = {span.span for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent if span.parent in known else ""].append(span)
    first = min(span.start for span in spans)
    lines = [f"{'at ms':>9} {'took ms':>9}  trace {spans[0].trace}, {len(spans)} spans"]
    # Deepest first off the stack; a loop rather than recursion, because a trace may be deep.
    stack = [(span, 0) for span in reversed(children[""])]
    while stack:
        span, depth = stack.pop()
        at, took = (span.start - first) / 1e6, (span.end - span.start) / 1e6
        service = span.service.removeprefix("lienthong-")
        code = span.attributes.get("rpc.response.status_code", "")
        mark = f"  {code}" if code not in ("", "OK", "0") else ""
        fault = "  ERROR" if span.error else ""
        lines.append(f"{at:9.2f} {took:9.2f}  {'  ' * depth}{service}: {span.name}{mark}{fault}")
        stack += [(child, depth + 1) for child in reversed(children[span.span])]
    return lines
