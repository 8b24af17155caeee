"""The facilities of the sample world: three levels, four regions. Names and codes are invented; the first two digits
are true (63 list).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class CareLevel(Enum):
    """Level of care since 2025-01-01; the names are those of `lienthong.identity.v1.CareLevel`."""

    INITIAL = "INITIAL"
    BASIC = "BASIC"
    SPECIALISED = "SPECIALISED"


@dataclass(frozen=True, slots=True)
class Facility:
    """A facility: MA_CSKCB, its name, its level, its province in the list of 63 and in that of 34, and where it refers
    to.
    """

    code: str
    name: str
    level: CareLevel
    province_63: str
    province_34: str
    parent: str = ""


FACILITIES: tuple[Facility, ...] = (
    Facility("01001", "Bệnh viện Trung ương Hồng Hà", CareLevel.SPECIALISED, "01", "01"),
    Facility("79001", "Bệnh viện Trung ương Phương Nam", CareLevel.SPECIALISED, "79", "79"),
    Facility("27001", "Bệnh viện Đa khoa tỉnh Kinh Bắc", CareLevel.BASIC, "27", "24", "01001"),
    Facility("19001", "Bệnh viện Đa khoa Sông Cầu", CareLevel.BASIC, "19", "19", "01001"),
    Facility("74001", "Bệnh viện Đa khoa Thủ Dầu", CareLevel.BASIC, "74", "79", "79001"),
    Facility("89001", "Bệnh viện Đa khoa Thất Sơn", CareLevel.BASIC, "89", "91", "79001"),
    Facility("01101", "Trạm Y tế phường Bãi Giữa", CareLevel.INITIAL, "01", "01", "01001"),
    Facility("27101", "Trạm Y tế xã Đồng Nguyên Thượng", CareLevel.INITIAL, "27", "24", "27001"),
    Facility("19101", "Trạm Y tế xã Đồi Chè", CareLevel.INITIAL, "19", "19", "19001"),
    Facility("89101", "Trạm Y tế xã Cồn Én", CareLevel.INITIAL, "89", "91", "89001"),
)

BY_CODE: Mapping[str, Facility] = {facility.code: facility for facility in FACILITIES}
