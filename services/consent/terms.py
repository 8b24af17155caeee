"""What a person may be asked to agree to, and what becomes of the agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from services.chassis.errors import FieldViolation
from services.chassis.identifiers import uuid_from_request
from services.consent.errors import TermsNotAllowed
from services.consent.model import LONGEST, SENSITIVE, SHORTEST, Consent, Purpose, Terms

LONGEST_ERASE = timedelta(days=3653)
MOST_READS = 1000
INTERVALS = (timedelta(hours=1), timedelta(days=31))
MOST_SOURCES = 20
# Purposes for which one facility can be given access; the others rest on law, not on consent.
_CONSENTABLE = frozenset({Purpose.TREATMENT, Purpose.PAYMENT})


def check_terms(terms: Terms, field: str) -> None:
    """Raises TermsNotAllowed naming every term that goes beyond what the purpose allows (Law 91/2025/QH15 art. 9)."""
    wrong = [FieldViolation(f"{field}.{name}", said, reason) for name, said, reason in _wrong(terms)]
    if wrong:
        raise TermsNotAllowed("the terms go beyond what the purpose allows", violations=wrong)


def _wrong(terms: Terms) -> Sequence[tuple[str, str, str]]:
    period, limit, anybody = terms.data_period, terms.frequency, terms.organization is None
    checks = (
        (terms.purpose not in _CONSENTABLE, "purpose", "TREATMENT or PAYMENT", "PURPOSE_NOT_CONSENTABLE"),
        (not terms.kinds, "kinds", "at least one kind", "KINDS_EMPTY"),
        (
            not SHORTEST <= terms.duration <= LONGEST,
            "permission_duration",
            "1 minute to 365 days",
            "DURATION_OUT_OF_RANGE",
        ),
        (
            terms.erase_after is not None and not terms.duration <= terms.erase_after <= LONGEST_ERASE,
            "erase_after",
            "not before reading ends, at most 10 years",
            "ERASE_AFTER_OUT_OF_RANGE",
        ),
        (
            limit is not None and not 1 <= limit.reads <= MOST_READS,
            "frequency.reads",
            f"1 to {MOST_READS}",
            "READS_OUT_OF_RANGE",
        ),
        (
            limit is not None and limit.interval is not None and not INTERVALS[0] <= limit.interval <= INTERVALS[1],
            "frequency.interval",
            "1 hour to 31 days",
            "INTERVAL_OUT_OF_RANGE",
        ),
        (
            anybody and bool(terms.kinds & SENSITIVE),
            "grantee",
            "a sensitive kind needs one named facility",
            "GRANTEE_TOO_WIDE",
        ),
        (
            anybody and bool(terms.classes),
            "sensitive_classes",
            "a sensitive class needs one named facility",
            "GRANTEE_TOO_WIDE",
        ),
        (
            anybody and terms.purpose is not Purpose.TREATMENT,
            "grantee",
            "any treating facility is for TREATMENT only",
            "GRANTEE_TOO_WIDE",
        ),
        (
            len(terms.sources) > MOST_SOURCES or len(set(terms.sources)) != len(terms.sources),
            "sources",
            f"at most {MOST_SOURCES}, each once",
            "SOURCES_OUT_OF_RANGE",
        ),
        (
            period.start is not None and period.end is not None and period.start >= period.end,
            "data_period",
            "start before end",
            "PERIOD_EMPTY",
        ),
    )
    return [(name, said, reason) for wrong, name, said, reason in checks if wrong]


def one_for_each_source(consent: Consent) -> list[Consent]:
    """A consent of its own for each source that the terms name; the first keeps the id, so that a retry finds all of them."""
    if not consent.terms.sources:
        return [consent]
    terms = replace(consent.terms, sources=())
    return [
        replace(consent, id=_id(consent.id, source, place), terms=terms, source=source)
        for place, source in enumerate(consent.terms.sources)
    ]


def _id(first: UUID, source: str, place: int) -> UUID:
    return uuid_from_request(source, first) if place else first
