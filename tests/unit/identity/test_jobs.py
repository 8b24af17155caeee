"""The hourly count of who waits to be identified."""

from __future__ import annotations

from datetime import timedelta

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from services.identity.jobs import WaitingWatch
from services.identity.model import Sex
from services.identity.service import Arrival
from services.identity.telemetry import METRIC_WAITING, Instruments
from tests.unit.identity.conftest import CLINIC, HOSPITAL, NOW, Operations


def gauge(reader: InMemoryMetricReader) -> dict[tuple[str, str], int | float]:
    data = reader.get_metrics_data()
    assert data is not None
    points = {}
    for metrics in (scope.metrics for resource in data.resource_metrics for scope in resource.scope_metrics):
        for metric in metrics:
            for point in metric.data.data_points if metric.name == METRIC_WAITING else ():
                assert isinstance(point, NumberDataPoint)
                place = dict(point.attributes or {})
                assert place.keys() == {"lienthong.facility", "lienthong.bucket"}
                points[str(place["lienthong.facility"]), str(place["lienthong.bucket"])] = point.value
    return points


async def test_who_waits_is_counted_by_facility_and_bucket(operations: Operations) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    watch = WaitingWatch(operations.store, operations.clock, Instruments(meters.get_meter("test")))
    lines: list[dict[str, object]] = []

    def event(name: str, **fields: object) -> None:
        lines.append({"name": name, **fields})

    for at, days in enumerate((0, 1, 8, 31)):
        arrival = Arrival(Sex.MALE, at=NOW - timedelta(days=days))
        person, _ = await operations.provisional.register(HOSPITAL, arrival, f"p{at}", b"1")
    await operations.provisional.register(CLINIC, Arrival(Sex.MALE), "c1", b"1")
    await operations.provisional.note_notice(HOSPITAL, person.id, None, "n1", b"1")
    await watch.once(event)
    assert gauge(reader) == {
        ("01001", "24h"): 3,
        ("01001", "7d"): 2,
        ("01001", "30d"): 1,
        ("01001", "notice"): 1,
        ("79002", "24h"): 0,
        ("79002", "7d"): 0,
        ("79002", "30d"): 0,
        ("79002", "notice"): 0,
    }
    assert lines == [
        {
            "name": "provisional_overdue",
            "level": "warning",
            "facility": "01001",
            "notice": 1,
            "day": 3,
            "week": 2,
            "month": 1,
        }
    ]
    # Nobody waits any more: the figures go down to zero instead of standing still.
    operations.store._state.persons.clear()
    await watch.once(event)
    assert set(gauge(reader).values()) == {0}
    assert len(lines) == 1
