"""Values that several messages of the identity role share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Protocol, TypeVar
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2
from lienthong.identity.v1 import person_pb2
from lienthong.type.v1 import administrative_area_pb2, administrative_sex_pb2, human_name_pb2, identifier_pb2

from services.identity import model
from services.identity.normalise.names import written
from services.identity.normalise.phones import phone as normal_phone

MAX_IDENTIFIERS = 8
PHONE_LENGTH = 20
_COUNTRY_LENGTH = 3
_WARD_LENGTH = 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

E = TypeVar("E", bound=Enum)
V_co = TypeVar("V_co", bound=int, covariant=True)
N = TypeVar("N", bound=int)


class ProtoEnum(Protocol[V_co]):
    """A generated enum wrapper."""

    def Value(self, name: str) -> V_co: ...  # the generated name


def numbers(kinds: type[E], wrapper: ProtoEnum[N], prefix: str) -> dict[E, N]:
    """Model enum to proto number; a member the proto lacks stops the import, and with it the start."""
    return {kind: wrapper.Value(f"{prefix}_{kind.value}") for kind in kinds}


SEX = numbers(model.Sex, administrative_sex_pb2.AdministrativeSex, "ADMINISTRATIVE_SEX")
ERA = numbers(model.Era, administrative_area_pb2.AreaEra, "AREA_ERA")
TYPE = numbers(model.IdentifierType, identifier_pb2.IdentifierType, "IDENTIFIER_TYPE")
ASSURANCE = numbers(model.Assurance, person_pb2.IdentifierAssurance, "IDENTIFIER_ASSURANCE")


def member(numbers: Mapping[E, int], number: int) -> E | None:
    """The member of a proto number; None for one that is not known."""
    return next((kind for kind, known in numbers.items() if known == number), None)


def known(numbers: Mapping[E, int], number: int, field: str) -> E:
    """The member of a proto number; InvalidArgument naming the field otherwise."""
    found = member(numbers, number)
    if found is None:
        raise model.invalid(field, "a known value", "VALUE_UNKNOWN")
    return found


def optional(numbers: Mapping[E, int], number: int, field: str) -> E | None:
    """The member of a proto number; None when unset."""
    return known(numbers, number, field) if number else None


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


def assurance_in(number: int) -> model.Assurance:
    """How identifiers were read; unset means typed."""
    return optional(ASSURANCE, number, "assurance") or model.Assurance.TYPED


def sex_in(number: int, field: str) -> model.Sex:
    """A sex that must be given."""
    return known(SEX, number, field)


def identifiers_in(messages: Sequence[identifier_pb2.Identifier], field: str) -> tuple[model.Identifier, ...]:
    """Typed numbers; InvalidArgument naming each without a type."""
    count(messages, MAX_IDENTIFIERS, field)
    return tuple(
        model.Identifier(known(TYPE, message.type, f"{field}[{at}].type"), message.value, message.assigner)
        for at, message in enumerate(messages)
    )


def birth_in(message: date_pb2.Date) -> model.BirthDate | None:
    """A date of birth; None when unset. Raises ValueError for an impossible one."""
    if not message.year and not message.month and not message.day:
        return None
    return model.BirthDate(message.year, message.month, message.day)


def demographics_in(message: person_pb2.Demographics, field: str) -> model.Demographics:
    """Demographics as written; InvalidArgument naming an impossible date or an unknown value."""
    try:
        birth = birth_in(message.birth_date)
    except ValueError:
        raise model.invalid(f"{field}.birth_date", "a date; month or day 0 for unknown", "DATE_INVALID") from None
    area = message.residence
    return model.Demographics(
        name=written(message.human_name.text) or None,
        birth=birth,
        sex=optional(SEX, message.sex, f"{field}.sex"),
        phone=normal_phone(message.phone) or message.phone.strip()[:PHONE_LENGTH] or None,
        residence=area_in(area, known(ERA, area.era, f"{field}.residence.era"), f"{field}.residence")
        if area.province_code
        else None,
        mother_name=written(message.mother_name.text) or None,
        nationality=nationality_in(message.nationality, f"{field}.nationality"),
    )


def nationality_in(code: str, field: str) -> str | None:
    """An ISO 3166 alpha-3 code in capitals; InvalidArgument for what cannot be one. Whether the country exists is not asked: lists change."""
    code = code.strip().upper()
    if code and not (len(code) == _COUNTRY_LENGTH and code.isascii() and code.isalpha()):
        raise model.invalid(field, "an ISO 3166 alpha-3 code", "COUNTRY_INVALID")
    return code or None


def area_in(message: administrative_area_pb2.AdministrativeArea, era: model.Era, field: str) -> model.Area:
    """An area; InvalidArgument naming a ward that cannot be one."""
    ward = message.ward_code.strip()
    if ward and not (len(ward) == _WARD_LENGTH and ward.isascii() and ward.isdecimal()):
        raise model.invalid(f"{field}.ward_code", "5 digits", "WARD_CODE_INVALID")
    day = message.ward_date
    try:
        since = date(day.year, day.month, day.day) if day.year else None
    except ValueError:
        raise model.invalid(f"{field}.ward_date", "a date", "DATE_INVALID") from None
    return model.Area(message.province_code, era, ward or None, since)


def stamp(at: datetime) -> Timestamp:
    """A time in proto."""
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def time_in(message: Timestamp, field: str) -> datetime:
    """A time; InvalidArgument when it is none of the years 1 to 9999."""
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise model.invalid(field, "a time", "TIME_INVALID") from None


def date_in(message: date_pb2.Date, field: str) -> date:
    """A whole date; InvalidArgument naming the field otherwise."""
    try:
        return date(message.year, message.month, message.day)
    except ValueError:
        raise model.invalid(field, "a whole date", "DATE_INVALID") from None


def date_message(day: date | None) -> date_pb2.Date | None:
    """A whole date in proto."""
    return None if day is None else date_pb2.Date(year=day.year, month=day.month, day=day.day)


def area_message(area: model.Area | None) -> administrative_area_pb2.AdministrativeArea | None:
    """A province in proto."""
    if area is None:
        return None
    day = area.ward_date
    return administrative_area_pb2.AdministrativeArea(
        province_code=area.province_code,
        era=ERA[area.era],
        ward_code=area.ward_code or "",
        ward_date=date_pb2.Date(year=day.year, month=day.month, day=day.day) if day else None,
    )


def demographics_message(demographics: model.Demographics) -> person_pb2.Demographics | None:
    """Demographics in proto; None when nothing is known or shown."""
    if demographics == model.Demographics():
        return None
    birth, name = demographics.birth, demographics.name
    return person_pb2.Demographics(
        human_name=human_name_pb2.HumanName(text=name) if name else None,
        birth_date=date_pb2.Date(year=birth.year, month=birth.month, day=birth.day) if birth else None,
        sex=SEX[demographics.sex] if demographics.sex else administrative_sex_pb2.ADMINISTRATIVE_SEX_UNSPECIFIED,
        phone=demographics.phone or "",
        residence=area_message(demographics.residence),
        mother_name=human_name_pb2.HumanName(text=demographics.mother_name) if demographics.mother_name else None,
        nationality=demographics.nationality or "",
    )
