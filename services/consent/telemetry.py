"""Every span and instrument name of the consent role."""

from __future__ import annotations

SPAN_ID_APP = "consent.id_app"
SPAN_COLLECT = "consent.collect_answers"
METRIC_DECISIONS = "lienthong.consent.decisions"
