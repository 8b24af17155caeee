"""Links between entries, refusals and review tasks: values and states.

An entry is never edited by a link. A link is an edge from one root to another, so that the edges in force form a forest, and taking one away
leaves the state from before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from services.identity.model import FieldEvidence


class LinkMethod(Enum):
    """Who or what decided."""

    RULE = "RULE"
    MODEL = "MODEL"
    FACILITY = "FACILITY"
    STEWARD = "STEWARD"


class LinkState(Enum):
    """Life of a link."""

    PROPOSED = "PROPOSED"
    ACTIVE = "ACTIVE"
    UNLINKED = "UNLINKED"
    DECLINED = "DECLINED"


class IdentificationEvidence(Enum):
    """On what an identification rests."""

    CARD_CHIP = "CARD_CHIP"
    CARD_CODE = "CARD_CODE"
    APP_ASSERTION = "APP_ASSERTION"
    PAPERS = "PAPERS"
    RELATIVE = "RELATIVE"
    PATIENT_STATEMENT = "PATIENT_STATEMENT"
    AUTHORITY = "AUTHORITY"


@dataclass(frozen=True)
class PersonLink:
    """Says that `person` answers with `target`; `actor` made it, `second_actor` agreed where two have to. `score` is log2 of the odds."""

    id: UUID
    person: UUID
    target: UUID
    state: LinkState
    method: LinkMethod
    actor: str
    reason: str
    created_at: datetime
    evidence: IdentificationEvidence | None = None
    second_actor: str = ""
    score: float | None = None
    model_version: str = ""
    version: int = 1

    @property
    def name(self) -> str:
        """Resource name."""
        return f"personLinks/{self.id}"

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return f'"{self.version}"'


class LinkEventKind(Enum):
    """What was done."""

    PROPOSED = "PROPOSED"
    LINKED = "LINKED"
    UNLINKED = "UNLINKED"
    DECLINED = "DECLINED"
    REFUSED = "REFUSED"
    REFUSAL_WITHDRAWN = "REFUSAL_WITHDRAWN"
    SOURCE_MOVED = "SOURCE_MOVED"


@dataclass(frozen=True)
class LinkEvent:
    """A line of the append-only history of links; the fold of all of them is the state. `detail` holds codes and ids only."""

    id: UUID
    kind: LinkEventKind
    person: UUID
    target: UUID
    at: datetime
    actor: str
    reason: str
    method: LinkMethod
    link: UUID | None = None
    score: float | None = None
    model_version: str = ""
    detail: Mapping[str, str] | None = None


class ReviewReason(Enum):
    """Why people have to look."""

    SCORE_BAND = "SCORE_BAND"
    IDENTIFIER_CONFLICT = "IDENTIFIER_CONFLICT"
    SEVERAL_HOLDERS = "SEVERAL_HOLDERS"
    RE_RESOLUTION = "RE_RESOLUTION"
    AFTER_UNLINK = "AFTER_UNLINK"
    IDENTIFICATION = "IDENTIFICATION"


class ReviewState(Enum):
    """Life of a review task."""

    OPEN = "OPEN"
    CLAIMED = "CLAIMED"
    SECOND_REVIEW = "SECOND_REVIEW"
    DECIDED = "DECIDED"
    DISPUTED = "DISPUTED"


@dataclass(frozen=True)
class ReviewCandidate:
    """An entry that the subject of a task may be: score in bits, and what each field adds."""

    person: UUID
    score: float
    evidence: tuple[FieldEvidence, ...] = ()


@dataclass(frozen=True)
class NewReviewTask:
    """A task to raise: which entry is asked about, why, and who it may be (best first, at most 5). One that is open for the same entry and
    reason is joined by the new candidates.
    """

    person: UUID
    reason: ReviewReason
    candidates: tuple[ReviewCandidate, ...]
    facility: str = ""
    model_version: str = ""


class ChangeKind(Enum):
    """What happened to an entry, as followers hear it."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    LINKED = "LINKED"
    UNLINKED = "UNLINKED"
    IDENTIFIED = "IDENTIFIED"
    ERASED = "ERASED"
    SOURCE_MOVED = "SOURCE_MOVED"


@dataclass(frozen=True)
class PersonChange:
    """One line of the feed: the entry, what happened, and who answers for it afterwards in what state. No personal data."""

    id: UUID
    person: UUID
    kind: ChangeKind
    current: UUID
    provisional: bool
    at: datetime
    source_record: str = ""
    former: UUID | None = None
