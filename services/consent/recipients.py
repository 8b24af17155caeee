"""What became of a consent: what happened to it, and who was given data on its ground."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.consent.model import Consent, Evidence

LONGEST_GROUND = 200


@dataclass(frozen=True)
class ConsentEvent:
    """One thing that happened: GRANTED, AGREED or REVOKED. `actor` is a resource name."""

    type: str
    at: datetime
    actor: str
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Recipient:
    """A facility that was given data. `acknowledged_at` is when it said that it has erased them, `retained_under` the law on which it keeps a
    part all the same.
    """

    organization: str
    first_read_at: datetime
    last_read_at: datetime
    reads: int
    erase_at: datetime
    acknowledged_at: datetime | None = None
    retained_under: str = ""


def events_of(consent: Consent) -> list[ConsentEvent]:
    """What happened to a consent, oldest first."""
    first, *others = consent.agreements
    events = [ConsentEvent("GRANTED", first.at, f"persons/{first.person}", first.evidence)]
    events += [ConsentEvent("AGREED", one.at, f"persons/{one.person}", one.evidence) for one in others]
    if consent.revoked_at is not None:
        actor = consent.revoked_by or consent.person
        events.append(ConsentEvent("REVOKED", consent.revoked_at, f"persons/{actor}"))
    return sorted(events, key=lambda event: event.at)
