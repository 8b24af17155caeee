"""Every span and instrument name of the consent role."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.metrics import Meter

SPAN_ID_APP = "consent.id_app"
SPAN_COLLECT = "consent.collect_answers"
METRIC_DECISIONS = "lienthong.consent.decisions"
METRIC_EMERGENCIES = "lienthong.consent.emergencies"
METRIC_UNUSUAL = "lienthong.consent.emergencies.unusual"
METRIC_REVIEWS = "lienthong.consent.emergencies.reviews"
METRIC_UNREVIEWED = "lienthong.consent.emergencies.unreviewed"
METRIC_NOTICES = "lienthong.consent.notices.waiting"
METRIC_NOTICE_AGE = "lienthong.consent.notices.oldest"
METRIC_SUBJECT_REQUESTS = "lienthong.consent.subject_requests.overdue"
METRIC_BREACHES = "lienthong.consent.breaches.overdue"
ATTRIBUTE_KIND = "lienthong.kind"
ATTRIBUTE_FACILITY = "lienthong.facility"
ATTRIBUTE_EVENT = "lienthong.event"
ATTRIBUTE_SCOPE = "lienthong.scope"
ATTRIBUTE_OUTCOME = "lienthong.outcome"
ATTRIBUTE_BUCKET = "lienthong.bucket"


class EmergencyInstruments:
    """What is counted of emergency access and of notices; no attribute ever names a person or a practitioner."""

    def __init__(self, meter: Meter) -> None:
        self._events = meter.create_counter(METRIC_EMERGENCIES, "{event}", "Events of emergency accesses, by facility")
        self._unusual = meter.create_counter(METRIC_UNUSUAL, "{access}", "Openings beyond the usual number, by scope")
        self._reviews = meter.create_counter(METRIC_REVIEWS, "{access}", "Accesses reviewed, by finding")
        self._unreviewed = meter.create_gauge(METRIC_UNREVIEWED, "{access}", "Accesses not reviewed: waiting, overdue")
        self._notices = meter.create_gauge(METRIC_NOTICES, "{delivery}", "Deliveries of notices that wait")
        self._notice_age = meter.create_gauge(METRIC_NOTICE_AGE, "s", "How long the oldest of them has waited")

    def opened(self, organization: str) -> None:
        """One was opened."""
        self.event(organization, "OPENED")

    def event(self, organization: str, type: str) -> None:
        """Something happened to one."""
        self._events.add(1, {ATTRIBUTE_FACILITY: organization, ATTRIBUTE_EVENT: type})

    def unusual(self, organization: str, scope: str) -> None:
        """A practitioner (scope PRACTITIONER) or a facility (FACILITY) opened more than is usual."""
        self._unusual.add(1, {ATTRIBUTE_FACILITY: organization, ATTRIBUTE_SCOPE: scope})

    def reviewed(self, organization: str, outcome: str) -> None:
        """One was reviewed."""
        self._reviews.add(1, {ATTRIBUTE_FACILITY: organization, ATTRIBUTE_OUTCOME: outcome})

    def unreviewed(self, waiting: int, overdue: int) -> None:
        """How many are not reviewed."""
        self._unreviewed.set(waiting, {ATTRIBUTE_BUCKET: "WAITING"})
        self._unreviewed.set(overdue, {ATTRIBUTE_BUCKET: "OVERDUE"})

    def notices(self, waiting: int, oldest_seconds: float) -> None:
        """How many deliveries wait, and how long the oldest has."""
        self._notices.set(waiting)
        self._notice_age.set(oldest_seconds)


class SubjectInstruments:
    """What is overdue of the rights of data subjects, and of telling the authority of breaches."""

    def __init__(self, meter: Meter) -> None:
        self._requests = meter.create_gauge(
            METRIC_SUBJECT_REQUESTS, "{request}", "Requests whose clock ran out, by right"
        )
        self._breaches = meter.create_gauge(
            METRIC_BREACHES, "{breach}", "Breaches the authority should have been told of"
        )

    def overdue(self, by_kind: Mapping[str, int]) -> None:
        """How many requests are overdue, by right."""
        for kind, count in by_kind.items():
            self._requests.set(count, {ATTRIBUTE_KIND: kind})

    def breaches_overdue(self, count: int) -> None:
        """How many breaches are overdue."""
        self._breaches.set(count)
