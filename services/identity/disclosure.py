"""Asking whether a person's data may be given out: every answer of this role that says more of a person than its caller sent rests on a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from uuid import UUID


class Ground(Enum):
    """Why an answer is asked for; what of it the law calls purpose and legal basis."""

    OWN_DATA = "OWN_DATA"
    TREATMENT = "TREATMENT"
    REGISTER = "REGISTER"


@dataclass(frozen=True)
class Evidence:
    """What shows the caller's interest, as this role has verified it: OWN_REGISTRATION, CHECK_IN or REVIEW_TASK, with the resource."""

    type: str
    resource: str


@dataclass(frozen=True)
class Wanted:
    """One person whose data are to be given out."""

    person: UUID
    ground: Ground
    evidence: Sequence[Evidence] = ()


@dataclass(frozen=True)
class Ruling:
    """What the decision point said: the decision's name, whether it permits, and what would change the answer."""

    decision: str
    permitted: bool
    would_change: tuple[str, ...] = ()


class Decisions(Protocol):
    """The decision point. Raises PeerUnavailable and PeerRefused: then nothing is given out."""

    async def decide(self, method: str, wanted: Sequence[Wanted]) -> Sequence[Ruling]:
        """One ruling for each, in order, for the principal of the call in hand; each is on the person's ledger by then. `method` is the RPC that
        is answered."""
