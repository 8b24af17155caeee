"""Who acts for whom, and whose agreement the law asks for. Pure: the time is given, and a date of birth is looked at and never kept."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import Enum
from typing import Protocol
from uuid import UUID

from services.consent.model import ALONE, AgreementRole, Period
from services.consent.policy.predicates import Numbers
from services.consent.ports import Persons

VIETNAM = timezone(timedelta(hours=7))
"""Birthdays begin at midnight there; no daylight saving."""
LONGEST_CODE = 64
FULL_AGE = 18
"""Who is appointed acts in full capacity (Civil Code 2015 art. 20, 49). A mother or father is one at any age."""
MOST_IN_OFFICE = 10
"""Guardians of one person at a time; a decision looks at twice as many."""
CODE = re.compile(r"[A-Z]+(?:_[A-Z]+)*")
"""Of evidence and reasons: words without numbers, so that no number of a paper or person gets in."""
_BOTH = frozenset(AgreementRole)
_GUARDIAN = frozenset({AgreementRole.GUARDIAN})


class GuardianshipKind(Enum):
    """Why somebody acts for another (Civil Code 2015 art. 46 to 63, 136)."""

    PARENT = "PARENT"
    GUARDIAN = "GUARDIAN"


@dataclass(frozen=True)
class Guardianship:
    """That `guardian` acts for `ward` in a period, until somebody ended it. `evidence` is a code, such as BIRTH_CERTIFICATE."""

    id: UUID
    ward: UUID
    guardian: UUID
    kind: GuardianshipKind
    period: Period
    evidence: str
    created_at: datetime
    ended_at: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it is in force: from the start of its period on, before its end, and before it was ended."""
        start, end = self.period.start, self.period.end
        begun = start is None or at >= start
        return begun and (end is None or at < end) and (self.ended_at is None or at < self.ended_at)


@dataclass(frozen=True)
class Needed:
    """Whose agreement a permission needs that is given now, and `until` when at the latest that answer holds: a birthday. `guardians` are those
    in office, who was registered first the first.
    """

    required: frozenset[AgreementRole] = ALONE
    until: datetime | None = None
    guardians: tuple[UUID, ...] = ()

    @property
    def guardian(self) -> bool:
        """Whether a guardian must agree."""
        return AgreementRole.GUARDIAN in self.required


class GuardianStore(Persons, Protocol):
    """Guardianships; rows and their ends are only ever added."""

    async def add_guardianship(self, new: Guardianship) -> Guardianship:
        """Keeps one and tells both of it. Where there is one of that id, it stays as it is and is returned."""

    async def guardianship(self, id: UUID) -> Guardianship | None:
        """One by id."""

    async def end_guardianship(self, id: UUID, at: datetime, reason: str, actor: str) -> Guardianship | None:
        """Keeps that it was ended and tells both; the first end counts. None where there is none of that id."""

    async def guardianships(self, persons: Sequence[UUID], before: UUID | None, limit: int) -> Sequence[Guardianship]:
        """Those over or held by any of these entries, newest first, with an id before `before`."""

    async def guardianships_between(
        self, some: Sequence[UUID], others: Sequence[UUID], before: UUID | None, limit: int
    ) -> Sequence[Guardianship]:
        """Those of one of some entries over one of others, or the other way round, newest first."""

    async def in_office(self, ward: Sequence[UUID], at: datetime) -> Sequence[Guardianship]:
        """Those in force over these entries, who was registered first the first; guardians by the entries that answer for them now."""


def presumed_birth(birth: tuple[int, int, int]) -> date:
    """The last day on which somebody may have been born of whom year, month or day is known (Criminal Procedure Code 101/2015/QH13 art. 417, by
    analogy): who might still be a child is one. Month and day 0 are not known.
    """
    year, month, day = birth
    month = month or 12
    return date(year, month, day or calendar.monthrange(year, month)[1])


def birthday(birth: tuple[int, int, int], years: int) -> datetime:
    """The moment from which somebody is so old: midnight in Vietnam. Born on 29 February, in a common year on 1 March: only then are the years
    full (Civil Code 2015 art. 148).
    """
    born = presumed_birth(birth)
    try:
        day = born.replace(year=born.year + years)
    except ValueError:
        day = date(born.year + years, 3, 1)
    return datetime(day.year, day.month, day.day, tzinfo=VIETNAM)


def needed(birth: tuple[int, int, int], at: datetime, numbers: Numbers, office: Sequence[Guardianship] = ()) -> Needed:
    """Whose agreement the law asks for at a time, given who is in office. Below the first age the guardian's alone, from it on the child's too,
    below the second (Decree 13/2023/NĐ-CP art. 20, Decree 356/2025/NĐ-CP; Law on Children 102/2016/QH13 art. 1). What was agreed to holds until
    the next of these birthdays: from then on others must agree. For an adult who cannot act the guardian agrees whom a court or the commune
    appointed (Civil Code 2015 art. 22, 54, 57); a parent's office ended when they came of age.
    """
    guardians = tuple(dict.fromkeys(one.guardian for one in office))
    agrees_from = birthday(birth, numbers.child_agrees_from_years)
    of_age = birthday(birth, numbers.child_below_years)
    if at < agrees_from:
        return Needed(_GUARDIAN, agrees_from, guardians)
    if at < of_age:
        return Needed(_BOTH, of_age, guardians)
    appointed = tuple(dict.fromkeys(one.guardian for one in office if one.kind is GuardianshipKind.GUARDIAN))
    return Needed(_GUARDIAN, None, appointed) if appointed else Needed()


def clipped(period: Period, of_age: datetime) -> Period | None:
    """The part of a period before coming of age; None where there is none."""
    return period.meet(Period(None, of_age))
