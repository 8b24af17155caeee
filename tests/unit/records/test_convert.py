"""Proto to model and back: every wrong field at once, and nothing lost on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from lienthong.consent.v1 import decision_pb2
from lienthong.identity.v1 import source_record_service_pb2
from lienthong.records.v1 import submission_pb2
from lienthong.signing.v1 import verdict_pb2
from lienthong.type.v1 import access_context_pb2, document_kind_pb2, identifier_pb2, period_pb2

from services.chassis.errors import InvalidArgument
from services.records.convert import intake, peers, scalars
from services.records.convert.documents import encounter_message
from services.records.formats.document import ContentKind
from services.records.model import (
    LARGEST_DOCUMENT,
    AccessContext,
    Case,
    DocumentEntry,
    Query,
    Span,
    StateChange,
    SubmissionRecord,
    SubmissionState,
)
from services.records.signatures import DetachedSignature, SignatureForm
from tests.fakes.records_samples import NOW, accepted, answers, episode, parsed, rejected, unidentified

WHERE: dict[str, Any] = {"facility": "01001", "received_at": NOW, "trace_id": "a" * 32, "trace": ""}

ONE: Any = 1
# A number that no version of the contract has; the wire lets it through.
UNKNOWN: Any = 99


def submission(**changes: Any) -> submission_pb2.DocumentSubmission:
    fields: dict[str, Any] = {
        "document_id": "HS-1",
        "format": submission_pb2.DOCUMENT_FORMAT_XML130,
        "content": b"<x/>",
        **changes,
    }
    return submission_pb2.DocumentSubmission(**fields)


def test_every_wrong_field_is_named_at_once() -> None:
    signature = submission_pb2.DetachedSignature(content=b"x" * 70_000, format=UNKNOWN)
    wrong = submission(
        document_id="a\nb", format=UNKNOWN, content=b"x" * (LARGEST_DOCUMENT + 1), signatures=[signature] * 11
    )
    with pytest.raises(InvalidArgument) as error:
        intake.document_in(wrong, "document", **WHERE)
    fields = {one.field for one in error.value.violations}
    assert {"document.document_id", "document.format", "document.content", "document.signatures"} <= fields
    assert {"document.signatures[0].format", "document.signatures[0].content"} <= fields
    with pytest.raises(InvalidArgument):
        intake.document_in(submission(document_id="x" * 129), "document", **WHERE)


def test_a_document_comes_in_whole() -> None:
    signature = submission_pb2.DetachedSignature(content=b"der", format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED)
    document = intake.document_in(submission(signatures=[signature]), "document", **WHERE)
    carried = DetachedSignature(SignatureForm.CMS_DETACHED, b"der")
    assert (document.content, document.signatures, document.format) == (b"<x/>", (carried,), "XML130")
    read = parsed(episode(1))
    sent = peers.signed_document(Case(document, replace(read, signed=False, parts=())))
    assert sent.format == verdict_pb2.SIGNATURE_FORMAT_UNSPECIFIED
    assert list(sent.kinds) == sorted(sent.kinds)
    assert len(sent.kinds) == len(read.kinds)
    assert not sent.HasField("existence_time")
    assert [(one.format, one.content) for one in sent.signatures] == [
        (verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, b"der")
    ]
    assert "x/" not in repr(document)


def test_a_record_shows_what_happened_since_the_first_answer() -> None:
    (done,) = answers().finish([(accepted(episode(1)), 3)])
    change = StateChange(SubmissionState.LOGGED, NOW, "", "")
    record = SubmissionRecord(uuid4(), done.answer, SubmissionState.LOGGED, (change,), "the proof")
    message = intake.record_message(record)
    assert message.state == submission_pb2.SUBMISSION_STATE_LOGGED
    assert [one.state for one in message.history][-2:] == [
        submission_pb2.SUBMISSION_STATE_RETRIEVABLE,
        submission_pb2.SUBMISSION_STATE_LOGGED,
    ]
    assert message.receipt.tlog_proof == "the proof"
    line = intake.summary_message(record)
    assert not line.findings
    assert not line.verdict.signatures
    assert line.verdict.acceptable


def test_a_refusal_says_why_and_has_no_receipt() -> None:
    message = intake.answer_message(rejected(b"junk").answer)
    assert message.state == submission_pb2.SUBMISSION_STATE_REJECTED
    assert (message.rejection.reason, message.rejection.field) == ("NOT_XML", "content")
    assert message.history[-1].reason == "NOT_XML"
    assert not message.HasField("receipt")
    assert not message.document


def test_a_source_record_holds_what_the_document_says_of_its_patient() -> None:
    document = parsed(episode(1))
    record = peers.source_record(document)
    assert record.facility == "01001"
    assert record.demographics.human_name.text == document.patient.full_name
    assert record.demographics.birth_date.year == document.patient.birth.year  # type: ignore[union-attr] # samples have one
    assert record.demographics.sex in (1, 2, 3)
    assert record.demographics.residence.ward_code == document.patient.ward_code != ""
    types = {one.type for one in record.identifiers}
    assert identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID in types
    assert record.local_mrn
    bare = peers.source_record(parsed(unidentified(1)))
    assert identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID not in {one.type for one in bare.identifiers}


@pytest.mark.parametrize(
    ("outcome", "held"), [("MATCHED", False), ("REGISTERED", False), ("PROVISIONAL", True), ("REVIEW", True)]
)
def test_unconfirmed_filings_are_held(outcome: str, held: bool) -> None:  # noqa: FBT001
    person = uuid4()
    number = source_record_service_pb2.FilingOutcome.Value(f"FILING_OUTCOME_{outcome}")
    filing = peers.filing_in(source_record_service_pb2.SourceRecordFiling(outcome=number, person=f"persons/{person}"))
    assert (filing.person, filing.held) == (person, held)


def test_only_a_permit_permits() -> None:
    part = decision_pb2.Permission(kinds=[document_kind_pb2.DOCUMENT_KIND_PRESCRIPTION, UNKNOWN])
    for effect in (decision_pb2.EFFECT_UNSPECIFIED, decision_pb2.EFFECT_DENY, UNKNOWN):
        assert not peers.decision_in(decision_pb2.Decision(effect=effect, permissions=[part])).permitted
    (permission,) = peers.decision_in(
        decision_pb2.Decision(effect=decision_pb2.EFFECT_PERMIT, permissions=[part])
    ).permissions
    assert permission.kinds == {ContentKind.PRESCRIPTION}


def test_a_query_names_its_evidence() -> None:
    query = Query(
        person=uuid4(),
        context=AccessContext(1, 6, "room 3"),
        kinds=frozenset({ContentKind.REFERRAL}),
        method="m",
        span=Span(NOW, None),
        resources=("documents/1",),
        own_documents=("documents/1",),
    )
    message = peers.decision_query(query)
    assert [(one.type, one.resource) for one in message.evidence] == [("OWN_DOCUMENT", "documents/1")]
    assert message.period.HasField("start_time")
    assert not message.period.HasField("end_time")
    assert message.context.reason == "room 3"


def test_filters_and_contexts_are_checked() -> None:
    good = access_context_pb2.AccessContext(purpose=ONE, legal_basis=ONE, reason="x")
    assert scalars.context_in(good, "context") == AccessContext(1, 1, "x")
    bad = access_context_pb2.AccessContext(purpose=UNKNOWN, legal_basis=UNKNOWN, reason="x" * 201)
    with pytest.raises(InvalidArgument) as error:
        scalars.context_in(bad, "context")
    assert [one.field for one in error.value.violations] == [
        "context.purpose",
        "context.legal_basis",
        "context.reason",
    ]
    with pytest.raises(InvalidArgument):
        scalars.kinds_in([1, 99], "kinds")
    period = period_pb2.Period()
    period.start_time.FromDatetime(NOW)
    period.end_time.FromDatetime(NOW)
    with pytest.raises(InvalidArgument):
        scalars.period_filter(period, "period")
    period.end_time.seconds = 10**15
    with pytest.raises(InvalidArgument):
        scalars.period_filter(period, "period")
    for name in ("documents/x", "persons/" + str(uuid4()), str(uuid4()), "documents/" + str(uuid4()).upper()):
        with pytest.raises(InvalidArgument):
            scalars.resource_id(name, "documents", "name")


def test_a_visit_of_the_health_book() -> None:
    document = parsed(episode(2, referral_to="79001", follow_up=True))
    book = document.health_book_entry
    assert book is not None
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)
    entry = DocumentEntry(
        uuid4(), uuid4(), "01001", "XML130", document.kinds, start, end, "00" * 32, 1, NOW, held=False
    )
    message = encounter_message(entry, book)
    assert message.main_diagnosis.code == book.main_diagnosis
    assert len(message.medications) == len(book.drugs)
    assert message.medications[0].quantity == f"{book.drugs[0].quantity} {book.drugs[0].unit}"
    assert len(message.observations) == len(book.results)
    assert message.HasField("summary")
    assert message.next_visit == book.next_visit
