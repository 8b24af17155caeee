"""What an episode says: patient, identifiers, slips in both versions' names, and the health book's view."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from lienthong.samples import Generator
from lienthong.type.v1 import document_kind_pb2, identifier_pb2

from services.records.formats import ContentKind, HealthBookEntry, IdentifierType, Precision
from services.records.formats.xml130 import Xml130Format, health_book_entry, parse_episode
from services.records.formats.xml130.values import VIETNAM, identity_document, instant, insurance_card, partial_date
from tests.unit.records.formats.documents import read, sample, with_field, with_table

ENDED = {"4750": datetime(2024, 9, 12, 15, 30, tzinfo=VIETNAM), "3176": datetime(2025, 9, 12, 15, 30, tzinfo=VIETNAM)}


@pytest.mark.parametrize("spec", ["4750", "3176"])
def test_referral_and_follow_up_in_both_versions(spec: str) -> None:
    generator = Generator(2)
    made = generator.episode(facility="27001", spec=spec, referral_to="01001", follow_up=True, ended=ENDED[spec])
    episode = read(made.content)
    slip = episode.referral
    assert slip is not None
    assert (slip.target_facility, slip.signed_on) == ("01001", ENDED[spec].date())
    assert slip.number.startswith("27001/")
    assert slip.main_diagnosis == episode.main_diagnosis
    assert slip.secondary_diagnoses == episode.secondary_diagnoses
    assert slip.clinical_signs
    assert slip.plan
    assert slip.treatment == episode.summary["PP_DIEU_TRI"]
    assert slip.previous_facilities == tuple(filter(None, [episode.summary["MA_NOI_DI"]]))
    follow_up = episode.follow_up
    assert follow_up is not None
    assert follow_up.number.startswith("27001/HK")
    assert 7 <= (follow_up.appointed_on - ENDED[spec].date()).days <= 28


def test_chain_of_referrals_lists_all_facilities_before() -> None:
    content = sample(2, facility="27001", referral_to="01001", ended=ENDED["3176"])
    chained = with_field(content, "XML13", "MA_CSKCB_DI", "27101; 19101;khong-phai")
    slip = parse_episode(chained).referral
    assert slip is not None
    assert slip.previous_facilities == ("27101", "19101")


def test_patient_and_identifiers() -> None:
    made = Generator(6).episode(facility="19001")
    patient = read(made.content).patient
    person = made.person
    found = {fact.type: fact for fact in patient.identifiers}
    assert found[IdentifierType.CITIZEN_ID].value == person.citizen_number
    assert found[IdentifierType.HEALTH_INSURANCE].value == person.insurance_card
    assert found[IdentifierType.SOCIAL_INSURANCE].value == person.insurance_card[-10:]
    assert found[IdentifierType.LOCAL_MRN].assigner == "19001"
    assert (patient.sex, patient.phone, patient.nationality) == (person.sex, person.phone, "000")
    assert patient.birth is not None
    assert patient.birth.year == person.birth.year
    assert person.full_name not in repr(patient)
    assert person.citizen_number not in repr(patient.identifiers)


def test_without_identifier_only_the_local_number_is_left() -> None:
    patient = read(sample(6, with_identifier=False)).patient
    assert [fact.type for fact in patient.identifiers] == [IdentifierType.LOCAL_MRN]


def test_times_are_utc() -> None:
    episode = read(sample(2, ended=datetime(2025, 9, 12, 6, 30, tzinfo=VIETNAM)))
    assert episode.discharged == datetime(2025, 9, 11, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("001085012345", IdentifierType.CITIZEN_ID),
        ("012345678", IdentifierType.OLD_ID),
        ("B1234567", IdentifierType.PASSPORT),
        ("b1234567", IdentifierType.PASSPORT),
        ("T-01234-7KQ2M9X-31", IdentifierType.TEMPORARY),
        ("t012347kq2m9x31", IdentifierType.TEMPORARY),
        ("T-01234-7KQ2M9X-32", IdentifierType.UNKNOWN),
        ("12345", IdentifierType.UNKNOWN),
        ("٠٠١٠٨٥٠١٢٣٤٥", IdentifierType.UNKNOWN),
    ],
)
def test_typing_of_identity_documents(raw: str, kind: IdentifierType) -> None:
    fact = identity_document(raw)
    assert (fact.type, fact.raw) == (kind, raw)


def test_a_temporary_identifier_names_its_facility() -> None:
    fact = identity_document("T012347KQ2M9X31")
    assert (fact.value, fact.assigner) == ("T-01234-7KQ2M9X-31", "01234")


def test_typing_of_cards() -> None:
    card = insurance_card("DN4010123456789")
    assert [(fact.type.value, fact.value) for fact in card] == [
        ("HEALTH_INSURANCE", "DN4010123456789"),
        ("SOCIAL_INSURANCE", "0123456789"),
    ]
    assert [fact.type for fact in insurance_card("0123456789")] == [IdentifierType.SOCIAL_INSURANCE]
    assert [fact.type for fact in insurance_card("001085012345")] == [IdentifierType.CITIZEN_ID]
    assert [fact.type for fact in insurance_card("DN9010123456789")] == [IdentifierType.UNKNOWN]


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("195400000000", Precision.YEAR),
        ("195405000000", Precision.MONTH),
        ("195405170000", Precision.DAY),
        ("202505170731", Precision.MINUTE),
        ("19540517", Precision.DAY),
        ("19540000", Precision.YEAR),
        ("195400170000", None),
        ("195413000000", None),
        ("195402300000", None),
        ("000005170000", None),
        ("202505172500", None),
        ("1954", None),
        ("", None),
    ],
)
def test_partial_dates(text: str, precision: Precision | None) -> None:
    found = partial_date(text)
    assert (found.precision if found else None) is precision


def test_instants() -> None:
    assert instant("202509121530") == datetime(2025, 9, 12, 8, 30, tzinfo=UTC)
    assert instant("20250912") == datetime(2025, 9, 11, 17, 0, tzinfo=UTC)
    assert instant("202502300000") is None
    assert instant("000101010000") is None
    assert instant("999912312359") is None


def test_health_book_entry_and_its_json() -> None:
    made = Generator(8).episode(facility="27001", spec="3176", follow_up=True, ended=ENDED["3176"])
    episode = read(made.content)
    entry = health_book_entry(episode)
    assert len(entry.drugs) == len(episode.rows["XML2"])
    assert len(entry.results) == len(episode.rows["XML4"])
    assert entry.drugs[0].dosage.endswith("/ngày]")
    assert entry.diagnosis == episode.summary["CHAN_DOAN_RV"]
    assert date.fromisoformat(entry.next_visit) == episode.follow_up.appointed_on if episode.follow_up else False
    assert entry.discharged == datetime(2025, 9, 12, 8, 30, tzinfo=UTC)
    assert entry.doctors
    again = HealthBookEntry.from_json(entry.to_json())
    assert again == entry
    assert Xml130Format().parse(made.content).health_book_entry == entry


def test_health_book_entry_of_a_newer_layout_is_refused() -> None:
    entry = health_book_entry(read(sample(8))).to_json().replace(b'{"layout":1', b'{"layout":2')
    with pytest.raises(ValueError, match="layout 2"):
        HealthBookEntry.from_json(entry)


def test_check_in_document_has_a_patient_and_no_visit() -> None:
    def check_in(xml: str) -> str:
        row = xml.split("?>", 1)[1].replace("TONG_HOP", "TRANG_THAI_KCB")
        return f"<CHI_TIEU_TRANG_THAI_KCB><DSACH_TRANG_THAI_KCB>{row}</DSACH_TRANG_THAI_KCB></CHI_TIEU_TRANG_THAI_KCB>"

    content = with_table(sample(8), "XML1", check_in).replace(b"<LOAIHOSO>XML1<", b"<LOAIHOSO>XML0<")
    document = Xml130Format().parse(content)
    assert document.kinds[0] is ContentKind.CHECK_IN
    assert document.patient.full_name
    assert document.health_book_entry is None


def test_kinds_and_types_are_the_contracts() -> None:
    kinds = {name.removeprefix("DOCUMENT_KIND_") for name in document_kind_pb2.DocumentKind.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    assert {kind.value for kind in ContentKind} == kinds
    types = {name.removeprefix("IDENTIFIER_TYPE_") for name in identifier_pb2.IdentifierType.keys()}  # noqa: SIM118
    assert {kind.value for kind in IdentifierType} - {"UNKNOWN"} == types - {"UNSPECIFIED"}
