"""Every span and instrument name of the identity role."""

from __future__ import annotations

from opentelemetry.metrics import Counter, Meter

METRIC_RESOLUTIONS = "lienthong.identity.resolutions"
METRIC_MATCHES = "lienthong.identity.matches"
METRIC_FILINGS = "lienthong.identity.filings"
METRIC_LINKS = "lienthong.identity.links"
METRIC_REVIEWS = "lienthong.identity.reviews"
METRIC_REGISTRATIONS = "lienthong.identity.registrations"
METRIC_IDENTIFICATIONS = "lienthong.identity.identifications"
METRIC_WAITING = "lienthong.identity.provisional.waiting"
ATTRIBUTE_FACILITY = "lienthong.facility"
ATTRIBUTE_BUCKET = "lienthong.bucket"
ATTRIBUTE_OUTCOME = "lienthong.outcome"


class Instruments:
    """Counters of the role, by outcome; no attribute ever names a person."""

    def __init__(self, meter: Meter) -> None:
        self.resolutions: Counter = meter.create_counter(METRIC_RESOLUTIONS, "{query}", "Queries resolved, by outcome")
        self.matches: Counter = meter.create_counter(METRIC_MATCHES, "{query}", "Searches for people, by facility")
        self.filings: Counter = meter.create_counter(METRIC_FILINGS, "{record}", "Source records filed, by outcome")
        self.registrations: Counter = meter.create_counter(
            METRIC_REGISTRATIONS, "{person}", "Persons registered, by outcome"
        )
        self.waiting = meter.create_gauge(
            METRIC_WAITING, "{person}", "Provisional persons that wait to be identified, by facility and age"
        )
        self.identifications: Counter = meter.create_counter(
            METRIC_IDENTIFICATIONS, "{person}", "Provisional persons identified, by outcome"
        )
        self.links: Counter = meter.create_counter(METRIC_LINKS, "{link}", "Links and refusals, by what became of them")
        self.reviews: Counter = meter.create_counter(METRIC_REVIEWS, "{task}", "Decisions of the desk, by state after")
