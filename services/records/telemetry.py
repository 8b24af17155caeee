"""Every span and instrument name of the records role."""

from __future__ import annotations

from opentelemetry.metrics import Counter, Histogram, Meter

from services.records.model import Verdict
from services.records.proof import Occasion

SPAN_BATCH = "records.intake.batch"
SPAN_LOOKUP = "records.intake.lookup"
SPAN_PARSE = "records.intake.parse"
SPAN_VERIFY = "records.intake.verify"
SPAN_FILE = "records.intake.file"
SPAN_STORE = "records.intake.store"
SPAN_DECIDE = "records.read.decide"
SPAN_OPEN = "records.read.open"
SPAN_RELAY = "records.relay."
METRIC_DOCUMENTS = "lienthong.records.documents"
METRIC_BATCH = "lienthong.records.batch.documents"
METRIC_READS = "lienthong.records.reads"
METRIC_VERDICTS = "lienthong.records.verdicts"
ATTRIBUTE_OUTCOME = "lienthong.outcome"
ATTRIBUTE_DOCUMENTS = "lienthong.documents"
ATTRIBUTE_OCCASION = "lienthong.occasion"


class Instruments:
    """Counters of the role; no attribute ever names a person or a document."""

    def __init__(self, meter: Meter) -> None:
        self.documents: Counter = meter.create_counter(
            METRIC_DOCUMENTS, "{document}", "Submitted documents, by outcome"
        )
        self.batch: Histogram = meter.create_histogram(METRIC_BATCH, "{document}", "Documents per intake batch")
        self.reads: Counter = meter.create_counter(METRIC_READS, "{read}", "Reads, by outcome")
        self.verdicts: Counter = meter.create_counter(
            METRIC_VERDICTS, "{verdict}", "Verdicts that were made again, by occasion and indication"
        )

    def judged(self, occasion: Occasion, verdict: Verdict) -> None:
        """Counts a verdict that was made again."""
        self.verdicts.add(1, {ATTRIBUTE_OCCASION: occasion.value, ATTRIBUTE_OUTCOME: verdict.indication})
