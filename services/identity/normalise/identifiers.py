"""Typed identifiers, brought to canonical values. Faults are reason codes; a value never stands in one.

A *fault* makes an identifier unusable; a *hint* is a doubt (the citizen number has no check digit, so its structure
proves nothing).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lienthong.client.temporary_identifier import TemporaryIdentifierInvalid, parse

from services.identity.areas import known
from services.identity.model import Area, Demographics, Era, Identifier, IdentifierKey, IdentifierType, Sex

CITIZEN_ID_MALFORMED = "CITIZEN_ID_MALFORMED"
CITIZEN_ID_PROVINCE_UNKNOWN = "CITIZEN_ID_PROVINCE_UNKNOWN"
CITIZEN_ID_SEX_MISMATCH = "CITIZEN_ID_SEX_MISMATCH"
CITIZEN_ID_BIRTH_YEAR_MISMATCH = "CITIZEN_ID_BIRTH_YEAR_MISMATCH"
OLD_ID_MALFORMED = "OLD_ID_MALFORMED"
PASSPORT_MALFORMED = "PASSPORT_MALFORMED"
PASSPORT_COUNTRY_MISSING = "PASSPORT_COUNTRY_MISSING"
PASSPORT_COUNTRY_ASSUMED = "PASSPORT_COUNTRY_ASSUMED"
HEALTH_INSURANCE_MALFORMED = "HEALTH_INSURANCE_MALFORMED"
SOCIAL_INSURANCE_MALFORMED = "SOCIAL_INSURANCE_MALFORMED"
LOCAL_MRN_MALFORMED = "LOCAL_MRN_MALFORMED"
TEMPORARY_MALFORMED = "TEMPORARY_MALFORMED"
TEMPORARY_WRONG_CHECK = "TEMPORARY_WRONG_CHECK"
PLACEHOLDER = "IDENTIFIER_PLACEHOLDER"

_SEPARATORS = re.compile(r"[\s.\-\u2010-\u2015/]+")
_CITIZEN_ID = re.compile(r"[0-9]{12}")
_OLD_ID = re.compile(r"[0-9]{9}")
_PASSPORT = re.compile(r"[A-Z0-9]{5,9}")
_VIETNAMESE_PASSPORT = re.compile(r"[A-Z][0-9]{7,8}")
_COUNTRY = re.compile(r"[A-Z]{3}")
_CARD = re.compile(r"[A-Z]{2}[1-5][0-9]{12}")
_SOCIAL_INSURANCE = re.compile(r"[0-9]{10}")
# Given to a child who has no card: TE1, province, district, 000, serial. A real number of that shape is one in a
# thousand and is not used either.
_CHILD_WITHOUT_CARD = re.compile(r"TE1[0-9]{4}000[0-9]{5}")
_FACILITY = re.compile(r"[0-9]{2}[0-9A-Z]{3}")
_MRN_LENGTH = 100


@dataclass(frozen=True)
class NormalIdentifier:
    """An identifier with its canonical `key`, None when a fault makes it unusable; `warnings` are reason codes,
    faults and hints.
    """

    identifier: Identifier
    key: IdentifierKey | None = field(repr=False)
    warnings: tuple[str, ...] = ()


def facility_code(code: str) -> bool:
    """True for a well-formed facility code: a province of the 63-list and 3 more characters."""
    return bool(_FACILITY.fullmatch(code)) and known(Area(code[:2], Era.PROVINCES_63))


def normalise(identifier: Identifier, demographics: Demographics) -> NormalIdentifier:
    """The canonical form of an identifier; the demographics serve the plausibility hints of the citizen number only."""
    bare = _SEPARATORS.sub("", identifier.value).upper()
    match identifier.type:
        case IdentifierType.CITIZEN_ID:
            return _citizen_id(identifier, bare, demographics, CITIZEN_ID_MALFORMED)
        case IdentifierType.OLD_ID:
            # Cards of 2012 to 2015 carried twelve digits, which are the citizen number of today.
            if _CITIZEN_ID.fullmatch(bare):
                return _citizen_id(identifier, bare, demographics, OLD_ID_MALFORMED)
            return _digits(identifier, bare, _OLD_ID, IdentifierType.OLD_ID, OLD_ID_MALFORMED)
        case IdentifierType.PASSPORT:
            return _passport(identifier, bare)
        case IdentifierType.HEALTH_INSURANCE:
            return _insurance(identifier, bare, demographics, HEALTH_INSURANCE_MALFORMED)
        case IdentifierType.SOCIAL_INSURANCE:
            return _insurance(identifier, bare, demographics, SOCIAL_INSURANCE_MALFORMED)
        case IdentifierType.LOCAL_MRN:
            return _local_mrn(identifier)
        case IdentifierType.TEMPORARY:
            return _temporary(identifier)


def _fault(identifier: Identifier, reason: str) -> NormalIdentifier:
    return NormalIdentifier(identifier, None, (reason,))


def _usable(
    identifier: Identifier, type: IdentifierType, value: str, printed: str, warnings: tuple[str, ...] = ()
) -> NormalIdentifier:
    kept = Identifier(identifier.type, printed, identifier.assigner)
    return NormalIdentifier(kept, IdentifierKey(type.value, value), warnings)


def _one_digit(bare: str) -> bool:
    return len(set(bare)) == 1


def _digits(
    identifier: Identifier, bare: str, pattern: re.Pattern[str], type: IdentifierType, malformed: str
) -> NormalIdentifier:
    if not pattern.fullmatch(bare):
        return _fault(identifier, malformed)
    if _one_digit(bare):
        return _fault(identifier, PLACEHOLDER)
    return _usable(identifier, type, bare, bare)


def _citizen_id(identifier: Identifier, bare: str, demographics: Demographics, malformed: str) -> NormalIdentifier:
    """PPP province of birth registration (63-list, for life), G century and sex, YY birth year, six random digits."""
    if not _CITIZEN_ID.fullmatch(bare):
        return _fault(identifier, malformed)
    if _one_digit(bare) or bare.endswith("000000"):
        return _fault(identifier, PLACEHOLDER)
    hints: list[str] = []
    # Births abroad carry country codes, and those after 2025-07-01 perhaps codes of the 34-list: a hint, never a fault.
    if bare[0] != "0" or not known(Area(bare[1:3], Era.PROVINCES_63)):
        hints.append(CITIZEN_ID_PROVINCE_UNKNOWN)
    century_and_sex = int(bare[3])
    if demographics.sex in {Sex.MALE, Sex.FEMALE} and (demographics.sex is Sex.FEMALE) != bool(century_and_sex % 2):
        hints.append(CITIZEN_ID_SEX_MISMATCH)
    year = 1900 + 100 * (century_and_sex // 2) + int(bare[4:6])
    if demographics.birth is not None and not demographics.birth.estimated and demographics.birth.year != year:
        hints.append(CITIZEN_ID_BIRTH_YEAR_MISMATCH)
    return _usable(identifier, IdentifierType.CITIZEN_ID, bare, bare, tuple(hints))


def _passport(identifier: Identifier, bare: str) -> NormalIdentifier:
    country = identifier.assigner.strip().upper()
    if not _PASSPORT.fullmatch(bare):
        return _fault(identifier, PASSPORT_MALFORMED)
    if _one_digit(bare):
        return _fault(identifier, PLACEHOLDER)
    warnings: tuple[str, ...] = ()
    if not country and _VIETNAMESE_PASSPORT.fullmatch(bare):
        # SO_CCCD of the national format holds Vietnamese passports without a country.
        country, warnings = "VNM", (PASSPORT_COUNTRY_ASSUMED,)
    if not _COUNTRY.fullmatch(country):
        return _fault(identifier, PASSPORT_COUNTRY_MISSING)
    kept = Identifier(identifier.type, bare, country)
    return NormalIdentifier(kept, IdentifierKey(IdentifierType.PASSPORT.value, f"{country}:{bare}"), warnings)


def _insurance(identifier: Identifier, bare: str, demographics: Demographics, malformed: str) -> NormalIdentifier:
    """Group, benefit and province of a card change; the last ten digits stay. Since 2025-08 the citizen number may
    stand here instead.
    """
    if _CITIZEN_ID.fullmatch(bare):
        return _citizen_id(identifier, bare, demographics, malformed)
    if not _CARD.fullmatch(bare) and not _SOCIAL_INSURANCE.fullmatch(bare):
        return _fault(identifier, malformed)
    number = bare[-10:]
    if _one_digit(number) or _CHILD_WITHOUT_CARD.fullmatch(bare):
        return _fault(identifier, PLACEHOLDER)
    return _usable(identifier, IdentifierType.SOCIAL_INSURANCE, number, bare)


def _local_mrn(identifier: Identifier) -> NormalIdentifier:
    mrn = " ".join(identifier.value.split())
    if not mrn or len(mrn) > _MRN_LENGTH or not facility_code(identifier.assigner):
        return _fault(identifier, LOCAL_MRN_MALFORMED)
    return _usable(identifier, IdentifierType.LOCAL_MRN, f"{identifier.assigner}:{mrn}", mrn)


def _temporary(identifier: Identifier) -> NormalIdentifier:
    try:
        read = parse(identifier.value)
    except TemporaryIdentifierInvalid as invalid:
        return _fault(identifier, TEMPORARY_MALFORMED if invalid.reason == "MALFORMED" else TEMPORARY_WRONG_CHECK)
    kept = Identifier(IdentifierType.TEMPORARY, str(read), read.facility)
    return NormalIdentifier(kept, IdentifierKey(IdentifierType.TEMPORARY.value, read.compact))
