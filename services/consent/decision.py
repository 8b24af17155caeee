"""A decision as it is kept and given out: what was asked, the facts it rests on, and the ruling."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.consent.facts import Facts
from services.consent.model import DECISION_LIFE, Query, Requester, Ruling


@dataclass(frozen=True)
class Asked:
    """One query, who asks, and the trace it belongs to."""

    query: Query
    requester: Requester
    trace_id: str


@dataclass(frozen=True)
class Decision:
    """A ruling as it was given out, with the facts it rests on and the ledger line it made."""

    id: UUID
    facts: Facts
    ruling: Ruling
    access: UUID

    @property
    def query(self) -> Query:
        """What was asked; the person is the one who answers for the entry that was named."""
        return self.facts.query

    @property
    def requester(self) -> Requester:
        """Who asked."""
        return self.facts.requester

    @property
    def decided_at(self) -> datetime:
        """When it was taken."""
        return self.facts.at

    @property
    def expires_at(self) -> datetime:
        """When it can no longer be used."""
        return self.decided_at + DECISION_LIFE

    @property
    def emergency(self) -> UUID | None:
        """The emergency access it rests on, where it rests on one."""
        grant = self.facts.emergency
        rests = any(rule.rule == "emergency" and rule.effect.value == "PERMIT" for rule in self.ruling.rules)
        return grant.id if grant is not None and rests else None
