"""Provisional persons, newborns and work lists."""

from __future__ import annotations

from lienthong.identity.v1 import person_service_pb2

from services.identity import model
from services.identity.convert.persons import KIND, person_message
from services.identity.convert.scalars import (
    assurance_in,
    date_in,
    demographics_in,
    identifiers_in,
    known,
    numbers,
    optional,
    organization_code,
    resource_id,
    sex_in,
    stamp,
    time_in,
)
from services.identity.links import IdentificationEvidence
from services.identity.service import Arrival, Birth, Identification, Identified, Line, Update, Wanted

EVIDENCE = numbers(IdentificationEvidence, person_service_pb2.IdentificationEvidence, "IDENTIFICATION_EVIDENCE")


def arrival_in(message: person_service_pb2.RegisterProvisionalPersonRequest) -> Arrival:
    """How somebody came."""
    return Arrival(
        sex=sex_in(message.sex, "sex"),
        kind=optional(KIND, message.kind, "kind") or model.ProvisionalKind.UNIDENTIFIED,
        estimated_age=message.estimated_age if message.HasField("estimated_age") else None,
        claimed=demographics_in(message.claimed, "claimed"),
        temporary=message.temporary_identifier,
        alias=message.alias,
        mrn=message.local_mrn,
        at=time_in(message.arrival_time, "arrival_time") if message.HasField("arrival_time") else None,
    )


def birth_in(message: person_service_pb2.RegisterNewbornRequest) -> Birth:
    """One child of a birth."""
    return Birth(
        mother=resource_id(message.mother, "persons", "mother") if message.mother else None,
        at=time_in(message.birth_time, "birth_time"),
        order=message.birth_order,
        sex=sex_in(message.sex, "sex"),
        temporary=message.temporary_identifier,
        mrn=message.local_mrn,
    )


def wanted_in(message: person_service_pb2.ListProvisionalPersonsRequest) -> Wanted:
    """Which part of the work list."""
    facility = organization_code(message.organization, "organization") if message.organization else None
    return Wanted(facility, message.min_age_hours, message.notice_due)


def update_in(message: person_service_pb2.UpdatePersonRequest) -> Update:
    """What is new of a person. Of the person named, only demographics and etag are read; the rest is the service's."""
    return Update(
        person=resource_id(message.person.name, "persons", "person.name"),
        etag=message.person.etag,
        demographics=demographics_in(message.person.demographics, "person.demographics"),
        add=identifiers_in(message.add_identifiers, "add_identifiers"),
        end=identifiers_in(message.end_identifiers, "end_identifiers"),
        assurance=assurance_in(message.assurance),
        death=date_in(message.death_date, "death_date") if message.HasField("death_date") else None,
        protected=message.protected if message.HasField("protected") else None,
    )


def identification_in(message: person_service_pb2.IdentifyProvisionalPersonRequest) -> Identification:
    """What was found out about a provisional person."""
    return Identification(
        person=resource_id(message.name, "persons", "name"),
        evidence=known(EVIDENCE, message.evidence, "evidence"),
        demographics=demographics_in(message.demographics, "demographics"),
        identifiers=identifiers_in(message.identifiers, "identifiers"),
        target=resource_id(message.person, "persons", "person") if message.person else None,
        assurance=assurance_in(message.assurance),
        etag=message.etag,
    )


def identified_message(identified: Identified) -> person_service_pb2.IdentifyProvisionalPersonResponse:
    """Who it is, in proto."""
    return person_service_pb2.IdentifyProvisionalPersonResponse(
        person=person_message(identified.person),
        link=f"personLinks/{identified.link}" if identified.link else "",
        review_task=f"reviewTasks/{identified.task}" if identified.task else "",
    )


def line_message(line: Line) -> person_service_pb2.ProvisionalPersonItem:
    """A line of the work list in proto."""
    came = line.came
    return person_service_pb2.ProvisionalPersonItem(
        person=person_message(line.person),
        arrival_time=stamp(came.arrival_at),
        age_hours=line.age_hours,
        notice_deadline=stamp(came.notice_due_at) if came.notice_due_at else None,
        notice_time=stamp(came.notice_at) if came.notice_at else None,
    )


def waiting_message(line: Line) -> person_service_pb2.ProvisionalPersonItem:
    """A line for somebody who has no business with the person: which entry waits, where and since when."""
    message = line_message(line)
    for field in ("demographics", "identifiers", "alias", "mother", "birth_order", "death_date", "golden_values"):
        message.person.ClearField(field)
    return message
