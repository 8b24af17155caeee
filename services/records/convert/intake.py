"""Submissions: what comes in, and the answer that is kept and returned again byte for byte."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.message import DecodeError
from lienthong.records.v1 import receipt_pb2, submission_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.records.convert.scalars import kinds_out, stamp
from services.records.convert.signatures import signature_in, wrong_signatures
from services.records.formats.document import QualityFinding, Severity
from services.records.model import (
    LARGEST_DOCUMENT,
    LONGEST_DOCUMENT_ID,
    Incoming,
    Receipt,
    StateChange,
    Submission,
    SubmissionRecord,
    SubmissionState,
)

_FORMATS = {submission_pb2.DOCUMENT_FORMAT_XML130: "XML130"}
_FORMAT_OUT = {name: number for number, name in _FORMATS.items()}
_SEVERITY = {
    Severity.INFORMATION: submission_pb2.FINDING_SEVERITY_INFORMATION,
    Severity.WARNING: submission_pb2.FINDING_SEVERITY_WARNING,
}
_STATE = {state: submission_pb2.SubmissionState.Value(f"SUBMISSION_STATE_{state.name}") for state in SubmissionState}
_STATE_IN: dict[int, SubmissionState] = {number: state for state, number in _STATE.items()}


def document_in(  # noqa: PLR0913 - where and when it came from
    document: submission_pb2.DocumentSubmission,
    field: str,
    *,
    facility: str,
    received_at: datetime,
    trace_id: str,
    trace: str,
) -> Incoming:
    """A document on its way in; InvalidArgument naming every wrong field."""
    wrong = []
    if len(document.document_id) > LONGEST_DOCUMENT_ID or not document.document_id.isprintable():
        expected = f"1 to {LONGEST_DOCUMENT_ID} printable characters"
        wrong.append(FieldViolation(f"{field}.document_id", expected, "DOCUMENT_ID_INVALID"))
    if document.format not in _FORMATS:
        wrong.append(FieldViolation(f"{field}.format", "a known format", "FORMAT_UNKNOWN"))
    if len(document.content) > LARGEST_DOCUMENT:
        expected = f"at most {LARGEST_DOCUMENT} bytes; {len(document.content)} came"
        wrong.append(FieldViolation(f"{field}.content", expected, "TOO_LARGE"))
    wrong += wrong_signatures(document.signatures, f"{field}.signatures")
    if wrong:
        raise InvalidArgument.of(*wrong)
    return Incoming(
        facility=facility,
        document_id=document.document_id,
        format=_FORMATS[document.format],
        content=document.content,
        signatures=tuple(signature_in(signature) for signature in document.signatures),
        received_at=received_at,
        trace_id=trace_id,
        trace=trace,
    )


def state_in(number: int, field: str) -> SubmissionState | None:
    """A state filter; None for none."""
    if not number:
        return None
    if number not in _STATE_IN:
        raise InvalidArgument.of(FieldViolation(field, "a known state", "STATE_UNKNOWN"))
    return _STATE_IN[number]


def format_out(name: str) -> submission_pb2.DocumentFormat.ValueType:
    """A format of the contract."""
    return _FORMAT_OUT[name]


def submission_message(submission: Submission) -> submission_pb2.Submission:
    """The proto of a submission as first answered."""
    message = submission_pb2.Submission(
        name="" if submission.id is None else f"submissions/{submission.id}",
        organization=f"organizations/{submission.facility}",
        document_id=submission.document_id,
        content_sha256=submission.sha256,
        state=_STATE[submission.state],
        history=[_change(change) for change in submission.history],
        kinds=kinds_out(submission.kinds),
        findings=[_finding(finding) for finding in submission.findings],
        sequence=submission.sequence,
        receive_time=stamp(submission.received_at),
    )
    if submission.verdict is not None:
        message.verdict.ParseFromString(submission.verdict.encoded)
    if submission.rejection is not None:
        message.rejection.reason = submission.rejection.reason
        message.rejection.field = submission.rejection.field
        message.rejection.description = submission.rejection.description
    if submission.receipt is not None:
        message.receipt.CopyFrom(_receipt(submission.receipt))
        message.document = f"documents/{submission.id}"
        message.person = f"persons/{submission.person}"
    return message


def encode_answer(submission: Submission) -> bytes:
    """The bytes of the first answer, which are kept."""
    return submission_message(submission).SerializeToString(deterministic=True)


def answer_message(answer: bytes) -> submission_pb2.Submission:
    """The answer that bytes hold."""
    try:
        return submission_pb2.Submission.FromString(answer)
    except DecodeError as error:
        raise ValueError("a stored answer that is none") from error


def record_message(record: SubmissionRecord) -> submission_pb2.Submission:
    """A stored submission as it stands now: the first answer with what happened since."""
    message = answer_message(record.answer)
    message.state = _STATE[record.state]
    message.history.extend(_change(change) for change in record.changes)
    if record.tlog_proof:
        message.receipt.tlog_proof = record.tlog_proof
    if record.verdict:
        message.verdict.ParseFromString(record.verdict)
    return message


def summary_message(record: SubmissionRecord) -> submission_pb2.Submission:
    """A line of a list: without findings and verdict details."""
    message = record_message(record)
    message.ClearField("findings")
    message.verdict.ClearField("signatures")
    return message


def _change(change: StateChange) -> submission_pb2.StateChange:
    return submission_pb2.StateChange(
        state=_STATE[change.state],
        change_time=stamp(change.at),
        destination=change.destination,
        reason=change.reason,
    )


def _finding(finding: QualityFinding) -> submission_pb2.Finding:
    return submission_pb2.Finding(
        table=finding.table,
        row=finding.row,
        field=finding.field,
        rule=finding.rule,
        reason=finding.reason,
        severity=_SEVERITY[finding.severity],
    )


def _receipt(receipt: Receipt) -> receipt_pb2.Receipt:
    return receipt_pb2.Receipt(
        entry=receipt.entry,
        salt=receipt.salt,
        promise=receipt.promise,
        tlog_proof=receipt.tlog_proof,
        trace_id=receipt.trace_id,
    )
