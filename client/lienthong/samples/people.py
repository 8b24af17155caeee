"""Fictitious persons with the frequencies of real ones: names by region and age, numbers that agree with sex, year and
province.

Every person is drawn from tables by a seeded generator. No one is real; a likeness to a living person is chance.
Sources of the frequencies: the identity design page §2.1 (Nguyễn 31 %, 16 % four syllables, Hồ 4.2 % in Nghệ An, about
129 effective given names).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from lienthong.samples.facilities import FACILITIES, CareLevel, Facility
from lienthong.samples.resources import table

# Day from which addresses use the 34 provinces and have no district (Resolution 202/2025/QH15).
NEW_ERA = date(2025, 7, 1)
_TODAY = date(2025, 6, 30)
# Mobile prefixes in use, without the leading zero.
_PHONE_PREFIXES = (
    32,
    33,
    34,
    35,
    36,
    37,
    38,
    39,
    56,
    58,
    70,
    76,
    77,
    78,
    79,
    81,
    82,
    83,
    84,
    85,
    86,
    88,
    89,
    90,
    91,
    93,
    94,
    96,
    97,
    98,
)
_HIGHLAND_FAMILIES = ("Ksor", "Niê", "Siu", "Rơ Châm")
_HIGHLAND_GIVEN = {"1": ("Bhim", "Thiêm", "Blik", "Nguên", "Krong"), "2": ("Hen", "Bliu", "Nương", "Rin", "Ngoan")}
# Ethnic groups by the family names that point to them; 01 is Kinh.
_ETHNICITY = {
    "Nông": "02", "Bế": "02", "Ma": "02", "Lò": "03", "Quàng": "03", "Thạch": "05", "Sơn": "05", "Danh": "05",
    "Giàng": "08", "Vàng": "08", "Ksor": "10", "Siu": "10", "Rơ Châm": "10", "Niê": "12",
}  # fmt: skip
_NGHE_AN, _HO_FACTOR = "40", 1.35


@dataclass(frozen=True, slots=True)
class Address:
    """A residence as both lists name it; `district` is empty in the list of 34."""

    street: str
    province_code: str
    province_name: str
    district_code: str
    district_name: str
    ward_code: str
    ward_name: str

    @property
    def text(self) -> str:
        """DIA_CHI as facilities write it."""
        return ", ".join(part for part in (self.street, self.ward_name, self.district_name, self.province_name) if part)


@dataclass(frozen=True, slots=True)
class Person:
    """A fictitious person. `sex` is 1 male, 2 female; `birth_text` is NGAY_SINH, with zeros where only the year is
    known.
    """

    full_name: str
    sex: str
    birth: date
    birth_text: str
    citizen_number: str
    old_card_number: str
    social_insurance_number: str
    insurance_card: str
    card_from: date
    card_until: date
    registered_facility: str
    phone: str
    ethnicity: str
    occupation: str
    blood_group: str
    address_63: Address
    address_34: Address

    def address(self, on: date) -> Address:
        """Return the address in the list in force that day."""
        return self.address_34 if on >= NEW_ERA else self.address_63

    def age(self, on: date) -> int:
        """Return full years lived."""
        return on.year - self.birth.year - ((on.month, on.day) < (self.birth.month, self.birth.day))


def draw_person(random: Random) -> Person:
    """Draw one person; the same state of `random` gives the same one."""
    provinces = table("provinces")
    province = random.choices(provinces, [int(row["population_thousand"]) for row in provinces])[0]
    # Nine of ten were registered where they live.
    origin = province if random.random() < 0.9 else random.choice(provinces)
    sex = "1" if random.random() < 0.495 else "2"
    birth, birth_text = _birth(random)
    family = _family(random, origin)
    number = _citizen_number(random, origin["old_code"], sex, birth)
    social = f"{origin['old_code']}{random.randrange(10**8):08d}"
    group, benefit = _insurance_group(random, _TODAY.year - birth.year)
    registered = _registered_facility(random, province)
    begins = date(2024, 1, 1) + timedelta(days=random.randrange(0, 150))
    return Person(
        full_name=_full_name(random, family, sex, birth.year),
        sex=sex,
        birth=birth,
        birth_text=birth_text,
        citizen_number=number,
        old_card_number=f"{random.randrange(10**9):09d}" if birth.year < 2005 else "",
        social_insurance_number=social,
        insurance_card=f"{group}{benefit}{province['old_code']}{social}",
        card_from=begins,
        card_until=date(2027, 12, 31),
        registered_facility=registered.code,
        phone=f"0{random.choice(_PHONE_PREFIXES)}{random.randrange(10**7):07d}",
        ethnicity=_ETHNICITY.get(family, "01"),
        occupation=_occupation(random, _TODAY.year - birth.year),
        blood_group=random.choices(("O+", "B+", "A+", "AB+", ""), (42, 30, 21, 5, 40))[0],
        address_63=_address(random, "63", province["old_code"], province["old_name"]),
        address_34=_address(random, "34", province["new_code"], province["new_name"]),
    )


def _birth(random: Random) -> tuple[date, str]:
    """Draw a birth date; some old people know their year only, and 1 January stands in for others."""
    age = random.choices(
        (random.randrange(0, 6), random.randrange(6, 18), random.randrange(18, 60), random.randrange(60, 94)),
        (9, 9, 47, 35),
    )[0]
    born = _TODAY - timedelta(days=age * 365 + random.randrange(1, 365))
    if age >= 55 and random.random() < 0.06:
        return date(born.year, 1, 1), f"{born.year}00000000"
    if age >= 40 and random.random() < 0.03:
        born = date(born.year, 1, 1)
    clock = f"{random.randrange(24):02d}{random.randrange(1, 60):02d}" if age < 6 else "0000"
    return born, born.strftime("%Y%m%d") + clock


def _family(random: Random, origin: Mapping[str, str]) -> str:
    rows = table("family_names")
    weights = [float(row["weight"]) * float(row[origin["region"]]) for row in rows]
    if origin["old_code"] == _NGHE_AN:
        weights = [w * _HO_FACTOR if row["name"] == "Hồ" else w for row, w in zip(rows, weights, strict=True)]
    return random.choices(rows, weights)[0]["name"]


def _full_name(random: Random, family: str, sex: str, year: int) -> str:
    if family in _HIGHLAND_FAMILIES:
        given = random.choice(_HIGHLAND_GIVEN[sex])
        return f"Y {given} {family}" if sex == "1" else f"H'{given} {family}"
    cohort = "old" if year < 1965 else "middle" if year < 1996 else "young"
    given = _name(random, sex, "given", cohort)
    if random.random() < 0.01:
        return f"{family} {given}"
    middle = [_name(random, sex, "middle", cohort)]
    if random.random() < 0.19:
        second = _name(random, sex, "middle", cohort)
        # "Thị" stands first when there are two; the same twice is no name.
        middle = sorted({middle[0], second}, key=lambda name: (name not in ("Thị", "Văn"), name))
    parts = [family, *(name for name in middle if name != given), given]
    return " ".join(parts if len(parts) > 2 else [family, "Thị" if sex == "2" else "Văn", given])


def _name(random: Random, sex: str, part: str, cohort: str) -> str:
    rows = [row for row in table("given_names") if row["sex"] == sex and row["part"] == part]
    return random.choices(rows, [float(row["weight"]) * float(row[cohort]) for row in rows])[0]["name"]


def _citizen_number(random: Random, province: str, sex: str, birth: date) -> str:
    """PPP G YY NNNNNN: province of registration (63 list), century and sex, year, six random digits (Decree 137/2015
    art. 13).
    """
    century = (birth.year // 100 - 19) * 2 + (0 if sex == "1" else 1)
    return f"0{province}{century}{birth.year % 100:02d}{random.randrange(10**6):06d}"


def _insurance_group(random: Random, age: int) -> tuple[str, str]:
    """Group and benefit digit of the card: 1, 2, 5 pay 100 %, 3 pays 95 %, 4 pays 80 %."""
    if age < 6:
        return "TE", "1"
    if age < 18:
        return "HS", "4"
    if age >= 60:
        return random.choices((("HT", "3"), ("GD", "4"), ("BT", "2"), ("CK", "2"), ("HN", "2")), (34, 40, 14, 4, 8))[0]
    return random.choices((("DN", "4"), ("GD", "4"), ("HC", "4"), ("CN", "3"), ("HN", "2")), (44, 36, 9, 6, 5))[0]


def _registered_facility(random: Random, province: Mapping[str, str]) -> Facility:
    near = [
        one for one in FACILITIES if one.province_63 == province["old_code"] and one.level is not CareLevel.SPECIALISED
    ]
    same_side = [one for one in FACILITIES if one.level is not CareLevel.SPECIALISED]
    return random.choice(near or same_side)


def _occupation(random: Random, age: int) -> str:
    if age < 6:
        return "00000"
    if age < 18:
        return "00001"
    return random.choice(("62210", "95220", "54110", "23100", "71110", "41100", "00003", "52210"))


def _address(random: Random, era: str, code: str, name: str) -> Address:
    wards: Sequence[Mapping[str, str]] = [
        row for row in table("wards") if (row["era"], row["province_code"]) == (era, code)
    ]
    ward = random.choice(wards)
    rural = ward["ward_name"].startswith("Xã")
    street = (
        f"Thôn {random.randrange(1, 13)}" if rural else f"Số {random.randrange(1, 400)}, tổ {random.randrange(1, 40)}"
    )
    central = code in ("01", "31", "48", "79", "92") or (era == "34" and code == "46")
    return Address(
        street=street,
        province_code=code,
        province_name=f"{'Thành phố' if central else 'Tỉnh'} {name}",
        district_code=ward["district_code"],
        district_name=ward["district_name"],
        ward_code=ward["ward_code"],
        ward_name=ward["ward_name"],
    )
