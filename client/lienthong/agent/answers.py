"""What an answer of the intake leaves at the facility: an entry of the spool and a portable receipt."""

from __future__ import annotations

from lienthong.agent.spool import SpoolEntry, SpoolState
from lienthong.agent.submission import Outcome
from lienthong.client.tlog.receipt import Receipt
from lienthong.records.v1 import receipt_pb2


def receipt_of(message: receipt_pb2.Receipt) -> Receipt:
    """The portable receipt of a proto receipt."""
    return Receipt(
        entry=message.entry,
        salt=message.salt,
        promise=message.promise,
        tlog_proof=message.tlog_proof or None,
        trace_id=message.trace_id,
    )


def entry_of(outcome: Outcome) -> SpoolEntry:
    """The spool's entry for what became of a document."""
    document = outcome.outgoing
    if outcome.submission is not None:
        name, trace = outcome.submission.name, outcome.submission.receipt.trace_id
        return SpoolEntry(document.document_id, document.content_sha256, SpoolState.ACCEPTED, name, trace, "")
    error = outcome.error
    reason = error.metadata.get("rejection", error.reason) if error else ""
    submission = error.metadata.get("submission", "") if error else ""
    trace = error.trace_id if error else ""
    return SpoolEntry(document.document_id, document.content_sha256, SpoolState.REJECTED, submission, trace, reason)
