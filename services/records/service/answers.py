"""What a facility is told of a document, and what the rest of the house is told of an accepted one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from services.chassis.clock import Clock
from services.records.formats.document import ContentKind, IdentifierType, ParsedDocument
from services.records.model import (
    MOST_FINDINGS,
    Accepted,
    Event,
    Finished,
    Incoming,
    Rejected,
    Rejection,
    StateChange,
    Submission,
    SubmissionState,
    Topic,
    Verdict,
)
from services.records.ports import Encode, NewId
from services.records.service.receipts import Receipts
from services.records.service.slips import slip_to_json, slips_of

_INSURED = frozenset({IdentifierType.HEALTH_INSURANCE, IdentifierType.SOCIAL_INSURANCE})


class Answers:
    """Makes answers and events. `to_insurer` says whether there is an insurer's portal to deliver to."""

    def __init__(self, receipts: Receipts, encode: Encode, clock: Clock, new_id: NewId, *, to_insurer: bool) -> None:
        self._receipts = receipts
        self._encode = encode
        self._clock = clock
        self._new_id = new_id
        self._to_insurer = to_insurer

    def refusal(
        self, document: Incoming, rejection: Rejection, parsed: ParsedDocument | None, verdict: Verdict | None
    ) -> Rejected:
        """A refused document with its answer."""
        id = self._new_id()
        received = StateChange(SubmissionState.RECEIVED, document.received_at)
        submission = Submission(
            id=id,
            facility=document.facility,
            document_id=document.document_id,
            sha256=document.sha256,
            history=(received, StateChange(SubmissionState.REJECTED, self._clock(), reason=rejection.reason)),
            received_at=document.received_at,
            kinds=parsed.kinds if parsed else (),
            verdict=verdict,
            findings=parsed.findings[:MOST_FINDINGS] if parsed else (),
            rejection=rejection,
        )
        return Rejected(id, document, rejection, submission, self._encode(submission))

    def dry_run(self, document: Incoming, parsed: ParsedDocument, verdict: Verdict) -> Submission:
        """What the answer would say of an acceptable document; without id, person, number and receipt."""
        now = self._clock()
        return Submission(
            id=None,
            facility=document.facility,
            document_id=document.document_id,
            sha256=document.sha256,
            history=(
                StateChange(SubmissionState.RECEIVED, document.received_at),
                StateChange(SubmissionState.VERIFIED, now),
                StateChange(SubmissionState.STORED, now),
            ),
            received_at=document.received_at,
            kinds=parsed.kinds,
            verdict=verdict,
            findings=parsed.findings[:MOST_FINDINGS],
        )

    def finish(self, numbered: Sequence[tuple[Accepted, int]]) -> list[Finished]:
        """Receipt, first answer and events of documents that have their number. Called inside the transaction, in a
        worker thread, and again when the transaction is.
        """
        now = self._clock()
        return [self._finished(document, sequence, now) for document, sequence in numbered]

    def _finished(self, document: Accepted, sequence: int, now: datetime) -> Finished:
        incoming, filing = document.incoming, document.filing
        receipt = self._receipts.make(document, sequence)
        last = SubmissionState.HELD if filing.held else SubmissionState.RETRIEVABLE
        submission = Submission(
            id=document.id,
            facility=incoming.facility,
            document_id=incoming.document_id,
            sha256=incoming.sha256,
            history=(
                StateChange(SubmissionState.RECEIVED, incoming.received_at),
                StateChange(SubmissionState.VERIFIED, document.verified_at),
                StateChange(SubmissionState.STORED, now),
                StateChange(last, now),
            ),
            received_at=incoming.received_at,
            kinds=document.parsed.kinds,
            verdict=document.verdict,
            findings=document.parsed.findings[:MOST_FINDINGS],
            receipt=receipt,
            person=filing.person,
            sequence=sequence,
        )
        return Finished(sequence, now, self._encode(submission), tuple(self._events(document, receipt.entry)))

    def _events(self, document: Accepted, entry: bytes) -> list[Event]:
        events = [self._event(Topic.LOG, log_payload(document, entry))]
        events += [self._event(Topic.SLIPS, slip_to_json(slip)) for slip in slips_of(document)]
        insured = any(one.type in _INSURED for one in document.parsed.patient.identifiers)
        # The insurer has a claim to insured patients' documents only, and a held one waits until its person is known.
        if self._to_insurer and insured and not document.filing.held:
            events.append(self._event(Topic.INSURER, insurer_payload(document)))
        return events

    def _event(self, topic: Topic, payload: bytes) -> Event:
        return Event(self._new_id(), topic, payload)


def log_payload(document: Accepted, entry: bytes) -> bytes:
    """Payload of a LOG event."""
    return json.dumps(
        {"facility": document.incoming.facility, "submission": str(document.id), "entry": entry.decode()}
    ).encode()


def insurer_payload(document: Accepted) -> bytes:
    """Payload of an INSURER event: where the bytes are, not the bytes."""
    return json.dumps(
        {
            "facility": document.incoming.facility,
            "submission": str(document.id),
            "version": document.parsed.version,
            "check_in": document.parsed.kinds == (ContentKind.CHECK_IN,),
        }
    ).encode()
