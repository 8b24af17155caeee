"""The papers that go with an episode: discharge (XML7), record summary (XML8), referral (XML13), follow-up slip
(XML14).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from random import Random

from lienthong.samples.episodes import Row, Visit, head, head_number
from lienthong.samples.people import draw_person

_TRANSPORT = ("Xe cứu thương của cơ sở", "Xe cứu thương 115", "Người bệnh tự túc phương tiện")


def discharge_row(visit: Visit, summary: Row, doctor_name: str) -> Row:
    """XML7; its signer number stays ten characters in every version."""
    return {
        "MA_LK": visit.key,
        "SO_LUU_TRU": f"LT{visit.serial}",
        "MA_YTE": summary["MA_BN"],
        "MA_KHOA_RV": summary["MA_KHOA"],
        "NGAY_VAO": summary["NGAY_VAO"],
        "NGAY_RA": summary["NGAY_RA"],
        "CHAN_DOAN_RV": summary["CHAN_DOAN_RV"],
        "PP_DIEUTRI": summary["PP_DIEU_TRI"],
        "GHI_CHU": summary["GHI_CHU"],
        "MA_TTDV": head_number(visit),
        "MA_BS": visit.doctor,
        "TEN_BS": doctor_name,
        "NGAY_CT": summary["NGAY_RA"][:8],
    }


def record_row(visit: Visit, summary: Row, results: Sequence[Row]) -> Row:
    """XML8, the main source of the health book."""
    return {
        "MA_LK": visit.key,
        "MA_LOAI_KCB": summary["MA_LOAI_KCB"],
        "NGAY_VAO": summary["NGAY_VAO"],
        "NGAY_RA": summary["NGAY_RA"],
        "CHAN_DOAN_VAO": summary["CHAN_DOAN_VAO"],
        "CHAN_DOAN_RV": summary["CHAN_DOAN_RV"],
        "QT_BENHLY": f"{visit.condition['course']} {visit.condition['signs']}",
        "TOMTAT_KQ": result_text(results),
        "PP_DIEUTRI": summary["PP_DIEU_TRI"],
        "KET_QUA_DTRI": summary["KET_QUA_DTRI"],
        "GHI_CHU": summary["GHI_CHU"],
        "MA_TTDV": head(visit),
        "NGAY_CT": summary["NGAY_RA"][:8],
    }


def referral_row(
    random: Random, visit: Visit, summary: Row, results: Sequence[Row], services: Sequence[Row], drugs: Sequence[Row]
) -> Row:
    """XML13 with the field names of the version: 3176 renames from, to and state, and drops the names of services and
    drugs.
    """
    number = f"{visit.plan.facility.code}/{visit.serial}"
    row = {
        "MA_LK": visit.key,
        "SO_HOSO": f"HS{visit.serial}",
        "SO_CHUYENTUYEN": f"CT{visit.serial[:6]}",
        "GIAY_CHUYEN_TUYEN": number,
        **_same(
            summary, "MA_CSKCB HO_TEN NGAY_SINH GIOI_TINH MA_QUOCTICH MA_DANTOC MA_NGHE_NGHIEP DIA_CHI MA_THE_BHYT"
        ),
        **_same(
            summary, "GT_THE_DEN NGAY_VAO NGAY_VAO_NOI_TRU NGAY_RA CHAN_DOAN_RV MA_BENH_CHINH MA_BENH_KT MA_LOAI_RV"
        ),
        "DAU_HIEU_LS": visit.condition["signs"],
        "QT_BENHLY": visit.condition["course"],
        "TOMTAT_KQ": result_text(results),
        "PP_DIEUTRI": summary["PP_DIEU_TRI"],
        "MA_LYDO_CT": random.choice(("1", "2")),
        "HUONG_DIEU_TRI": "Chuyển cơ sở tuyến trên để chẩn đoán và điều trị chuyên sâu",
        "PHUONGTIEN_VC": random.choice(_TRANSPORT),
        "HOTEN_NGUOI_HT": draw_person(random).full_name,
        "CHUCDANH_NGUOI_HT": random.choice(("Điều dưỡng", "Bác sĩ", "Người nhà")),
        "MA_BAC_SI": visit.doctor,
        "MA_TTDV": head(visit),
    }
    if visit.plan.spec == "3176":
        state = "Tỉnh, mạch và huyết áp ổn định lúc chuyển"
        return {
            **row,
            "MA_CSKCB_DI": summary["MA_NOI_DI"],
            "MA_CSKCB_DEN": summary["MA_NOI_DEN"],
            "TINH_TRANG_CT": state,
        }
    return {
        **row,
        "MA_NOI_DI": summary["MA_NOI_DI"],
        "MA_NOI_DEN": summary["MA_NOI_DEN"],
        "TEN_DICH_VU": "; ".join(row["TEN_DICH_VU"] for row in services)[:1024],
        "TEN_THUOC": "; ".join(f"{row['TEN_THUOC']} {row['HAM_LUONG']}" for row in drugs)[:1024],
        "PP_DIEU_TRI": summary["PP_DIEU_TRI"],
    }


def follow_up_row(visit: Visit, summary: Row, appointed: date) -> Row:
    """XML14; the appointed moment is 12 wide in 4750 and a day in 3176."""
    day = f"{appointed:%Y%m%d}"
    return {
        "MA_LK": visit.key,
        "SO_GIAYHEN_KL": f"{visit.plan.facility.code}/HK{visit.serial}",
        **_same(
            summary, "MA_CSKCB HO_TEN NGAY_SINH GIOI_TINH DIA_CHI MA_THE_BHYT GT_THE_DEN NGAY_VAO NGAY_VAO_NOI_TRU"
        ),
        **_same(summary, "NGAY_RA CHAN_DOAN_RV MA_BENH_CHINH MA_BENH_KT MA_DOITUONG_KCB"),
        "NGAY_HEN_KL": day if visit.plan.spec == "3176" else f"{day}0800",
        "MA_BAC_SI": visit.doctor,
        "MA_TTDV": head(visit),
        "NGAY_CT": summary["NGAY_RA"][:8],
    }


def result_text(results: Sequence[Row]) -> str:
    """Write results the way a doctor sums them up."""
    measured = [
        f"{row['TEN_CHI_SO']} {row['GIA_TRI']} {row.get('DON_VI_DO', '')}".strip()
        for row in results
        if row.get("GIA_TRI")
    ]
    seen = [f"{row['TEN_CHI_SO']}: {row['KET_LUAN']}" for row in results if row.get("KET_LUAN")]
    return "; ".join(measured + seen) or "Không chỉ định cận lâm sàng"


def _same(summary: Row, names: str) -> Row:
    """Copy what these tables repeat from XML1, letter for letter."""
    return {name: summary.get(name, "") for name in names.split()}
