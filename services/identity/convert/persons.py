"""Persons and resolutions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lienthong.identity.v1 import (
    person_pb2,
    person_service_pb2,
)
from lienthong.type.v1 import identifier_pb2

from services.identity import golden, model
from services.identity.convert.scalars import (
    ASSURANCE,
    TYPE,
    date_message,
    demographics_in,
    demographics_message,
    identifiers_in,
    numbers,
    stamp,
)
from services.identity.service.candidates import Answer

MAX_QUERIES = 100
MAX_MATCH_QUERIES = 20
MAX_CANDIDATES = 10
MOST_YEARS = 130
_DEFAULT_CANDIDATES = 5
_CONTEXTS = frozenset(person_service_pb2.QueryContext.values())
STATE = numbers(model.PersonState, person_pb2.PersonState, "PERSON_STATE")
KIND = numbers(model.ProvisionalKind, person_pb2.ProvisionalKind, "PROVISIONAL_KIND")
SOURCE = {one: person_pb2.GoldenSource.Value(f"GOLDEN_SOURCE_{one.name}") for one in golden.GoldenSource}
_OUTCOME = numbers(model.Outcome, person_service_pb2.ResolutionOutcome, "RESOLUTION_OUTCOME")
AGREEMENT = numbers(model.Agreement, person_service_pb2.FieldAgreement, "FIELD_AGREEMENT")


def query_in(message: person_service_pb2.PersonQuery, field: str) -> model.Query:
    """One resolve query."""
    age = message.estimated_age if message.HasField("estimated_age") else None
    if age is not None and not 0 <= age <= MOST_YEARS:
        raise model.invalid(f"{field}.estimated_age", f"0 to {MOST_YEARS}", "AGE_OUT_OF_RANGE")
    if message.context not in _CONTEXTS:
        raise model.invalid(f"{field}.context", "a known value", "VALUE_UNKNOWN")
    return model.Query(
        identifiers_in(message.identifiers, f"{field}.identifiers"),
        demographics_in(message.demographics, f"{field}.demographics"),
        message.context == person_service_pb2.QUERY_CONTEXT_EMERGENCY,
        age,
    )


def person_message(person: model.Person) -> person_pb2.Person:
    """A person in proto, active identifiers only."""
    return person_pb2.Person(
        name=person.name,
        state=STATE[person.state],
        demographics=demographics_message(person.demographics),
        identifiers=[
            person_pb2.PersonIdentifier(
                identifier=identifier_pb2.Identifier(
                    type=TYPE[held.identifier.type],
                    value=held.identifier.value,
                    assigner=held.identifier.assigner,
                ),
                assurance=ASSURANCE[held.assurance],
            )
            for held in person.identifiers
            if held.valid_to is None
        ],
        registering_organization=f"organizations/{person.facility}" if person.facility else "",
        create_time=stamp(person.created_at),
        etag=person.etag,
        protected=person.protected,
        death_date=date_message(person.death),
        **_came(person),
    )


def golden_message(found: golden.GoldenPerson) -> person_pb2.Person:
    """Who answers for an entry, in proto: golden values with where they come from."""
    message = person_message(found.person)
    message.etag = found.etag
    message.superseded.extend(f"persons/{one}" for one in found.superseded)
    message.redirected_from = f"persons/{found.redirected_from}" if found.redirected_from else ""
    message.golden_values.extend(
        person_pb2.GoldenValue(field=one.field, person=f"persons/{one.person}", source=SOURCE[one.source])
        for one in found.values
    )
    return message


def _came(person: model.Person) -> dict[str, Any]:
    """How a provisional person came; of one who is identified by now, only what stays true."""
    came = person.provisional
    if came is None:
        return {}
    waits = person.state is model.PersonState.PROVISIONAL
    return {
        "provisional_kind": KIND[came.kind] if waits else person_pb2.PROVISIONAL_KIND_UNSPECIFIED,
        "alias": came.alias if waits else "",
        "mother": f"persons/{came.mother}" if came.mother else "",
        "birth_order": came.birth_order,
    }


def resolution_message(resolution: model.Resolution) -> person_service_pb2.PersonResolution:
    """The answer to a query in proto."""
    return person_service_pb2.PersonResolution(
        outcome=_OUTCOME[resolution.outcome],
        person=f"persons/{resolution.person}" if resolution.person else "",
        evidence=_evidence(resolution.evidence),
        ask_next=resolution.ask_next,
        warnings=resolution.warnings,
        score=resolution.score,
        incomplete=resolution.incomplete,
        superseded=[f"persons/{id}" for id in resolution.superseded],
        model_version=resolution.model_version,
    )


def max_candidates_in(number: int) -> int:
    """How many candidates are wanted; InvalidArgument when out of range."""
    if not 0 <= number <= MAX_CANDIDATES:
        raise model.invalid("max_candidates", f"0 to {MAX_CANDIDATES}", "COUNT")
    return number or _DEFAULT_CANDIDATES


def answer_message(answer: Answer) -> person_service_pb2.MatchedQuery:
    """The candidates for one query in proto."""
    return person_service_pb2.MatchedQuery(
        candidates=[
            person_service_pb2.MatchCandidate(
                person=f"persons/{one.person}",
                grade=_OUTCOME[one.grade],
                score=one.score,
                evidence=_evidence(one.evidence),
            )
            for one in answer.candidates
        ],
        ask_next=answer.ask_next,
        warnings=answer.warnings,
        incomplete=answer.incomplete,
        model_version=answer.model_version,
    )


def _evidence(fields: Iterable[model.FieldEvidence]) -> list[person_service_pb2.FieldEvidence]:
    return [
        person_service_pb2.FieldEvidence(field=one.field, agreement=AGREEMENT[one.agreement], bits=one.bits)
        for one in fields
    ]
