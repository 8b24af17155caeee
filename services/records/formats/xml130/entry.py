"""The health book's view of an episode, assembled from XML1, 2, 3, 4 and 8 as the annex of QĐ 2733/QĐ-BYT maps them."""

from __future__ import annotations

from collections.abc import Iterable

from services.records.formats.health_book import DrugEntry, HealthBookEntry, ResultEntry, SummaryEntry
from services.records.formats.xml130 import values
from services.records.formats.xml130.envelope import Row
from services.records.formats.xml130.model import Episode


def health_book_entry(episode: Episode) -> HealthBookEntry:
    """Build the visit; texts are the document's own, nothing is translated or guessed."""
    summary, record = episode.summary, episode.row("XML8")
    drugs, services = episode.rows.get("XML2", ()), episode.rows.get("XML3", ())
    results = episode.rows.get("XML4", ())
    return HealthBookEntry(
        facility=episode.facility,
        episode_key=episode.episode_key,
        admitted=episode.admitted,
        discharged=episode.discharged,
        care_form=episode.care_form,
        reason=summary.get("LY_DO_VV", ""),
        admission_diagnosis=summary.get("CHAN_DOAN_VAO", ""),
        diagnosis=summary.get("CHAN_DOAN_RV", ""),
        main_diagnosis=episode.main_diagnosis,
        secondary_diagnoses=episode.secondary_diagnoses,
        outcome=summary.get("KET_QUA_DTRI", ""),
        end_type=episode.end_type,
        blood_group=summary.get("NHOM_MAU", ""),
        weight_kg=summary.get("CAN_NANG", ""),
        treatment=summary.get("PP_DIEU_TRI", ""),
        advice=summary.get("GHI_CHU", ""),
        next_visit=_next_visit(episode),
        department=summary.get("MA_KHOA", ""),
        doctors=_distinct(row.get("MA_BAC_SI", "") for row in (*drugs, *services)),
        # A procedure is a service that carries an ICD-9-CM code.
        procedures=_distinct(row.get("TEN_DICH_VU", "") for row in services if row.get("MA_PTTT_QT")),
        drugs=tuple(_drug(row) for row in drugs),
        results=tuple(_result(row) for row in results),
        summary=_summary(record) if record else None,
    )


def _next_visit(episode: Episode) -> str:
    """Return yyyymmdd of the follow-up slip, else the first date of NGAY_TAI_KHAM."""
    if episode.follow_up is not None:
        return episode.follow_up.appointed_on.strftime("%Y%m%d")
    return next(iter(values.items(episode.summary.get("NGAY_TAI_KHAM", ""))), "")


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _drug(row: Row) -> DrugEntry:
    return DrugEntry(
        code=row.get("MA_THUOC", ""),
        name=row.get("TEN_THUOC", ""),
        strength=row.get("HAM_LUONG", ""),
        route=row.get("DUONG_DUNG", ""),
        dosage=row.get("LIEU_DUNG", ""),
        quantity=row.get("SO_LUONG", ""),
        unit=row.get("DON_VI_TINH", ""),
        directions=row.get("CACH_DUNG", ""),
        ordered_at=values.instant(row.get("NGAY_YL", "")),
    )


def _result(row: Row) -> ResultEntry:
    return ResultEntry(
        code=row.get("MA_CHI_SO") or row.get("MA_DICH_VU", ""),
        name=row.get("TEN_CHI_SO", ""),
        value=row.get("GIA_TRI", ""),
        unit=row.get("DON_VI_DO", ""),
        description=row.get("MO_TA", ""),
        conclusion=row.get("KET_LUAN", ""),
        resulted_at=values.instant(row.get("NGAY_KQ", "")),
    )


def _summary(row: Row) -> SummaryEntry:
    return SummaryEntry(
        course=row.get("QT_BENHLY", ""),
        results=row.get("TOMTAT_KQ", ""),
        treatment=row.get("PP_DIEUTRI", ""),
        note=row.get("GHI_CHU", ""),
    )
