"""Value conventions of QĐ 130 (domain page §2.4): dates, times, decimals, `;` lists and the untyped SO_CCCD."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

from lienthong.client.temporary_identifier import TemporaryIdentifier, TemporaryIdentifierInvalid, parse

from services.records.formats.document import IdentifierFact, IdentifierType, PartialDate, Precision

# Viet Nam keeps UTC+7 all year; the format carries local time without an offset.
VIETNAM = timezone(timedelta(hours=7))

# At most 30 digits, so that a number cannot cost more than its field is worth.
NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,10})?")
_CARD = re.compile(r"[A-Z]{2}[1-5][0-9]{2}[0-9]{10}")
_PASSPORT = re.compile(r"[A-Z][0-9]{7}")


def is_digits(text: str) -> bool:
    """Tell whether the text is ASCII digits only; `str.isdigit` alone accepts other scripts."""
    return text.isascii() and text.isdigit()


def day(text: str) -> date | None:
    """Read yyyymmdd, or the day of yyyymmddHHMM; None when it is no full date."""
    if len(text) not in (8, 12) or not is_digits(text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def instant(text: str) -> datetime | None:
    """Read yyyymmddHHMM (or yyyymmdd as midnight) of Vietnamese time as aware UTC; None when it is no full date."""
    whole = day(text)
    if whole is None:
        return None
    hour, minute = (int(text[8:10]), int(text[10:12])) if len(text) == 12 else (0, 0)
    # The calendar's edges have no UTC counterpart in datetime.
    if hour > 23 or minute > 59 or not 2 <= whole.year <= 9998:
        return None
    return datetime(whole.year, whole.month, whole.day, hour, minute, tzinfo=VIETNAM).astimezone(UTC)


def partial_date(text: str) -> PartialDate | None:
    """Read yyyymmdd or yyyymmddHHMM in which the time, the day, or day and month may be zeros; None when it is no such
    date.

    A birth at midnight cannot be told from an unknown time: both are DAY.
    """
    if len(text) not in (8, 12) or not is_digits(text) or text[:4] == "0000":
        return None
    month, month_day, clock = text[4:6], text[6:8], text[8:]
    if month == "00":
        return PartialDate(text, Precision.YEAR) if not text[6:].strip("0") else None
    if month_day == "00":
        return PartialDate(text, Precision.MONTH) if month <= "12" and not clock.strip("0") else None
    if day(text) is None:
        return None
    if not clock.strip("0"):
        return PartialDate(text, Precision.DAY)
    return PartialDate(text, Precision.MINUTE) if clock[:2] <= "23" and clock[2:] <= "59" else None


def items(text: str) -> tuple[str, ...]:
    """Split a `;` list, blanks dropped."""
    return tuple(item for part in text.split(";") if (item := part.strip()))


def identity_document(raw: str) -> IdentifierFact:
    """Type one value of SO_CCCD: 12 digits citizen number, 9 digits old card, capital and 7 digits passport, the
    temporary identifier of a patient without papers, else UNKNOWN.
    """
    value = raw.strip().upper()
    if (temporary := _temporary(value)) is not None:
        return IdentifierFact(IdentifierType.TEMPORARY, str(temporary), raw, assigner=temporary.facility)
    if is_digits(value):
        kind = {12: IdentifierType.CITIZEN_ID, 9: IdentifierType.OLD_ID}.get(len(value), IdentifierType.UNKNOWN)
    else:
        kind = IdentifierType.PASSPORT if _PASSPORT.fullmatch(value) else IdentifierType.UNKNOWN
    return IdentifierFact(kind, value, raw)


def _temporary(value: str) -> TemporaryIdentifier | None:
    try:
        return parse(value)
    except TemporaryIdentifierInvalid:
        return None


def insurance_card(raw: str) -> tuple[IdentifierFact, ...]:
    """Type one value of MA_THE_BHYT: a 15-character card also names the social-insurance number, its last 10 digits.

    Cards issued since 2025-08-01 may print only those 10, or the 12-digit citizen number.
    """
    value = raw.strip().upper()
    if _CARD.fullmatch(value):
        return (
            IdentifierFact(IdentifierType.HEALTH_INSURANCE, value, raw),
            IdentifierFact(IdentifierType.SOCIAL_INSURANCE, value[5:], raw),
        )
    if is_digits(value) and len(value) == 10:
        return (IdentifierFact(IdentifierType.SOCIAL_INSURANCE, value, raw),)
    if is_digits(value) and len(value) == 12:
        return (IdentifierFact(IdentifierType.CITIZEN_ID, value, raw),)
    return (IdentifierFact(IdentifierType.UNKNOWN, value, raw),)
