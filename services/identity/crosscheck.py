"""Does the person an identifier names agree with the demographics given? Pure; the rule table stands in one place.

A citizen number has no check digit and insurance cards are borrowed, so an identifier alone is never a match
(identity design, section 2):

| name                      | birth   | sex           | verdict |
|---------------------------|---------|---------------|---------|
| same                      | agrees  | any           | match   |
| same                      | partial | not different | match   |
| close (marks, middle, order) | agrees | not different | match |
| anything else             |         |               | review  |

A different given name is therefore a veto whatever else agrees: that is what tells twins and siblings apart, and
finds a borrowed card. Phone and residence are evidence for the reader but never decide: families share them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.identity.areas import present_code
from services.identity.model import Agreement, BirthDate, DatePrecision, Demographics, FieldEvidence, Sex
from services.identity.normalise.names import Name, Token
from services.identity.normalise.names import name as normal_name
from services.identity.normalise.phones import phone as normal_phone


class NameAgreement(Enum):
    """How two names compare, nearest first. OTHER and GIVEN_MARKS never match by themselves."""

    SAME = "SAME"
    CLOSE = "CLOSE"
    GIVEN_MARKS = "GIVEN_MARKS"
    OTHER = "OTHER"
    ABSENT = "ABSENT"


_NAME_EVIDENCE = {
    NameAgreement.SAME: Agreement.AGREES,
    NameAgreement.CLOSE: Agreement.PARTIAL,
    NameAgreement.GIVEN_MARKS: Agreement.PARTIAL,
    NameAgreement.OTHER: Agreement.DISAGREES,
    NameAgreement.ABSENT: Agreement.ABSENT,
}


def compare_names(left: Name, right: Name) -> NameAgreement:
    """Compares two names. A newborn is called by its mother's name, so its name says nothing."""
    if left.empty or right.empty or left.newborn or right.newborn:
        return NameAgreement.ABSENT
    if left.marks and right.marks and [t.marked for t in left.tokens] == [t.marked for t in right.tokens]:
        return NameAgreement.SAME
    if left.plain == right.plain and not left.marks and not right.marks:
        return NameAgreement.SAME
    given = _compare_tokens(left.tokens[-1], right.tokens[-1], left.marks and right.marks)
    family = _compare_tokens(left.tokens[0], right.tokens[0], left.marks and right.marks)
    if given is NameAgreement.OTHER or family is NameAgreement.OTHER:
        return NameAgreement.CLOSE if _family_moved(left, right) else NameAgreement.OTHER
    # Twins are called Anh and Ánh: marks count where both sides have written them.
    if given is NameAgreement.GIVEN_MARKS:
        return NameAgreement.GIVEN_MARKS
    return NameAgreement.CLOSE


def _compare_tokens(left: Token, right: Token, marks: bool) -> NameAgreement:
    if left.short or right.short:
        near = left.plain.startswith(right.plain) or right.plain.startswith(left.plain)
        return NameAgreement.CLOSE if near else NameAgreement.OTHER
    if left.plain != right.plain:
        return NameAgreement.OTHER
    return NameAgreement.GIVEN_MARKS if marks and left.marked != right.marked else NameAgreement.SAME


def _family_moved(left: Name, right: Name) -> bool:
    """True when one order is the other with the family name moved to the end, or the given name to the front, as
    foreigners' forms have it. A mere exchange of middle and given name is another person: twins are called Tuấn
    Anh and Anh Tuấn.
    """
    one, other = left.plain, right.plain
    if len(one) != len(other) or len(one) < 2:
        return False
    return other in {one[1:] + one[:1], one[-1:] + one[:-1]}


def compare_births(left: BirthDate | None, right: BirthDate | None) -> Agreement:
    """Compares two dates of birth. Partial: less precision on one side, a 1 January placeholder, or day and month
    exchanged.
    """
    if left is None or right is None or left.estimated or right.estimated:
        return Agreement.ABSENT
    if left.year != right.year:
        return Agreement.DISAGREES
    if left == right:
        return Agreement.AGREES if left.precision is DatePrecision.DAY else Agreement.PARTIAL
    if DatePrecision.YEAR in {left.precision, right.precision} or left.placeholder or right.placeholder:
        return Agreement.PARTIAL
    if DatePrecision.MONTH in {left.precision, right.precision}:
        return Agreement.PARTIAL if left.month == right.month else Agreement.DISAGREES
    return Agreement.PARTIAL if (left.month, left.day) == (right.day, right.month) else Agreement.DISAGREES


def _compare_sexes(left: Sex | None, right: Sex | None) -> Agreement:
    if left in {None, Sex.UNDETERMINED} or right in {None, Sex.UNDETERMINED}:
        return Agreement.ABSENT
    return Agreement.AGREES if left is right else Agreement.DISAGREES


def _compare_values(left: str | None, right: str | None) -> Agreement:
    if left is None or right is None:
        return Agreement.ABSENT
    return Agreement.AGREES if left == right else Agreement.DISAGREES


@dataclass(frozen=True)
class CrossCheck:
    """The verdict on one person: `agrees` by the table above, evidence per field, and what to ask for next, most
    useful first.
    """

    agrees: bool
    evidence: tuple[FieldEvidence, ...]
    ask_next: tuple[str, ...]


def cross_check(given: Demographics, known: Demographics) -> CrossCheck:
    """Compares the demographics of a query with those of the person found."""
    name = compare_names(normal_name(given.name), normal_name(known.name))
    birth = compare_births(given.birth, known.birth)
    sex = _compare_sexes(given.sex, known.sex)
    residences = [None if side.residence is None else present_code(side.residence) for side in (given, known)]
    evidence = (
        FieldEvidence("demographics.human_name", _NAME_EVIDENCE[name]),
        FieldEvidence("demographics.birth_date", birth),
        FieldEvidence("demographics.sex", sex),
        FieldEvidence("demographics.phone", _compare_values(normal_phone(given.phone), normal_phone(known.phone))),
        FieldEvidence("demographics.residence", _compare_values(*residences)),
    )
    agrees = _matches(name, birth, sex)
    return CrossCheck(agrees, evidence, () if agrees else _ask(given))


def _matches(name: NameAgreement, birth: Agreement, sex: Agreement) -> bool:
    if name is NameAgreement.SAME:
        return birth is Agreement.AGREES or (birth is Agreement.PARTIAL and sex is not Agreement.DISAGREES)
    return name is NameAgreement.CLOSE and birth is Agreement.AGREES and sex is not Agreement.DISAGREES


def _ask(given: Demographics) -> tuple[str, ...]:
    """What the query lacks and could settle it. Asking again for what was given and differs would only invite
    guessing.
    """
    wanted: list[str] = []
    if normal_name(given.name).empty:
        wanted.append("demographics.human_name")
    if given.birth is None or given.birth.precision is not DatePrecision.DAY:
        wanted.append("demographics.birth_date")
    if given.sex is None:
        wanted.append("demographics.sex")
    return tuple(wanted)
