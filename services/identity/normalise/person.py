"""Everything that is compared of a person, in canonical form."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from services.identity.areas import present_code, present_ward
from services.identity.model import BirthDate, Demographics, Sex
from services.identity.normalise.dates import plausible, told
from services.identity.normalise.names import Name
from services.identity.normalise.names import name as normal_name
from services.identity.normalise.phones import phone as normal_phone


@dataclass(frozen=True)
class NormalPerson:
    """Demographics as they are matched. `phone` has 10 or 11 digits of today's numbering, `province` is a code of the list of 34, `ward` one of
    the list in force, `nationality` ISO 3166 alpha-3; None where unknown or unusable.
    """

    name: Name = field(repr=False)
    birth: BirthDate | None = field(default=None, repr=False)
    sex: Sex | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    province: str | None = field(default=None, repr=False)
    ward: str | None = field(default=None, repr=False)
    mother: Name = field(default=Name(()), repr=False)
    nationality: str | None = field(default=None, repr=False)


def normal(demographics: Demographics, today: date | None = None) -> NormalPerson:
    """The canonical form of demographics as written; with the day `today`, without a date of birth that is later or too long ago."""
    name, mother = normal_name(demographics.name), normal_name(demographics.mother_name)
    if name.newborn:
        # A newborn is called by its mother's name until it has one.
        name, mother = Name((), newborn=True), mother if not mother.empty else Name(name.tokens, name.marks)
    area = demographics.residence
    sex = demographics.sex if demographics.sex is not Sex.UNDETERMINED else None
    return NormalPerson(
        name=name,
        birth=told(demographics.birth) if today is None else plausible(demographics.birth, today),
        sex=sex,
        phone=normal_phone(demographics.phone),
        province=None if area is None else present_code(area),
        ward=None if area is None else present_ward(area),
        mother=mother,
        nationality=demographics.nationality,
    )
