"""Requests of data subjects, proto to model and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import subject_request_service_pb2
from lienthong.type.v1 import access_context_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent.convert.scalars import PURPOSE, PURPOSE_IN, pairs, resource_id, stamp
from services.consent.model import Purpose
from services.consent.subjects import (
    LONGEST_ARTICLE,
    LONGEST_TEXT,
    MOST_DOCUMENTS,
    EventType,
    Kind,
    Part,
    State,
    SubjectRequest,
)

pb = subject_request_service_pb2
_KIND, _KIND_IN = pairs(Kind, "SUBJECT_REQUEST_KIND", dict(pb.SubjectRequestKind.items()))
_STATE, _ = pairs(State, "SUBJECT_REQUEST_STATE", dict(pb.SubjectRequestState.items()))
_FIELD = "subject_request"


def request_in(message: pb.SubjectRequest) -> tuple[UUID, Kind, Purpose | None, tuple[UUID, ...], str]:
    """Person, right, purpose, documents and words of a new request; InvalidArgument naming every wrong field."""
    wrong: list[FieldViolation] = []
    person = _id(message.person, "persons", f"{_FIELD}.person", wrong)
    if message.kind not in _KIND_IN:
        wrong.append(FieldViolation(f"{_FIELD}.kind", "a known right", "KIND_UNKNOWN"))
    kind = _KIND_IN.get(message.kind, Kind.ACCESS)
    purpose = PURPOSE_IN.get(message.purpose)
    if (kind is Kind.OBJECT) != (purpose is not None):
        wanted = "the purpose objected to" if kind is Kind.OBJECT else "only to object to"
        wrong.append(FieldViolation(f"{_FIELD}.purpose", wanted, "PURPOSE_UNFIT"))
    documents = documents_in(message.documents, f"{_FIELD}.documents", wrong)
    if documents and kind in {Kind.RESTRICT, Kind.OBJECT}:
        wrong.append(FieldViolation(f"{_FIELD}.documents", "all data are restricted", "DOCUMENTS_UNFIT"))
    if len(message.text) > LONGEST_TEXT:
        wrong.append(FieldViolation(f"{_FIELD}.text", f"at most {LONGEST_TEXT} characters", "TEXT_TOO_LONG"))
    if kind is Kind.CORRECT and not message.text.strip():
        wrong.append(FieldViolation(f"{_FIELD}.text", "what is wrong, and what is right", "TEXT_MISSING"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return person, kind, purpose, documents, message.text


def documents_in(names: Sequence[str], field: str, wrong: list[FieldViolation]) -> tuple[UUID, ...]:
    """Documents by name, each once; what is wrong goes to `wrong` with its place."""
    if len(names) > MOST_DOCUMENTS or len(set(names)) != len(names):
        wrong.append(FieldViolation(field, f"at most {MOST_DOCUMENTS}, each once", "COUNT_OUT_OF_RANGE"))
        return ()
    return tuple(_id(name, "documents", f"{field}[{place}]", wrong) for place, name in enumerate(names))


def article_in(article: str) -> str:
    """The article of a refusal; InvalidArgument where there is none."""
    if not article.strip() or len(article) > LONGEST_ARTICLE:
        raise InvalidArgument.of(FieldViolation("article", f"1 to {LONGEST_ARTICLE} characters", "ARTICLE_INVALID"))
    return article


def request_message(request: SubjectRequest, at: datetime) -> pb.SubjectRequest:
    """The proto of a request as it stands at a time."""
    acknowledged, answer = request.event(EventType.ACKNOWLEDGED), request.answer
    return pb.SubjectRequest(
        name=f"subjectRequests/{request.id}",
        person=f"persons/{request.person}",
        kind=pb.SubjectRequestKind.ValueType(_KIND[request.kind]),
        purpose=access_context_pb2.PurposeOfUse.ValueType(PURPOSE[request.purpose] if request.purpose else 0),
        documents=[f"documents/{id}" for id in request.documents],
        text=request.text,
        state=pb.SubjectRequestState.ValueType(_STATE[request.state]),
        create_time=stamp(request.created_at),
        regime=request.regime,
        acknowledge_due_time=stamp(request.acknowledge_due_at),
        due_time=stamp(request.due_at),
        acknowledge_time=stamp(acknowledged.at if acknowledged else None),
        answer_time=stamp(answer.at if answer else None),
        organization=f"organizations/{request.organization}" if request.organization else "",
        overdue=request.overdue(at),
        article=answer.article if answer else "",
        parts=[_part(one) for one in answer.parts] if answer else [],
        etag=request.etag,
    )


def _part(part: Part) -> pb.FulfilledPart:
    return pb.FulfilledPart(
        category=part.category,
        erased=part.erased,
        retained=part.retained,
        article=part.article,
        retain_until=stamp(part.retain_until),
    )


def _id(name: str, collection: str, field: str, wrong: list[FieldViolation]) -> UUID:
    try:
        return resource_id(name, collection, field)
    except InvalidArgument as error:
        wrong.extend(error.violations)
        return UUID(int=0)
