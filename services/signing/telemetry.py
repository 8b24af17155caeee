"""Every span and instrument name of the signing role."""

from __future__ import annotations

from opentelemetry.metrics import Meter

SPAN_JUDGE = "signing.judge_documents"
SPAN_PUBLISH = "signing.publish_checkpoint"
ATTRIBUTE_DOCUMENTS = "lienthong.documents"
ATTRIBUTE_TREE_SIZE = "lienthong.log.tree_size"
METRIC_VERDICTS = "lienthong.signing.verdicts"
METRIC_EXPIRING = "lienthong.signing.signer_certificates_expiring"
METRIC_UNWITNESSED = "lienthong.signing.log.unwitnessed"
METRIC_UNWITNESSED_PROOFS = "lienthong.signing.log.unwitnessed_proofs"
METRIC_WITNESS_FAILURES = "lienthong.signing.log.witness_failures"
METRIC_STAMP_FAILURES = "lienthong.signing.log.timestamp_failures"
METRIC_OCSP_REFUSALS = "lienthong.signing.ocsp_refusals"
METRIC_REVOCATION_FETCHES = "lienthong.signing.revocation_fetches"


class TrustInstruments:
    """What is measured of the trust list."""

    def __init__(self, meter: Meter) -> None:
        self.expiring = meter.create_gauge(
            METRIC_EXPIRING, "{certificate}", "Active signer certificates by the days that are left of them: 0, 7, 30"
        )
        self.fetches = meter.create_counter(
            METRIC_REVOCATION_FETCHES, "{answer}", "Lists and OCSP answers fetched, by kind and outcome"
        )
        self._refusals = meter.create_counter(
            METRIC_OCSP_REFUSALS, "{answer}", "OCSP answers that did not come or prove nothing, by reason"
        )

    def refused(self, reason: str) -> None:
        """An OCSP answer did not come, or proves nothing."""
        self._refusals.add(1, {"reason": reason})


class LogInstruments:
    """What is measured of the log's outside parties."""

    def __init__(self, meter: Meter) -> None:
        self.unwitnessed = meter.create_gauge(
            METRIC_UNWITNESSED, "s", "How long the quorum of witnesses has been missing"
        )
        self.unwitnessed_proofs = meter.create_counter(
            METRIC_UNWITNESSED_PROOFS, "{proof}", "Proofs given under a checkpoint without quorum"
        )
        self.witness_failures = meter.create_counter(
            METRIC_WITNESS_FAILURES, "{answer}", "Witnesses that gave no cosignature, by name and reason"
        )
        self.stamp_failures = meter.create_counter(
            METRIC_STAMP_FAILURES, "{answer}", "Time-stamps that were not to be had, by reason"
        )
