"""What the registries of the identity role say of facilities and licences, as decisions use it. It names nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.consent.model import Period

NAME = "registry"
"""Name of the feed that keeps it, in `feed_cursor`."""
SILENCE = timedelta(seconds=5)
"""After so long without a word the feed is followed anew. It was last heard that long before its `fresh_until`."""


@dataclass(frozen=True)
class RegisteredOrganization:
    """A facility: `state` ACTIVE or SUSPENDED, `care_level` INITIAL, BASIC or SPECIALISED."""

    code: str
    state: str
    care_level: str
    at: datetime


@dataclass(frozen=True)
class RegisteredLicence:
    """A practice licence, by its number; `organizations` are codes of the facilities where it is registered."""

    number: str
    role: str
    scope: str
    period: Period
    organizations: tuple[str, ...]
    at: datetime


Registered = RegisteredOrganization | RegisteredLicence
"""What the feed tells of; `at` is when the newest of its answer was changed."""


def heard_at(fresh_until: datetime | None) -> datetime | None:
    """When the feed was last heard, from what `feed_cursor` keeps; None when all of it never was."""
    return None if fresh_until is None else fresh_until - SILENCE
