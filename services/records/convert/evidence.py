"""Verdicts over time, and what a key touched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.records.v1 import evidence_service_pb2, submission_pb2
from lienthong.signing.v1 import verdict_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.records.convert.intake import answer_message
from services.records.convert.scalars import stamp, time_in
from services.records.model import SubmissionRecord
from services.records.proof import Compromise, Occasion, RecordedVerdict, TouchedDocument

_HEX = frozenset("0123456789abcdef")
_SHA256_DIGITS = 64


def verdict_messages(
    record: SubmissionRecord, later: Sequence[RecordedVerdict]
) -> list[evidence_service_pb2.RecordedVerdict]:
    """All verdicts, oldest first: the one of the first answer, where signatures were judged, and those after it."""
    answer = answer_message(record.answer)
    found = []
    if answer.HasField("verdict"):
        found.append(
            evidence_service_pb2.RecordedVerdict(
                create_time=_judged_at(answer), occasion=Occasion.RECEIVED.value, verdict=answer.verdict
            )
        )
    found += [
        evidence_service_pb2.RecordedVerdict(
            create_time=stamp(one.created_at),
            occasion=one.occasion.value,
            verdict=verdict_pb2.Verdict.FromString(one.encoded),
        )
        for one in later
    ]
    return found


def _judged_at(answer: submission_pb2.Submission) -> Timestamp:
    judged = (submission_pb2.SUBMISSION_STATE_VERIFIED, submission_pb2.SUBMISSION_STATE_REJECTED)
    return next(change.change_time for change in answer.history if change.state in judged)


def compromise_in(request: evidence_service_pb2.ListTouchedDocumentsRequest) -> Compromise:
    """A certificate and a time; InvalidArgument naming every wrong field."""
    wrong = []
    certificate = request.signer_certificate_sha256
    if len(certificate) != _SHA256_DIGITS or not _HEX.issuperset(certificate):
        wrong.append(FieldViolation("signer_certificate_sha256", "64 hex digits", "DIGEST_INVALID"))
    since: datetime | None = None
    try:
        since = time_in(request, "since_time")
    except (ValueError, OverflowError):
        wrong.append(FieldViolation("since_time", "a possible time", "TIME_INVALID"))
    if wrong or since is None:
        raise InvalidArgument.of(*wrong)
    return Compromise(certificate, since)


def touched_message(document: TouchedDocument, since: datetime) -> evidence_service_pb2.TouchedDocument:
    """One document; no person is named."""
    return evidence_service_pb2.TouchedDocument(
        document=f"documents/{document.submission}",
        organization=f"organizations/{document.facility}",
        receive_time=stamp(document.received_at),
        proven_before=document.proven_at is not None and document.proven_at < since,
        readers=[
            evidence_service_pb2.DocumentReader(
                organization=f"organizations/{one.facility}" if one.facility else "",
                first_time=stamp(one.first_at),
                last_time=stamp(one.last_at),
            )
            for one in document.readers
        ],
    )
