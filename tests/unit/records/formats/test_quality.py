"""Data-quality findings: valid samples have none, each fault gives exactly its own."""

from __future__ import annotations

from datetime import datetime
from unicodedata import normalize

import pytest
from lienthong.samples import FACILITIES, Generator

from services.records.formats import AreaEra, Severity
from services.records.formats.xml130 import parse_episode
from services.records.formats.xml130.values import VIETNAM
from tests.unit.records.formats.documents import findings, read, sample, with_field, with_table, without_table

REFERRERS = [one for one in FACILITIES if one.code != "79001"]
# Both versions of one document with a referral and a follow-up slip, so that every table with rules across tables is there.
STAY = sample(
    8,
    facility="27001",
    referral_to="01001",
    follow_up=True,
    spec="3176",
    ended=datetime(2025, 9, 12, 15, 0, tzinfo=VIETNAM),
)
OLD = sample(
    8,
    facility="27001",
    referral_to="01001",
    follow_up=True,
    spec="4750",
    ended=datetime(2024, 9, 12, 15, 0, tzinfo=VIETNAM),
)


@pytest.mark.parametrize("spec", ["4750", "3176"])
def test_two_hundred_samples_of_each_version_have_no_finding(spec: str) -> None:
    for seed in range(67):
        generator = Generator(seed)
        person = generator.person()
        while person.birth.year > 2023:
            person = generator.person()
        for episode in (
            generator.episode(spec=spec),
            generator.episode(person, REFERRERS[seed % len(REFERRERS)], spec, referral_to="79001", follow_up=True),
            generator.episode(spec=spec, with_identifier=False),
        ):
            parsed = parse_episode(episode.content)
            assert parsed.findings == ()
            assert parsed.version == spec
            assert tuple(kind.value for kind in parsed.kinds) == episode.kinds
            assert parsed.patient.full_name == episode.person.full_name


@pytest.mark.parametrize(
    ("table", "row", "field", "text", "reason"),
    [
        ("XML1", 1, "HO_TEN", None, "FIELD_MISSING"),
        ("XML1", 1, "HO_TEN", "", "FIELD_MISSING"),
        ("XML1", 1, "NHOM_MAU", "AB dương tính", "FIELD_TOO_LONG"),
        ("XML1", 1, "STT", "1,5", "NUMBER_INVALID"),
        ("XML1", 1, "STT", "٣", "NUMBER_INVALID"),
        ("XML1", 1, "LY_DO_VV", normalize("NFD", "Đau đầu"), "TEXT_NOT_NFC"),
        ("XML1", 1, "MA_KHUVUC", "K4", "CODE_UNKNOWN"),
        ("XML1", 1, "KET_QUA_DTRI", "9", "CODE_UNKNOWN"),
        ("XML1", 1, "SO_CCCD", "12345", "IDENTIFIER_SHAPE"),
        ("XML1", 1, "NGAY_TTOAN", "202509121560", "TIME_INVALID"),
        ("XML1", 1, "NGAY_TTOAN", "20250912", "TIME_INVALID"),
        ("XML1", 1, "NAM_NAM_LIEN_TUC", "20250231", "DATE_INVALID"),
        ("XML1", 1, "GT_THE_TU", "2025-01-01", "DATE_INVALID"),
        ("XML1", 1, "NGAY_TAI_KHAM", "20250919;2025099", "DATE_INVALID"),
        ("XML1", 1, "MA_DKBD", "27001;01001", "LISTS_NOT_PARALLEL"),
        ("XML1", 1, "MA_BENH_YHCT", "U" * 151, "FIELD_TOO_LONG"),
        ("XML1", 1, "MATINH_CU_TRU", "03", "CODE_UNKNOWN"),
        ("XML1", 1, "MATINH_CU_TRU", "27", "PROVINCE_OF_FORMER_LIST"),
        ("XML1", 1, "T_BHTT_GDV", "1.005", "TOO_MANY_DECIMALS"),
        ("XML2", 2, "TT_THAU", "", "FIELD_MISSING"),
        ("XML2", 2, "NGAY_TH_YL", "202501010000", "DATES_OUT_OF_ORDER"),
        ("XML2", 2, "STT", "1", "ROW_NUMBER_REPEATED"),
        ("XML2", 1, "NGUON_CTRA", "5", "CODE_UNKNOWN"),
        ("XML3", 1, "MA_DICH_VU", "", "FIELD_MISSING"),
        ("XML3", 1, "GOI_VTYT", "G0", "SUPPLY_PACKAGE_SHAPE"),
        ("XML4", 1, "NGAY_KQ", "", "FIELD_MISSING"),
        ("XML4", 1, "MA_DICH_VU", "1234567890123456", "FIELD_TOO_LONG"),
        ("XML13", 1, "GIOI_TINH", "3", "DIFFERS_FROM_XML1"),
        ("XML13", 1, "PP_DIEUTRI", "Khác", "DIFFERS_FROM_XML1"),
        ("XML13", 1, "MA_CSKCB_DEN", "79001", "DIFFERS_FROM_XML1"),
        ("XML13", 1, "DAU_HIEU_LS", "", "FIELD_MISSING"),
        ("XML14", 1, "NGAY_HEN_KL", "20250911", "DATES_OUT_OF_ORDER"),
        ("XML14", 1, "NGAY_CT", "20240911", "DATES_OUT_OF_ORDER"),
    ],
)
def test_one_fault_gives_one_finding(table: str, row: int, field: str, text: str | None, reason: str) -> None:
    read(STAY)
    found = findings(with_field(STAY, table, field, text, row))
    assert [one for one in found if one[0] == table and one[2] == field] == [(table, row, field, reason)]


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("T_TONGCHI_BV", "1", {("T_TONGCHI_BV", "SUM_DIFFERS")}),
        ("T_THUOC", "1", {("T_THUOC", "SUM_DIFFERS")}),
        ("T_BHTT", "1", {("T_BHTT", "SUM_DIFFERS")}),
        ("SO_NGAY_DTRI", "99", {("SO_NGAY_DTRI", "TREATMENT_DAYS_DIFFER")}),
        ("MA_BENH_KT", ";".join(["I10"] * 13), {("MA_BENH_KT", "TOO_MANY_VALUES")}),
        ("MA_BENH_CHINH", "10I", {("MA_BENH_CHINH", "ICD_CODE_SHAPE")}),
        ("MA_LOAI_RV", "1", {("", "TABLE_UNEXPECTED")}),
    ],
)
def test_rules_of_the_summary(field: str, text: str, expected: set[tuple[str, str]]) -> None:
    found = {(name, reason) for _, _, name, reason in findings(with_field(STAY, "XML1", field, text))}
    # The papers that repeat the field now differ from XML1 as well.
    assert found - {(field, "DIFFERS_FROM_XML1")} == expected


def test_arithmetic_accepts_one_dong_of_rounding() -> None:
    stated = float(read(STAY).summary["T_TONGCHI_BV"])
    assert not findings(with_field(STAY, "XML1", "T_TONGCHI_BV", f"{stated + 0.99:.2f}"))
    assert findings(with_field(STAY, "XML1", "T_TONGCHI_BV", f"{stated + 1.01:.2f}"))


def test_missing_tables_are_told() -> None:
    assert findings(without_table(STAY, "XML13")) == [("XML13", 0, "", "TABLE_MISSING")]
    inpatient = with_field(STAY, "XML1", "MA_LOAI_KCB", "03")
    reasons = [one for one in findings(without_table(inpatient, "XML8")) if one[0] == "XML8"]
    assert reasons == [("XML8", 0, "", "TABLE_MISSING")]


def test_envelope_says_how_many_and_when() -> None:
    content = STAY.replace(b"<SOLUONGHOSO>1<", b"<SOLUONGHOSO>2<").replace(b"<NGAYLAP>2025", b"<NGAYLAP>20")
    assert findings(content) == [
        ("THONGTINHOSO", 0, "SOLUONGHOSO", "COUNT_DIFFERS"),
        ("THONGTINHOSO", 0, "NGAYLAP", "DATE_INVALID"),
    ]


def test_fields_of_another_version_and_unknown_ones_are_hints_without_their_text() -> None:
    wrong = with_table(STAY, "XML13", lambda xml: xml.replace("MA_CSKCB_DEN", "MA_NOI_DEN"))
    assert findings(wrong) == [("XML13", 1, "MA_NOI_DEN", "FIELD_NOT_IN_VERSION")]
    unknown = with_table(STAY, "XML1", lambda xml: xml.replace("<STT>", "<NGUYEN_VAN_A>x</NGUYEN_VAN_A><STT>"))
    (finding,) = parse_episode(unknown).findings
    assert (finding.field, finding.reason, finding.severity) == ("", "FIELD_UNKNOWN", Severity.INFORMATION)


def test_repeated_field_and_field_with_elements() -> None:
    twice = with_table(STAY, "XML1", lambda xml: xml.replace("<STT>", "<STT>1</STT><STT>"))
    assert findings(twice) == [("XML1", 1, "STT", "FIELD_REPEATED")]
    nested = with_table(STAY, "XML1", lambda xml: xml.replace("<GHI_CHU>", "<GHI_CHU><b>x</b>"))
    assert findings(nested) == [("XML1", 1, "GHI_CHU", "FIELD_HAS_ELEMENTS")]


def test_the_version_follows_the_end_of_the_episode() -> None:
    """The same bytes but for the day are right in one version and not in the other."""
    assert {reason for *_, reason in findings(OLD)} == set()
    moved = OLD
    for table in ("XML1", "XML13", "XML14"):
        moved = with_table(moved, table, lambda xml: xml.replace("2024091", "2025091"))
    found = findings(moved)
    assert ("XML13", 1, "TEN_THUOC", "FIELD_NOT_IN_VERSION") in found
    assert ("XML14", 1, "NGAY_HEN_KL", "DATE_INVALID") in found


def test_the_era_of_the_province_follows_the_day_and_never_forgets_an_old_code() -> None:
    assert read(OLD).patient.province_era is AreaEra.PROVINCES_63
    assert read(STAY).patient.province_era is AreaEra.PROVINCES_34
    former = parse_episode(with_field(STAY, "XML1", "MATINH_CU_TRU", "27"))
    assert former.patient.province_era is AreaEra.PROVINCES_63


def test_nothing_readable_in_the_dates_is_a_finding_not_a_refusal() -> None:
    content = with_field(with_field(STAY, "XML1", "NGAY_RA", "soon"), "XML1", "NGAY_VAO", "")
    episode = parse_episode(content)
    assert (episode.admitted, episode.discharged, episode.referral) == (None, None, None)
    assert episode.version == "1931"
    assert ("XML13", 1, "", "REFERRAL_INCOMPLETE") in findings(content)
