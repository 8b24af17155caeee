"""The readable part of an export: what there is, from whom and of when, as a PDF in Vietnamese. What the documents say stands in them only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import TableCellFillMode, TextEmphasis
from fpdf.fonts import FontFace

from services.records.export import Copied
from services.records.formats.document import ContentKind

_FONTS = Path(__file__).resolve().parent.parent / "data" / "fonts"
_VIETNAM = timezone(timedelta(hours=7))
_FAMILY = "dejavu"
_MARGIN = 18
_INK, _FAINT, _STRIPE = (33, 37, 41), (108, 117, 125), (243, 246, 249)
_KINDS = {
    ContentKind.CHECK_IN: "Tiếp đón",
    ContentKind.ENCOUNTER_SUMMARY: "Tóm tắt lượt khám",
    ContentKind.PRESCRIPTION: "Thuốc",
    ContentKind.SERVICE: "Dịch vụ kỹ thuật",
    ContentKind.DIAGNOSTIC_REPORT: "Cận lâm sàng",
    ContentKind.CLINICAL_COURSE: "Diễn biến lâm sàng",
    ContentKind.HIV_CARE: "Chăm sóc HIV",
    ContentKind.DISCHARGE_PAPER: "Giấy ra viện",
    ContentKind.RECORD_SUMMARY: "Tóm tắt hồ sơ bệnh án",
    ContentKind.BIRTH_CERTIFICATE: "Giấy chứng sinh",
    ContentKind.PREGNANCY_LEAVE: "Nghỉ dưỡng thai",
    ContentKind.SICK_LEAVE: "Nghỉ việc hưởng BHXH",
    ContentKind.MEDICAL_ASSESSMENT: "Giám định y khoa",
    ContentKind.REFERRAL: "Giấy chuyển tuyến",
    ContentKind.FOLLOW_UP: "Giấy hẹn khám lại",
    ContentKind.TUBERCULOSIS_CARE: "Điều trị lao",
}


def summary(copied: Sequence[Copied], at: datetime) -> bytes:
    """The PDF."""
    page = _Page(at)
    page.add_page()
    page.headline("Bản sao dữ liệu sức khỏe của tôi")
    page.paragraph(
        "Bản sao này do hệ thống Liên Thông lập theo yêu cầu của chủ thể dữ liệu (Điều 4, Luật Bảo vệ dữ liệu cá nhân "
        "số 91/2025/QH15). Thư mục originals chứa từng tài liệu gốc đã ký cùng biên nhận; thư mục fhir chứa danh mục theo chuẩn "
        "HL7 FHIR R4. Toàn bộ tệp được niêm phong bằng chữ ký số của hệ thống và có thể kiểm tra bằng lệnh lienthong verify."
    )
    page.heading(f"Có {len(copied)} tài liệu")
    if copied:
        page.counts(copied)
        page.documents(copied)
    return bytes(page.output())


class _Page(FPDF):
    def __init__(self, at: datetime) -> None:
        super().__init__(format="A4")
        self._at = at
        self.set_margin(_MARGIN)
        self.set_auto_page_break(auto=True, margin=_MARGIN)
        self.add_font(_FAMILY, "", _FONTS / "DejaVuSans-vi.ttf")
        self.add_font(_FAMILY, "B", _FONTS / "DejaVuSans-Bold-vi.ttf")
        self.set_creation_date(at)
        self.set_title("Bản sao dữ liệu sức khỏe")
        self.set_lang("vi")

    def footer(self) -> None:
        """Time and page, on every page."""
        self.set_y(-12)
        self.set_font(_FAMILY, "", 7.5)
        self.set_text_color(*_FAINT)
        self.cell(0, 5, f"Lập lúc {self._at.astimezone(_VIETNAM):%H:%M ngày %d/%m/%Y}")
        self.set_x(_MARGIN)
        self.cell(0, 5, f"Trang {self.page_no()}/{{nb}}", align="R")

    def headline(self, text: str) -> None:
        self.set_text_color(*_INK)
        self.set_font(_FAMILY, "B", 17)
        self.multi_cell(0, 9, text, new_x="LMARGIN", new_y="NEXT")
        self.ln(2)

    def heading(self, text: str) -> None:
        self.ln(3)
        self.set_text_color(*_INK)
        self.set_font(_FAMILY, "B", 11.5)
        self.multi_cell(0, 7, text, new_x="LMARGIN", new_y="NEXT")

    def paragraph(self, text: str) -> None:
        self.set_text_color(*_INK)
        self.set_font(_FAMILY, "", 9)
        self.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT")

    def counts(self, copied: Sequence[Copied]) -> None:
        """How many of each kind, and from how many facilities."""
        kinds = Counter(kind for one in copied for kind in one.entry.kinds)
        facilities = len({one.entry.facility for one in copied})
        parts = [
            f"{_KINDS[kind]}: {count}" for kind, count in sorted(kinds.items(), key=lambda it: (-it[1], it[0].value))
        ]
        self.paragraph(f"Từ {facilities} cơ sở khám bệnh, chữa bệnh. " + "; ".join(parts) + ".")

    def documents(self, copied: Sequence[Copied]) -> None:
        """A line for each document."""
        self.heading("Danh sách tài liệu")
        self.set_font(_FAMILY, "", 8)
        self.set_draw_color(*_STRIPE)
        head = FontFace(emphasis=TextEmphasis.B, color=_INK, fill_color=_STRIPE)
        with self.table(
            col_widths=(25, 20, 87, 42),
            headings_style=head,
            cell_fill_color=_STRIPE,
            cell_fill_mode=TableCellFillMode.EVEN_ROWS,
            line_height=4.6,
            text_align=("LEFT", "LEFT", "LEFT", "LEFT"),
            borders_layout="HORIZONTAL_LINES",
            padding=1,
        ) as table:
            row = table.row()
            for text in ("Ngày khám", "Cơ sở", "Nội dung", "SHA-256 (đầu)"):
                row.cell(text)
            for one in copied:
                entry = one.entry
                row = table.row()
                row.cell(f"{entry.care_start.astimezone(_VIETNAM):%d/%m/%Y}")
                row.cell(entry.facility)
                row.cell(", ".join(_KINDS[kind] for kind in entry.kinds))
                row.cell(f"{entry.sha256[:16]}…")
