"""One episode of care as the rows of the national tables: what was found, done, given and decided, consistent across
tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from lienthong.samples.facilities import CareLevel, Facility
from lienthong.samples.money import Coverage, charge, totals
from lienthong.samples.people import Person
from lienthong.samples.resources import by_key, table

Row = dict[str, str]

# Groups of QĐ 5937/2021 whose rows must name who did it and when.
_PERFORMED = ("1", "2", "3")
_STAY_DAYS = (2, 3, 4, 5, 6, 7, 9)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the caller decided about an episode; times are Vietnamese local time."""

    spec: str
    person: Person
    facility: Facility
    ended: datetime
    referral_to: str
    follow_up: bool
    with_identifier: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """The numbers and times that all tables of one episode share."""

    plan: Plan
    condition: Mapping[str, Any]
    care: str
    began: datetime
    key: str
    serial: str
    local_number: str
    doctor: str
    head: str
    department: str
    coverage: Coverage
    secondary: tuple[tuple[str, str], ...]

    @property
    def days(self) -> int:
        """Days of treatment of a stay, first and last counted."""
        return (self.plan.ended.date() - self.began.date()).days + 1

    @property
    def inpatient(self) -> bool:
        """Whether the person stayed."""
        return self.care == "03"

    @property
    def diagnosis(self) -> str:
        """CHAN_DOAN_RV: the main diagnosis and the further ones."""
        return "; ".join((str(self.condition["name"]), *(name for _, name in self.secondary)))


def draw_visit(random: Random, plan: Plan, conditions: Sequence[Mapping[str, Any]]) -> Visit:
    """Draw the clinical picture that fits the person, the facility and the end."""
    age = plan.person.age(plan.ended.date())
    fitting = [
        one
        for one in conditions
        if one["ages"][0] <= age <= one["ages"][1] and str(one.get("sex", plan.person.sex)) == plan.person.sex
    ]
    condition = random.choices(fitting, [one["weight"] for one in fitting])[0]
    care = random.choice(condition["care"])
    if plan.facility.level is CareLevel.INITIAL and care == "03":
        care = "06"
    stay = random.choice(_STAY_DAYS) - 1 if care in ("03", "06") else 0
    began = plan.ended - timedelta(days=stay, hours=0 if stay else random.randrange(2, 5), minutes=random.randrange(60))
    further = condition["secondary"]
    count = min(len(further), random.choices((0, 1, 2), (45, 40, 15))[0])
    serial = f"{random.randrange(10**8):08d}"
    licence = f"{random.randrange(1, 10**6):06d}/{plan.facility.province_63}-CCHN"
    return Visit(
        plan=plan,
        condition=condition,
        care=care,
        began=began,
        key=f"{plan.facility.code}.{plan.ended:%y%m%d}.{serial}",
        serial=serial,
        local_number=_local_number(plan),
        doctor=licence,
        head=f"{random.randrange(1, 10**6):06d}/{plan.facility.province_63}-CCHN",
        department="K02" if care in ("03", "06") else "K01",
        coverage=Coverage.of_card(plan.person.insurance_card if plan.with_identifier else ""),
        secondary=tuple((code, name) for code, name in random.sample(further, count)),
    )


def _local_number(plan: Plan) -> str:
    """MA_BN: the same person has the same number at the same facility."""
    # Seeded by the person, so nothing has to remember the number; sample data is not secret.
    digits = Random(f"{plan.person.citizen_number}|{plan.person.full_name}|{plan.facility.code}")  # noqa: S311
    return f"{plan.facility.code[:2]}{digits.randrange(10**8):08d}"


def drug_rows(random: Random, visit: Visit) -> list[Row]:
    """XML2: the first drugs always, the later ones often; the dose text keeps the fixed shape."""
    condition = visit.condition
    child = visit.plan.person.age(visit.plan.ended.date()) < 12
    keys = condition["drugs_child"] if child and "drugs_child" in condition else condition["drugs"]
    chosen = [key for place, key in enumerate(keys) if place < 2 or random.random() < 0.6]
    rows = []
    for number, key in enumerate(chosen, 1):
        drug = by_key("drugs")[key]
        intake, times, days = int(drug["per_intake"]), int(drug["times"]), int(drug["days"])
        quantity, unit = intake * times * days, drug["unit"]
        ordered = moment(visit.began + timedelta(minutes=35 + number))
        rows.append(
            {
                "MA_LK": visit.key,
                "STT": str(number),
                "MA_THUOC": drug["code"],
                "MA_NHOM": "4",
                "TEN_THUOC": drug["name"],
                "DON_VI_TINH": unit,
                "HAM_LUONG": drug["strength"],
                "DUONG_DUNG": drug["route"],
                "DANG_BAO_CHE": drug["form"],
                "LIEU_DUNG": f"{intake} {unit}/lần * {times} lần/ngày * {days} ngày [{intake * times} {unit}/ngày]",
                "CACH_DUNG": drug["directions"],
                "SO_DANG_KY": drug["registration"],
                "TT_THAU": f"1{random.randrange(100, 999)}/QĐ-BV;G1;N{random.randrange(1, 5)};{visit.plan.ended.year}",
                "TYLE_TT_BH": "100" if visit.coverage.insured else "0",
                "SO_LUONG": str(quantity),
                "DON_GIA": drug["price"],
                "MA_BAC_SI": visit.doctor,
                "NGAY_YL": ordered,
                "NGAY_TH_YL": ordered,
                "NGUON_CTRA": "1" if visit.coverage.insured else "4",
                **_payment(visit),
                **charge(quantity, drug["price"], visit.coverage),
            }
        )
    return rows


def service_rows(random: Random, visit: Visit) -> tuple[list[Row], list[Row]]:
    """XML3 and XML4: the visit itself, bed days, tests and images, and what they showed."""
    services: list[Row] = []
    results: list[Row] = []
    child = visit.plan.person.age(visit.plan.ended.date()) < 16
    keys = ["exam_children" if child else "exam"]
    if visit.care in ("03", "06"):
        keys.append("bed")
    keys += [key for place, key in enumerate(visit.condition["services"]) if place < 2 or random.random() < 0.72]
    for number, key in enumerate(keys, 1):
        service = by_key("services")[key]
        quantity = visit.days if key == "bed" else 1
        ordered = visit.began + timedelta(minutes=8 + 2 * number)
        done = ordered + timedelta(minutes=10 + random.randrange(15))
        told = done + timedelta(minutes=12 + random.randrange(25))
        performed = service["group"] in _PERFORMED
        services.append(
            {
                "MA_LK": visit.key,
                "STT": str(number),
                "MA_DICH_VU": service["code"],
                "MA_NHOM": service["group"],
                "TEN_DICH_VU": service["name"],
                "DON_VI_TINH": service["unit"],
                "SO_LUONG": str(quantity),
                "DON_GIA_BV": service["price"],
                "DON_GIA_BH": service["price"] if visit.coverage.insured else "0",
                "TYLE_TT_DV": "100",
                "TYLE_TT_BH": "100" if visit.coverage.insured else "0",
                "MA_GIUONG": f"H{random.randrange(1, 40):03d}" if key == "bed" else "",
                "MA_BAC_SI": visit.doctor,
                "NGUOI_THUC_HIEN": visit.doctor if performed else "",
                "MA_BENH": visit.condition["code"],
                "NGAY_YL": moment(ordered),
                "NGAY_TH_YL": moment(done) if performed else "",
                "NGAY_KQ": moment(told) if performed else "",
                **_payment(visit),
                **charge(quantity, service["price"], visit.coverage),
            }
        )
        results.extend(_result_rows(random, visit, key, service, told, len(results)))
    return services, results


def _payment(visit: Visit) -> Row:
    return {
        "PHAM_VI": "1" if visit.coverage.insured else "2",
        "MUC_HUONG": str(visit.coverage.rate),
        "MA_KHOA": visit.department,
        "MA_PTTT": "1",
    }


def _result_rows(
    random: Random, visit: Visit, key: str, service: Mapping[str, str], told: datetime, before: int
) -> list[Row]:
    shared = {"MA_LK": visit.key, "MA_DICH_VU": service["code"], "NGAY_KQ": moment(told), "MA_BS_DOC_KQ": visit.doctor}
    if service["description"]:
        image = {"TEN_CHI_SO": service["name"], "MO_TA": service["description"], "KET_LUAN": service["conclusion"]}
        return [{**shared, "STT": str(before + 1), "MA_CHI_SO": service["code"], **image}]
    rows: list[Row] = []
    for index in (row for row in table("indices") if row["service"] == key):
        low, high = visit.condition["abnormal"].get(index["index"], (float(index["low"]), float(index["high"])))
        rows.append(
            {
                **shared,
                "STT": str(before + len(rows) + 1),
                "MA_CHI_SO": index["index"],
                "TEN_CHI_SO": index["name"],
                "GIA_TRI": f"{random.triangular(low, high):.{index['decimals']}f}",
                "DON_VI_DO": index["unit"],
            }
        )
    return rows


def summary_row(random: Random, visit: Visit, drugs: Sequence[Row], services: Sequence[Row], appointed: str) -> Row:
    """XML1."""
    plan, person, condition = visit.plan, visit.plan.person, visit.condition
    residence = person.address(plan.ended.date())
    insured = visit.coverage.insured
    elsewhere = insured and _category(visit) == "1.3"
    return {
        "MA_LK": visit.key,
        "STT": "1",
        "MA_BN": visit.local_number,
        "HO_TEN": person.full_name,
        "SO_CCCD": person.citizen_number if plan.with_identifier else "",
        "NGAY_SINH": person.birth_text,
        "GIOI_TINH": person.sex,
        "NHOM_MAU": person.blood_group,
        "MA_QUOCTICH": "000",
        "MA_DANTOC": person.ethnicity,
        "MA_NGHE_NGHIEP": person.occupation,
        "DIA_CHI": residence.text,
        "MATINH_CU_TRU": residence.province_code,
        "MAHUYEN_CU_TRU": residence.district_code,
        "MAXA_CU_TRU": residence.ward_code,
        "DIEN_THOAI": person.phone if plan.with_identifier else "",
        "MA_THE_BHYT": person.insurance_card if insured else "",
        "MA_DKBD": person.registered_facility if insured else "",
        "GT_THE_TU": person.card_from.strftime("%Y%m%d") if insured else "",
        "GT_THE_DEN": person.card_until.strftime("%Y%m%d") if insured else "",
        "LY_DO_VV": condition["reason"],
        "LY_DO_VNT": condition["reason"] if visit.inpatient else "",
        "CHAN_DOAN_VAO": condition["name"],
        "CHAN_DOAN_RV": visit.diagnosis,
        "MA_BENH_CHINH": condition["code"],
        "MA_BENH_KT": ";".join(code for code, _ in visit.secondary),
        "MA_DOITUONG_KCB": _category(visit),
        "MA_NOI_DI": person.registered_facility if elsewhere else "",
        "MA_NOI_DEN": plan.referral_to,
        "NGAY_VAO": moment(visit.began),
        "NGAY_VAO_NOI_TRU": moment(visit.began + timedelta(minutes=50)) if visit.inpatient else "",
        "NGAY_RA": moment(plan.ended),
        "GIAY_CHUYEN_TUYEN": f"{person.registered_facility}/{visit.serial[:5]}" if elsewhere else "",
        "SO_NGAY_DTRI": _treatment_days(visit, drugs),
        "PP_DIEU_TRI": condition["treatment"],
        "KET_QUA_DTRI": "3" if plan.referral_to else random.choices(("1", "2", "3"), (24, 68, 8))[0],
        "MA_LOAI_RV": "2" if plan.referral_to else "1",
        "GHI_CHU": condition["advice"],
        "NGAY_TTOAN": moment(plan.ended),
        **totals(drugs, services),
        "NAM_QT": str(plan.ended.year),
        "THANG_QT": f"{plan.ended.month:02d}",
        "MA_LOAI_KCB": visit.care,
        "MA_KHOA": visit.department,
        "MA_CSKCB": plan.facility.code,
        "CAN_NANG": _weight(random, person.age(plan.ended.date()), person.sex),
        "NGAY_TAI_KHAM": appointed,
        "MA_HSBA": f"{plan.ended.year}{visit.serial}",
        "MA_TTDV": head(visit),
    }


def _category(visit: Visit) -> str:
    """MA_DOITUONG_KCB: not insured, own facility, initial level (open to all), or with a referral paper."""
    if not visit.coverage.insured:
        return "9"
    if visit.plan.person.registered_facility == visit.plan.facility.code:
        return "1.1"
    return "1.2" if visit.plan.facility.level is CareLevel.INITIAL else "1.3"


def _treatment_days(visit: Visit, drugs: Sequence[Row]) -> str:
    if visit.care in ("03", "06"):
        return str(visit.days)
    if visit.care == "05":
        given = {row["SO_DANG_KY"] for row in drugs}
        return str(max(int(drug["days"]) for drug in by_key("drugs").values() if drug["registration"] in given))
    return "0"


def _weight(random: Random, age: int, sex: str) -> str:
    typical = 3.5 + 2.3 * age if age < 15 else (61.0 if sex == "1" else 53.0)
    return f"{max(2.6, random.gauss(typical, typical * 0.11)):.1f}"


def head(visit: Visit) -> str:
    """Return MA_TTDV: a number of 10 in 4750, the signer's licence since 3176."""
    return visit.head if visit.plan.spec == "3176" else head_number(visit)


def head_number(visit: Visit) -> str:
    """Return the signer's number of ten characters, which the discharge paper keeps in every version."""
    return f"{visit.plan.facility.province_63}{visit.head[:6]}01"


def course_rows(random: Random, visit: Visit) -> list[Row]:
    """XML5: one entry a day of a stay."""
    rows: list[Row] = []
    for number in range(1, visit.days + 1):
        at = visit.began if number == 1 else (visit.began + timedelta(days=number - 1)).replace(hour=8, minute=15)
        pulse, pressure = random.randrange(70, 98), random.randrange(105, 145)
        breaths = random.randrange(16, 24)
        vital = f"Mạch {pulse} lần/phút, huyết áp {pressure}/{pressure - 45} mmHg, nhịp thở {breaths} lần/phút."
        text = (
            visit.condition["signs"]
            if number == 1
            else "Người bệnh tỉnh, tiếp xúc tốt, đỡ hơn hôm trước, ăn uống được."
        )
        rows.append(
            {
                "MA_LK": visit.key,
                "STT": str(number),
                "DIEN_BIEN_LS": f"{text} {vital}",
                "THOI_DIEM_DBLS": moment(min(at, visit.plan.ended)),
                "NGUOI_THUC_HIEN": visit.doctor,
            }
        )
    return rows


def moment(at: datetime) -> str:
    """Write yyyymmddHHMM."""
    return f"{at:%Y%m%d%H%M}"
