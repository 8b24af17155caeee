"""Proto to model and back for the identity role; nothing else knows both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol, TypeVar
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2
from lienthong.identity.v1 import (
    organization_pb2,
    person_pb2,
    person_service_pb2,
    practitioner_pb2,
    source_record_service_pb2,
)
from lienthong.type.v1 import administrative_area_pb2, administrative_sex_pb2, human_name_pb2, identifier_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.identity import model
from services.identity.normalise.names import written
from services.identity.normalise.phones import phone as normal_phone

MAX_IDENTIFIERS = 8
MAX_QUERIES = 100
MAX_RECORDS = 200
_PHONE_LENGTH = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

E = TypeVar("E", bound=Enum)
V_co = TypeVar("V_co", bound=int, covariant=True)
N = TypeVar("N", bound=int)


class _ProtoEnum(Protocol[V_co]):
    def Value(self, name: str) -> V_co: ...  # the generated name


def _numbers(kinds: type[E], wrapper: _ProtoEnum[N], prefix: str) -> dict[E, N]:
    """Model enum to proto number; a member the proto lacks stops the import, and with it the start."""
    return {kind: wrapper.Value(f"{prefix}_{kind.value}") for kind in kinds}


_SEX = _numbers(model.Sex, administrative_sex_pb2.AdministrativeSex, "ADMINISTRATIVE_SEX")
_ERA = _numbers(model.Era, administrative_area_pb2.AreaEra, "AREA_ERA")
_TYPE = _numbers(model.IdentifierType, identifier_pb2.IdentifierType, "IDENTIFIER_TYPE")
_STATE = _numbers(model.PersonState, person_pb2.PersonState, "PERSON_STATE")
_ASSURANCE = _numbers(model.Assurance, person_pb2.IdentifierAssurance, "IDENTIFIER_ASSURANCE")
_OUTCOME = _numbers(model.Outcome, person_service_pb2.ResolutionOutcome, "RESOLUTION_OUTCOME")
_AGREEMENT = _numbers(model.Agreement, person_service_pb2.FieldAgreement, "FIELD_AGREEMENT")
_FILING = _numbers(model.FilingOutcome, source_record_service_pb2.FilingOutcome, "FILING_OUTCOME")
_LEVEL = _numbers(model.CareLevel, organization_pb2.CareLevel, "CARE_LEVEL")
_ORGANIZATION_STATE = _numbers(model.OrganizationState, organization_pb2.OrganizationState, "ORGANIZATION_STATE")


def _member(numbers: Mapping[E, int], number: int) -> E | None:
    return next((kind for kind, known in numbers.items() if known == number), None)


def _known(numbers: Mapping[E, int], number: int, field: str) -> E:
    found = _member(numbers, number)
    if found is None:
        raise model.invalid(field, "a known value", "VALUE_UNKNOWN")
    return found


def _optional(numbers: Mapping[E, int], number: int, field: str) -> E | None:
    return _known(numbers, number, field) if number else None


def resource_id(name: str, collection: str, field: str) -> UUID:
    """The UUID of `collection/{uuid}`; InvalidArgument naming the field otherwise."""
    prefix, _, value = name.partition("/")
    try:
        if prefix == collection and str(UUID(value)) == value:
            return UUID(value)
    except ValueError:
        pass
    raise model.invalid(field, f"{collection}/{{uuid}}", "NAME_INVALID")


def organization_code(name: str, field: str) -> str:
    """The code of `organizations/{code}`; InvalidArgument naming the field otherwise."""
    prefix, _, code = name.partition("/")
    if prefix != "organizations" or len(code) != 5 or not code.isascii() or not code.isalnum():
        raise model.invalid(field, "organizations/{code}", "NAME_INVALID")
    return code


def request_uuid(text: str) -> str:
    """The canonical form of a request id; InvalidArgument when it is no UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        raise model.invalid("request_id", "a UUID", "REQUEST_ID_INVALID") from None


def count(items: Sequence[object], most: int, field: str) -> None:
    """Raises InvalidArgument when there are more than allowed."""
    if len(items) > most:
        raise model.invalid(field, f"at most {most}", "COUNT")


def page_level(number: int) -> model.CareLevel | None:
    """A level to filter by; None for all."""
    return _optional(_LEVEL, number, "care_level")


def assurance_in(number: int) -> model.Assurance:
    """How identifiers were read; unset means typed."""
    return _optional(_ASSURANCE, number, "assurance") or model.Assurance.TYPED


def sex_in(number: int, field: str) -> model.Sex:
    """A sex that must be given."""
    return _known(_SEX, number, field)


def identifiers_in(messages: Sequence[identifier_pb2.Identifier], field: str) -> tuple[model.Identifier, ...]:
    """Typed numbers; InvalidArgument naming each without a type."""
    count(messages, MAX_IDENTIFIERS, field)
    return tuple(
        model.Identifier(_known(_TYPE, message.type, f"{field}[{at}].type"), message.value, message.assigner)
        for at, message in enumerate(messages)
    )


def _birth_in(message: date_pb2.Date) -> model.BirthDate | None:
    if not message.year and not message.month and not message.day:
        return None
    return model.BirthDate(message.year, message.month, message.day)


def demographics_in(message: person_pb2.Demographics, field: str) -> model.Demographics:
    """Demographics as written; InvalidArgument naming an impossible date or an unknown value."""
    try:
        birth = _birth_in(message.birth_date)
    except ValueError:
        raise model.invalid(f"{field}.birth_date", "a date; month or day 0 for unknown", "DATE_INVALID") from None
    area = message.residence
    return model.Demographics(
        name=written(message.human_name.text) or None,
        birth=birth,
        sex=_optional(_SEX, message.sex, f"{field}.sex"),
        phone=normal_phone(message.phone) or message.phone.strip()[:_PHONE_LENGTH] or None,
        residence=model.Area(area.province_code, _known(_ERA, area.era, f"{field}.residence.era"))
        if area.province_code
        else None,
    )


def query_in(message: person_service_pb2.PersonQuery, field: str) -> model.Query:
    """One resolve query."""
    return model.Query(
        identifiers_in(message.identifiers, f"{field}.identifiers"),
        demographics_in(message.demographics, f"{field}.demographics"),
    )


def source_record_in(message: source_record_service_pb2.SourceRecord) -> model.SourceRecord:
    """One source record. Documents hold what they hold: what cannot be read becomes a reason code, so that one bad
    date spoils no batch.
    """
    faults: list[str] = []
    try:
        birth = _birth_in(message.demographics.birth_date)
    except ValueError:
        birth = None
        faults.append("BIRTH_DATE_INVALID")
    typed = [(_member(_TYPE, one.type), one) for one in message.identifiers[:MAX_IDENTIFIERS]]
    if any(type is None for type, _ in typed):
        faults.append("IDENTIFIER_TYPE_MISSING")
    if len(message.identifiers) > MAX_IDENTIFIERS:
        faults.append("IDENTIFIERS_TOO_MANY")
    area = message.demographics.residence
    era = _member(_ERA, area.era)
    phone = message.demographics.phone
    return model.SourceRecord(
        facility=message.facility,
        local_mrn=message.local_mrn,
        identifiers=tuple(model.Identifier(type, one.value, one.assigner) for type, one in typed if type is not None),
        demographics=model.Demographics(
            name=written(message.demographics.human_name.text) or None,
            birth=birth,
            sex=_member(_SEX, message.demographics.sex),
            phone=normal_phone(phone) or phone.strip()[:_PHONE_LENGTH] or None,
            residence=model.Area(area.province_code, era) if area.province_code and era is not None else None,
        ),
        faults=tuple(faults),
    )


def organization_in(message: organization_pb2.Organization) -> model.Organization:
    """A facility to register; state, times and etag are the service's to set."""
    return model.Organization(
        code=message.code,
        display_name=written(message.display_name),
        care_level=_known(_LEVEL, message.care_level, "organization.care_level"),
        province=model.Area(
            message.province.province_code, _known(_ERA, message.province.era, "organization.province.era")
        ),
        parent=organization_code(message.parent, "organization.parent") if message.parent else None,
        state=model.OrganizationState.ACTIVE,
        created_at=_EPOCH,
    )


def practitioner_in(message: practitioner_pb2.Practitioner) -> model.Practitioner:
    """A practitioner to register; id and time are the service's to set."""
    wrong: list[FieldViolation] = []
    codes: list[str] = []
    for at, name in enumerate(message.organizations):
        try:
            codes.append(organization_code(name, f"practitioner.organizations[{at}]"))
        except InvalidArgument as error:
            wrong += error.violations
    if wrong:
        raise InvalidArgument.of(*wrong)
    return model.Practitioner(
        id=UUID(int=0),
        licence=" ".join(message.licence.split()),
        human_name=written(message.human_name.text),
        organizations=tuple(codes),
        role=message.role,
        created_at=_EPOCH,
    )


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def _area_message(area: model.Area | None) -> administrative_area_pb2.AdministrativeArea | None:
    if area is None:
        return None
    return administrative_area_pb2.AdministrativeArea(province_code=area.province_code, era=_ERA[area.era])


def demographics_message(demographics: model.Demographics) -> person_pb2.Demographics | None:
    """Demographics in proto; None when nothing is known or shown."""
    if demographics == model.Demographics():
        return None
    birth, name = demographics.birth, demographics.name
    return person_pb2.Demographics(
        human_name=human_name_pb2.HumanName(text=name) if name else None,
        birth_date=date_pb2.Date(year=birth.year, month=birth.month, day=birth.day) if birth else None,
        sex=_SEX[demographics.sex] if demographics.sex else administrative_sex_pb2.ADMINISTRATIVE_SEX_UNSPECIFIED,
        phone=demographics.phone or "",
        residence=_area_message(demographics.residence),
    )


def person_message(person: model.Person) -> person_pb2.Person:
    """A person in proto, active identifiers only."""
    return person_pb2.Person(
        name=person.name,
        state=_STATE[person.state],
        demographics=demographics_message(person.demographics),
        identifiers=[
            person_pb2.PersonIdentifier(
                identifier=identifier_pb2.Identifier(
                    type=_TYPE[held.identifier.type],
                    value=held.identifier.value,
                    assigner=held.identifier.assigner,
                ),
                assurance=_ASSURANCE[held.assurance],
            )
            for held in person.identifiers
            if held.valid_to is None
        ],
        registering_organization=f"organizations/{person.facility}" if person.facility else "",
        create_time=_stamp(person.created_at),
        etag=person.etag,
    )


def resolution_message(resolution: model.Resolution) -> person_service_pb2.PersonResolution:
    """The answer to a query in proto."""
    return person_service_pb2.PersonResolution(
        outcome=_OUTCOME[resolution.outcome],
        person=f"persons/{resolution.person}" if resolution.person else "",
        evidence=[
            person_service_pb2.FieldEvidence(field=one.field, agreement=_AGREEMENT[one.agreement])
            for one in resolution.evidence
        ],
        ask_next=resolution.ask_next,
        warnings=resolution.warnings,
    )


def filing_message(filing: model.Filing) -> source_record_service_pb2.SourceRecordFiling:
    """How a source record was filed, in proto."""
    return source_record_service_pb2.SourceRecordFiling(
        outcome=_FILING[filing.outcome],
        person=f"persons/{filing.person}",
        warnings=filing.warnings,
    )


def organization_message(organization: model.Organization) -> organization_pb2.Organization:
    """A facility in proto."""
    return organization_pb2.Organization(
        name=organization.name,
        code=organization.code,
        display_name=organization.display_name,
        care_level=_LEVEL[organization.care_level],
        province=_area_message(organization.province),
        parent=f"organizations/{organization.parent}" if organization.parent else "",
        state=_ORGANIZATION_STATE[organization.state],
        create_time=_stamp(organization.created_at),
        etag=organization.etag,
    )


def practitioner_message(practitioner: model.Practitioner) -> practitioner_pb2.Practitioner:
    """A practitioner in proto."""
    return practitioner_pb2.Practitioner(
        name=practitioner.name,
        licence=practitioner.licence,
        human_name=human_name_pb2.HumanName(text=practitioner.human_name),
        organizations=[f"organizations/{code}" for code in practitioner.organizations],
        role=practitioner.role,
        create_time=_stamp(practitioner.created_at),
    )
