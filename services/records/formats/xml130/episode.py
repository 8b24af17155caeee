"""From the rows of the tables to one episode: the key, the patient, the slips, the findings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime

from services.records.formats.document import (
    AreaEra,
    DocumentUnusable,
    FollowUpSlip,
    IdentifierFact,
    IdentifierType,
    PatientFacts,
    QualityFinding,
    ReferralSlip,
    Severity,
)
from services.records.formats.xml130 import values
from services.records.formats.xml130.envelope import FILES, ROOT, Envelope, Row, TableRows, row_field
from services.records.formats.xml130.fields import check_fields
from services.records.formats.xml130.model import Episode
from services.records.formats.xml130.rules import check_rules
from services.records.formats.xml130.tables import province_codes, specification, table_shapes

# First day of the 34 units and of two levels (Resolution 202/2025/QH15).
_NEW_ERA = date(2025, 7, 1)
_FACILITY = re.compile(r"[0-9A-Z]{5}")
_KEY_SIZE = 100


def build_episode(envelope: Envelope, tables: TableRows) -> Episode:
    """Check and assemble. Raises DocumentUnusable where the document does not say whose and which episode it is."""
    rows = tables.rows
    table, summary = _summary(rows)
    key = _episode_key(rows, table, summary)
    _check_facility(envelope.facility, table, summary)
    ended = values.day(summary.get("NGAY_RA", "")) or values.day(summary.get("NGAY_VAO", ""))
    standard = specification(ended)
    findings = [*_envelope_findings(envelope), *tables.findings]
    findings += check_fields(rows, standard)
    findings += check_rules(rows, summary, standard)
    patient = _patient(envelope.facility, summary, ended, table, findings)
    discharged = values.instant(summary.get("NGAY_RA", ""))
    return Episode(
        facility=envelope.facility,
        episode_key=key,
        version=standard.version,
        admitted=values.instant(summary.get("NGAY_VAO", "")),
        discharged=discharged,
        care_form=summary.get("MA_LOAI_KCB", ""),
        end_type=summary.get("MA_LOAI_RV", ""),
        patient=patient,
        main_diagnosis=summary.get("MA_BENH_CHINH", ""),
        secondary_diagnoses=values.items(summary.get("MA_BENH_KT", "")),
        kinds=tuple(shape.kind for name, shape in table_shapes().items() if rows.get(name)),
        rows=rows,
        referral=_referral(rows, summary, discharged, findings),
        follow_up=_follow_up(rows, findings),
        findings=tuple(findings),
    )


def _summary(rows: Mapping[str, tuple[Row, ...]]) -> tuple[str, Row]:
    """XML1 speaks for the episode; a check-in document has XML0 alone."""
    for table in ("XML1", "XML0"):
        if table in rows:
            found = rows[table]
            if not found or (table == "XML1" and len(found) > 1):
                place = f"{ROOT}/HOSO/{table}"
                raise DocumentUnusable("SUMMARY_INVALID", place, f"{table} must hold one row; found {len(found)}")
            return table, found[0]
    raise DocumentUnusable("SUMMARY_MISSING", FILES, "the episode holds neither XML1 nor XML0")


def _episode_key(rows: Mapping[str, tuple[Row, ...]], table: str, summary: Row) -> str:
    key = summary.get("MA_LK", "")
    place = row_field(table, 1, "MA_LK")
    if not key:
        raise DocumentUnusable("EPISODE_KEY_MISSING", place, "the episode key is missing")
    if len(key) > _KEY_SIZE or not key.isprintable():
        raise DocumentUnusable(
            "EPISODE_KEY_INVALID", place, f"the episode key must be 1 to {_KEY_SIZE} printable characters"
        )
    for name, table_rows in rows.items():
        for index, row in enumerate(table_rows, 1):
            # An absent key is a finding of the field table; another one means another episode.
            if row.get("MA_LK", key) not in (key, ""):
                raise DocumentUnusable(
                    "EPISODE_KEY_CONFLICT", row_field(name, index, "MA_LK"), f"another key than in {table}"
                )
    return key


def _check_facility(facility: str, table: str, summary: Row) -> None:
    place = row_field(table, 1, "MA_CSKCB")
    stated = summary.get("MA_CSKCB", "")
    if not stated:
        raise DocumentUnusable("FACILITY_MISSING", place, "the facility code is missing")
    if stated != facility:
        raise DocumentUnusable("FACILITY_MISMATCH", place, "another facility than the envelope's MACSKCB")


def _envelope_findings(envelope: Envelope) -> list[QualityFinding]:
    findings = []
    if envelope.declared_count != "1":
        findings.append(_finding("THONGTINHOSO", "SOLUONGHOSO", "envelope.count", "COUNT_DIFFERS"))
    if values.day(envelope.created_on) is None:
        findings.append(_finding("THONGTINHOSO", "NGAYLAP", "envelope.date", "DATE_INVALID"))
    return findings


def _finding(table: str, field: str, rule: str, reason: str, row: int = 0) -> QualityFinding:
    return QualityFinding(table, row, field, rule, reason, Severity.WARNING)


def _patient(
    facility: str, summary: Row, ended: date | None, table: str, findings: list[QualityFinding]
) -> PatientFacts:
    province = summary.get("MATINH_CU_TRU", "")
    return PatientFacts(
        full_name=summary.get("HO_TEN", ""),
        birth=values.partial_date(summary.get("NGAY_SINH", "")),
        sex=summary.get("GIOI_TINH", ""),
        identifiers=_identifiers(facility, summary),
        address=summary.get("DIA_CHI", ""),
        province_code=province,
        province_era=_era(province, ended, table, findings),
        ward_code=summary.get("MAXA_CU_TRU", ""),
        phone=summary.get("DIEN_THOAI", ""),
        nationality=summary.get("MA_QUOCTICH", ""),
    )


def _identifiers(facility: str, summary: Row) -> tuple[IdentifierFact, ...]:
    found = [values.identity_document(item) for item in values.items(summary.get("SO_CCCD", ""))]
    for card in values.items(summary.get("MA_THE_BHYT", "")):
        found.extend(values.insurance_card(card))
    if number := summary.get("MA_BN", ""):
        found.append(IdentifierFact(IdentifierType.LOCAL_MRN, number, number, assigner=facility))
    return tuple({(fact.type, fact.value): fact for fact in reversed(found)}.values())[::-1]


def _era(province: str, ended: date | None, table: str, findings: list[QualityFinding]) -> AreaEra:
    """The day the episode ended tells the list; a code that only the old list knows stays old, whatever the day."""
    two = province[1:] if len(province) == 3 and province.startswith("0") else province
    old, new = two in province_codes("old"), two in province_codes("new")
    since_change = ended is None or ended >= _NEW_ERA
    if province and not old and not new:
        findings.append(_finding(table, "MATINH_CU_TRU", "province.known", "CODE_UNKNOWN", 1))
    elif province and since_change and not new:
        findings.append(_finding(table, "MATINH_CU_TRU", "province.era", "PROVINCE_OF_FORMER_LIST", 1))
        return AreaEra.PROVINCES_63
    return AreaEra.PROVINCES_34 if since_change else AreaEra.PROVINCES_63


def _referral(
    rows: Mapping[str, tuple[Row, ...]], summary: Row, discharged: datetime | None, findings: list[QualityFinding]
) -> ReferralSlip | None:
    if not rows.get("XML13"):
        return None
    row = rows["XML13"][0]
    number = row.get("GIAY_CHUYEN_TUYEN") or row.get("SO_CHUYENTUYEN", "")
    target = row.get("MA_CSKCB_DEN") or row.get("MA_NOI_DEN") or summary.get("MA_NOI_DEN", "")
    if not number or not _FACILITY.fullmatch(target) or discharged is None:
        findings.append(_finding("XML13", "", "referral.complete", "REFERRAL_INCOMPLETE", 1))
        return None
    origin = row.get("MA_CSKCB_DI") or row.get("MA_NOI_DI", "")
    escort = ", ".join(text for text in (row.get("HOTEN_NGUOI_HT"), row.get("CHUCDANH_NGUOI_HT")) if text)
    return ReferralSlip(
        number=number,
        target_facility=target,
        previous_facilities=tuple(code for code in values.items(origin) if _FACILITY.fullmatch(code)),
        reason_code=row.get("MA_LYDO_CT", ""),
        signed_on=discharged.astimezone(values.VIETNAM).date(),
        main_diagnosis=row.get("MA_BENH_CHINH") or summary.get("MA_BENH_CHINH", ""),
        secondary_diagnoses=values.items(row.get("MA_BENH_KT") or summary.get("MA_BENH_KT", "")),
        diagnosis_text=row.get("CHAN_DOAN_RV") or summary.get("CHAN_DOAN_RV", ""),
        clinical_signs=row.get("DAU_HIEU_LS", ""),
        course=row.get("QT_BENHLY", ""),
        results=row.get("TOMTAT_KQ", ""),
        treatment=row.get("PP_DIEUTRI") or row.get("PP_DIEU_TRI", ""),
        plan=row.get("HUONG_DIEU_TRI", ""),
        transport=row.get("PHUONGTIEN_VC", ""),
        escort=escort,
    )


def _follow_up(rows: Mapping[str, tuple[Row, ...]], findings: list[QualityFinding]) -> FollowUpSlip | None:
    if not rows.get("XML14"):
        return None
    row = rows["XML14"][0]
    appointed = values.day(row.get("NGAY_HEN_KL", ""))
    number = row.get("SO_GIAYHEN_KL", "")
    if appointed is None or not number:
        findings.append(_finding("XML14", "", "follow_up.complete", "FOLLOW_UP_INCOMPLETE", 1))
        return None
    return FollowUpSlip(number, appointed)


def codes_in(rows: Mapping[str, tuple[Row, ...]]) -> set[str]:
    """Every ICD-10 code of an episode's tables: fields named MA_BENH or MA_BENH_*, several split by semicolons (QĐ 130, QĐ 4750)."""
    return {
        code
        for table in rows.values()
        for row in table
        for name, value in row.items()
        if name.startswith("MA_BENH")
        for code in value.split(";")
        if code.strip()
    }
