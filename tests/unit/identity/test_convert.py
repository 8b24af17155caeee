"""Proto to model and back."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from google.protobuf.message import Message
from google.type import date_pb2
from hypothesis import given
from hypothesis import strategies as st
from lienthong.identity.v1 import organization_pb2, organization_service_pb2, person_pb2, source_record_service_pb2
from lienthong.type.v1 import administrative_area_pb2, identifier_pb2

from services.chassis.errors import InvalidArgument
from services.identity.convert import organizations, persons, practitioners, scalars, source_records
from services.identity.model import (
    Agreement,
    Area,
    Assurance,
    BirthDate,
    Demographics,
    Era,
    FieldEvidence,
    Filing,
    FilingOutcome,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Outcome,
    Person,
    PersonIdentifier,
    PersonState,
    Resolution,
    Sex,
)
from services.identity.registers import CareLevel, Organization, OrganizationState, Practitioner

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
births = st.dates(min_value=datetime(1900, 1, 1, tzinfo=UTC).date()).map(
    lambda day: BirthDate(day.year, day.month, day.day)
)
demographics = st.builds(
    Demographics,
    name=st.sampled_from([None, "Nguyễn Thị Hoà", "H'Hen Niê"]),
    birth=st.none() | births | st.integers(1900, 2030).map(BirthDate),
    sex=st.none() | st.sampled_from(Sex),
    phone=st.sampled_from([None, "0912345678", "+1 555 0100"]),
    residence=st.none() | st.sampled_from([Area("27", Era.PROVINCES_63), Area("24", Era.PROVINCES_34)]),
)


@given(demographics)
def test_demographics_survive_the_round_trip(value: Demographics) -> None:
    message = scalars.demographics_message(value) or person_pb2.Demographics()
    assert scalars.demographics_in(message, "demographics") == value


@pytest.mark.parametrize("level", list(CareLevel))
@pytest.mark.parametrize("parent", [None, "01002"])
def test_organizations_survive_the_round_trip(level: CareLevel, parent: str | None) -> None:
    area = Area("01", Era.PROVINCES_63)
    value = Organization("01001", "Bệnh viện A", level, area, parent, OrganizationState.ACTIVE, NOW)
    assert organizations.organization_in(organizations.organization_message(value)).same_content(value)


def test_practitioners_survive_the_round_trip() -> None:
    value = Practitioner(ID, "000123/HCM-CCHN", "Trần Văn Bình", ("01001", "79002"), "doctor", NOW)
    assert practitioners.practitioner_in(practitioners.practitioner_message(value)).same_content(value)


def test_a_person_in_proto() -> None:
    key = IdentifierKey("CITIZEN_ID", "001185012345")
    number = Identifier(IdentifierType.CITIZEN_ID, "001185012345")
    old = PersonIdentifier(number, key, Assurance.TYPED, NOW, NOW)
    held = PersonIdentifier(number, key, Assurance.CARD_CODE, NOW)
    message = persons.person_message(Person(ID, PersonState.PROVISIONAL, Demographics(), (old, held), "01001", NOW, 3))
    assert (message.name, message.etag) == (f"persons/{ID}", '"3"')
    assert message.registering_organization == "organizations/01001"
    assert not message.HasField("demographics")
    assert [one.assurance for one in message.identifiers] == [person_pb2.IDENTIFIER_ASSURANCE_CARD_CODE]


def test_answers_in_proto() -> None:
    evidence = (FieldEvidence("demographics.sex", Agreement.ABSENT),)
    resolution = persons.resolution_message(Resolution(Outcome.REVIEW, None, evidence, ("demographics.sex",), ("W",)))
    assert (resolution.person, list(resolution.ask_next), list(resolution.warnings)) == (
        "",
        ["demographics.sex"],
        ["W"],
    )
    filing = source_records.filing_message(Filing(FilingOutcome.REVIEW, ID, ("W",)))
    assert (filing.outcome, filing.person) == (source_record_service_pb2.FILING_OUTCOME_REVIEW, f"persons/{ID}")


def test_a_source_record_is_taken_as_it_is() -> None:
    message = source_record_service_pb2.SourceRecord(
        facility="01001",
        local_mrn="BN1",
        identifiers=[
            identifier_pb2.Identifier(value="1"),
            *[identifier_pb2.Identifier(type=identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID, value="2")] * 9,
        ],
        demographics=person_pb2.Demographics(
            birth_date=date_pb2.Date(year=2001, month=2, day=31),
            residence=administrative_area_pb2.AdministrativeArea(province_code="01"),
        ),
    )
    record = source_records.source_record_in(message)
    assert record.faults == ("BIRTH_DATE_INVALID", "IDENTIFIER_TYPE_MISSING", "IDENTIFIERS_TOO_MANY")
    assert len(record.identifiers) == 7
    assert record.demographics == Demographics(birth=BirthDate(2001))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (person_pb2.Demographics(birth_date=date_pb2.Date(year=2001, month=2, day=31)), "d.birth_date"),
        (person_pb2.Demographics(birth_date=date_pb2.Date(month=2)), "d.birth_date"),
        (
            person_pb2.Demographics(residence=administrative_area_pb2.AdministrativeArea(province_code="01")),
            "d.residence.era",
        ),
    ],
)
def test_impossible_demographics_name_their_field(message: person_pb2.Demographics, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        scalars.demographics_in(message, "d")
    assert [one.field for one in refused.value.violations] == [field]


@pytest.mark.parametrize(
    "name", ["", "persons/", "persons/1", f"patients/{ID}", f"persons/{ID}/x", f"persons/{str(ID).upper()}"]
)
def test_resource_names_have_one_spelling(name: str) -> None:
    with pytest.raises(InvalidArgument):
        scalars.resource_id(name, "persons", "name")


def test_small_refusals_name_their_field() -> None:
    for call, field in (
        (lambda: scalars.organization_code("organizations/0100", "name"), "name"),
        (lambda: scalars.request_uuid("1"), "request_id"),
        (lambda: scalars.identifiers_in([identifier_pb2.Identifier(value="1")], "identifiers"), "identifiers[0].type"),
        (lambda: scalars.count([1, 2], 1, "queries"), "queries"),
        (
            lambda: organizations.filter_in(
                organization_service_pb2.ListOrganizationsRequest(care_level=9)  # type: ignore[arg-type] # unknown here
            ),
            "care_level",
        ),
    ):
        with pytest.raises(InvalidArgument) as refused:
            call()
        assert [one.field for one in refused.value.violations] == [field]


def test_an_organization_without_level_is_refused() -> None:
    message: Message = organization_pb2.Organization(code="01001")
    assert isinstance(message, organization_pb2.Organization)
    with pytest.raises(InvalidArgument):
        organizations.organization_in(message)
