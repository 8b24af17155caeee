"""Every span and instrument name of the referrals role."""

from __future__ import annotations

METRIC_IMPORTED = "lienthong.referrals.imported"
SPAN_RELATIONS = "relay treatment_relations"
