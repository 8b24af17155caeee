"""Persons and resolutions."""

from __future__ import annotations

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

MAX_QUERIES = 100
STATE = numbers(model.PersonState, person_pb2.PersonState, "PERSON_STATE")
KIND = numbers(model.ProvisionalKind, person_pb2.ProvisionalKind, "PROVISIONAL_KIND")
SOURCE = {one: person_pb2.GoldenSource.Value(f"GOLDEN_SOURCE_{one.name}") for one in golden.GoldenSource}
_OUTCOME = numbers(model.Outcome, person_service_pb2.ResolutionOutcome, "RESOLUTION_OUTCOME")
AGREEMENT = numbers(model.Agreement, person_service_pb2.FieldAgreement, "FIELD_AGREEMENT")


def query_in(message: person_service_pb2.PersonQuery, field: str) -> model.Query:
    """One resolve query."""
    return model.Query(
        identifiers_in(message.identifiers, f"{field}.identifiers"),
        demographics_in(message.demographics, f"{field}.demographics"),
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
        evidence=[
            person_service_pb2.FieldEvidence(field=one.field, agreement=AGREEMENT[one.agreement])
            for one in resolution.evidence
        ],
        ask_next=resolution.ask_next,
        warnings=resolution.warnings,
    )
