"""Documents, the health book, and the disclosure that stands on every answer with personal data."""

from __future__ import annotations

from collections.abc import Iterable

from lienthong.records.v1 import document_pb2, health_book_pb2

from services.records.convert.intake import format_out, record_message
from services.records.convert.scalars import CLASS, KIND, kinds_out, period_out, stamp
from services.records.convert.signatures import signature_out
from services.records.formats.document import ContentKind
from services.records.formats.health_book import DrugEntry, HealthBookEntry, ResultEntry
from services.records.model import Decision, DocumentEntry, StoredContent


def document_message(entry: DocumentEntry, kinds: Iterable[ContentKind]) -> document_pb2.Document:
    """The index entry, with those kinds that the reader may know of."""
    return document_pb2.Document(
        name=entry.name,
        person=f"persons/{entry.whose}",
        organization=f"organizations/{entry.facility}",
        format=format_out(entry.format),
        kinds=kinds_out(kinds),
        period=period_out(entry.care_start, entry.care_end),
        content_sha256=entry.sha256,
        content_size=entry.size,
        receive_time=stamp(entry.received_at),
        sensitive_classes=sorted(CLASS[one] for one in entry.classes),
    )


def content_message(stored: StoredContent) -> document_pb2.SignedContent:
    """The original bytes with verdict and receipt."""
    submission = record_message(stored.record)
    return document_pb2.SignedContent(
        content=stored.content,
        signatures=[signature_out(one) for one in stored.signatures],
        verdict=submission.verdict,
        receipt=submission.receipt,
    )


LINKS_UNCONFIRMED = "LINKED_ENTRIES_UNCONFIRMED"
"""Why documents of any kind may be missing: the person index has not been heard lately, so linked entries were left out. Ask again."""


def disclosure_message(decision: Decision, *, unconfirmed: bool = False) -> document_pb2.Disclosure:
    """On what ground data were given, and what was not. Counts of withheld documents are not told: that there is one
    would tell of it.
    """
    withheld = [document_pb2.Withheld(kind=KIND[one.kind], reason=one.reason) for one in decision.withheld]
    withheld += [
        document_pb2.Withheld(sensitivity_class=CLASS[one.sensitivity_class], reason=one.reason)
        for one in decision.withheld_classes
    ]
    if unconfirmed:
        withheld.append(document_pb2.Withheld(reason=LINKS_UNCONFIRMED))
    return document_pb2.Disclosure(decision=decision.name, access=decision.access, withheld=withheld)


def encounter_message(entry: DocumentEntry, book: HealthBookEntry) -> health_book_pb2.Encounter:
    """One visit. What may not be read is empty in `book` already."""
    main = health_book_pb2.CodedConcept(code=book.main_diagnosis, text=book.diagnosis)
    message = health_book_pb2.Encounter(
        document=entry.name,
        organization=f"organizations/{entry.facility}",
        period=period_out(entry.care_start, entry.care_end),
        care_form=book.care_form,
        reason=book.reason,
        main_diagnosis=main if main.code or main.text else None,
        secondary_diagnoses=book.secondary_diagnoses,
        outcome=book.outcome,
        medications=[_medication(drug) for drug in book.drugs],
        observations=[_observation(result) for result in book.results],
        next_visit=book.next_visit,
    )
    if book.summary is not None:
        message.summary.course = book.summary.course
        message.summary.results = book.summary.results
        message.summary.treatment = book.summary.treatment
    return message


def _medication(drug: DrugEntry) -> health_book_pb2.Medication:
    return health_book_pb2.Medication(
        drug=health_book_pb2.CodedConcept(code=drug.code, text=drug.name),
        strength=drug.strength,
        route=drug.route,
        dosage=drug.dosage,
        quantity=f"{drug.quantity} {drug.unit}".strip(),
        order_time=None if drug.ordered_at is None else stamp(drug.ordered_at),
    )


def _observation(result: ResultEntry) -> health_book_pb2.Observation:
    return health_book_pb2.Observation(
        test=health_book_pb2.CodedConcept(code=result.code, text=result.name),
        value=result.value,
        unit=result.unit,
        conclusion="\n".join(text for text in (result.description, result.conclusion) if text),
        result_time=None if result.resulted_at is None else stamp(result.resulted_at),
    )
