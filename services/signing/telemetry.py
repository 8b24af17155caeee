"""Every span and instrument name of the signing role."""

from __future__ import annotations

SPAN_JUDGE = "signing.judge_documents"
SPAN_PUBLISH = "signing.publish_checkpoint"
ATTRIBUTE_DOCUMENTS = "lienthong.documents"
ATTRIBUTE_TREE_SIZE = "lienthong.log.tree_size"
METRIC_VERDICTS = "lienthong.signing.verdicts"
METRIC_EXPIRING = "lienthong.signing.signer_certificates_expiring"
