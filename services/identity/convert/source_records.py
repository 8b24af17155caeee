"""Source records and filings."""

from __future__ import annotations

from lienthong.identity.v1 import source_record_service_pb2
from lienthong.type.v1 import administrative_area_pb2

from services.chassis.errors import InvalidArgument
from services.identity import model
from services.identity.convert.scalars import (
    ERA,
    MAX_IDENTIFIERS,
    PHONE_LENGTH,
    SEX,
    TYPE,
    area_in,
    birth_in,
    member,
    nationality_in,
    numbers,
)
from services.identity.normalise.dates import born
from services.identity.normalise.names import written
from services.identity.normalise.phones import phone as normal_phone

MAX_RECORDS = 200
_FILING = numbers(model.FilingOutcome, source_record_service_pb2.FilingOutcome, "FILING_OUTCOME")


def source_record_in(message: source_record_service_pb2.SourceRecord) -> model.SourceRecord:
    """One source record. Documents hold what they hold: what cannot be read becomes a reason code, so that one bad
    date spoils no batch.
    """
    faults: list[str] = []
    try:
        birth = birth_in(message.demographics.birth_date)
    except ValueError:
        # A day of the lunar calendar, or a slip: the year is known all the same.
        said = message.demographics.birth_date
        birth = born(said.year, 0, 0)
        faults.append("BIRTH_DATE_INVALID")
    typed = [(member(TYPE, one.type), one) for one in message.identifiers[:MAX_IDENTIFIERS]]
    if any(type is None for type, _ in typed):
        faults.append("IDENTIFIER_TYPE_MISSING")
    if len(message.identifiers) > MAX_IDENTIFIERS:
        faults.append("IDENTIFIERS_TOO_MANY")
    area = message.demographics.residence
    era = member(ERA, area.era)
    phone = message.demographics.phone
    return model.SourceRecord(
        facility=message.facility,
        local_mrn=message.local_mrn,
        identifiers=tuple(model.Identifier(type, one.value, one.assigner) for type, one in typed if type is not None),
        demographics=model.Demographics(
            name=written(message.demographics.human_name.text) or None,
            birth=birth,
            sex=member(SEX, message.demographics.sex),
            phone=normal_phone(phone) or phone.strip()[:PHONE_LENGTH] or None,
            residence=_area(area, era) if area.province_code and era is not None else None,
            mother_name=written(message.demographics.mother_name.text) or None,
            nationality=_nationality(message.demographics.nationality),
        ),
        faults=tuple(faults),
    )


def _area(message: administrative_area_pb2.AdministrativeArea, era: model.Era) -> model.Area:
    """The area with what is usable of its ward."""
    try:
        return area_in(message, era, "residence")
    except InvalidArgument:
        return model.Area(message.province_code, era)


def _nationality(code: str) -> str | None:
    try:
        return nationality_in(code, "nationality")
    except InvalidArgument:
        return None


def filing_message(filing: model.Filing) -> source_record_service_pb2.SourceRecordFiling:
    """How a source record was filed, in proto."""
    return source_record_service_pb2.SourceRecordFiling(
        outcome=_FILING[filing.outcome],
        person=f"persons/{filing.person}",
        warnings=filing.warnings,
    )
