"""The collector of spans: what it keeps, how long, and the tree it prints."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

from deploy.local.otlp import OtlpReceiver, Span, SpanFile, read_spans, tree, wait_for_trace
from services.chassis.settings import TelemetrySettings
from services.chassis.telemetry import Telemetry


def span(name: str, start: float, took: float, parent: str = "", trace: str = "a" * 32, **attributes: str) -> Span:
    begin = int(start * 1e6)
    return Span(
        trace,
        name.ljust(16, "0"),
        parent,
        "lienthong-records",
        name,
        2,
        begin,
        begin + int(took * 1e6),
        False,
        attributes,
    )


async def test_spans_of_a_role_arrive(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    async with OtlpReceiver("127.0.0.1:0", path) as receiver:
        settings = TelemetrySettings(otlp_endpoint=f"127.0.0.1:{receiver.port}")
        async with Telemetry(settings, "records") as telemetry:
            with telemetry.span("outer") as outer, telemetry.span("INSERT submission", {"rows": 3}):
                trace = f"{outer.get_span_context().trace_id:032x}"
            found = await asyncio.to_thread(wait_for_trace, path, trace)
    assert [one.name for one in found] == ["outer", "INSERT submission"]
    assert found[1].parent == found[0].span
    assert {one.service for one in found} == {"lienthong-records"}
    assert found[1].attributes == {"rows": "3"}


def test_tree_shows_nesting_times_and_faults() -> None:
    root = span("root", 10, 5)
    spans = [
        root,
        span("child", 11, 2, root.span, **{"rpc.response.status_code": "NOT_FOUND"}),
        span("orphan", 12, 1, "gone"),
    ]
    assert tree(spans) == [
        f"    at ms   took ms  trace {'a' * 32}, 3 spans",
        "     0.00      5.00  records: root",
        "     1.00      2.00    records: child  NOT_FOUND",
        "     2.00      1.00  records: orphan",
    ]
    assert tree([]) == []


def test_file_is_bounded_and_the_former_one_still_read(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    file = SpanFile(path, largest=2000)
    for number in range(20):
        file.append([span(f"s{number}", number, 1)])
    file.close()
    assert path.stat().st_size <= 2000
    assert sorted(os.listdir(tmp_path)) == ["spans.jsonl", "spans.jsonl.1"]
    names = [one.name for one in read_spans(path, "a" * 32)]
    assert names[-1] == "s19"
    assert len(names) > len(path.read_text("utf-8").splitlines())


def test_late_spans_are_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    file = SpanFile(path)
    file.append([span("early", 0, 1)])

    def late() -> None:
        time.sleep(0.5)
        file.append([span("late", 1, 1)])

    thread = threading.Thread(target=late)
    thread.start()
    assert [one.name for one in wait_for_trace(path, "a" * 32)] == ["early", "late"]
    thread.join()
    file.close()
    started = time.monotonic()
    assert wait_for_trace(path, "b" * 32, seconds=0.5) == []
    assert time.monotonic() - started < 2
