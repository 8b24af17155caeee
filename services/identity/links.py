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

from services.identity.feeds import Page
from services.identity.model import FieldEvidence, FilingKey, FilingOutcome


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
    documents: int = 1
    """Documents that wait for it."""


class ReviewDecision(Enum):
    """What a steward finds."""

    SAME = "SAME"
    DIFFERENT = "DIFFERENT"
    UNCLEAR = "UNCLEAR"


@dataclass(frozen=True)
class Finding:
    """One steward's decision on a task; `person` is the candidate that is the same."""

    actor: str
    decision: ReviewDecision
    reason: str
    at: datetime
    person: UUID | None = None

    def agrees(self, other: Finding) -> bool:
        """True when both found the same."""
        return (self.decision, self.person) == (other.decision, other.person)


@dataclass(frozen=True)
class ReviewTask:
    """A task of the desk. A claim holds until `claim_ends_at`; `findings` are hidden until the task is decided."""

    id: UUID
    person: UUID
    reason: ReviewReason
    state: ReviewState
    candidates: tuple[ReviewCandidate, ...]
    created_at: datetime
    facility: str = ""
    model_version: str = ""
    documents_waiting: int = 1
    double_review: bool = False
    claimed_by: str | None = None
    claim_ends_at: datetime | None = None
    findings: tuple[Finding, ...] = ()
    decided_at: datetime | None = None
    version: int = 1

    @property
    def name(self) -> str:
        """Resource name."""
        return f"reviewTasks/{self.id}"

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return f'"{self.version}"'

    def claimed(self, now: datetime) -> bool:
        """True while somebody's claim holds."""
        return self.claim_ends_at is not None and self.claim_ends_at > now

    def open_to(self, actor: str, now: datetime) -> bool:
        """True when a steward may claim it: nobody else's claim holds, and the steward has not decided it before."""
        if self.state is ReviewState.DECIDED or any(one.actor == actor for one in self.findings):
            return False
        return self.claimed_by == actor or not self.claimed(now)


@dataclass(frozen=True)
class ReviewFigures:
    """Figures of the desk: what waits, and of what was decided since a time how long it took and how often two agreed."""

    open: int = 0
    decided: int = 0
    median_hours: float = 0.0
    double: int = 0
    agreed: int = 0


@dataclass(frozen=True)
class FiledRecord:
    """A source record as it is filed: under which entry, how, when; `key` is what was said."""

    id: UUID
    key: FilingKey
    person: UUID
    outcome: FilingOutcome
    at: datetime

    @property
    def name(self) -> str:
        """Resource name."""
        return f"sourceRecords/{self.id}"


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


NOBODY = UUID(int=0)
"""Before every id."""


@dataclass(frozen=True)
class FeedPlace:
    """A place in the feed: told is all of transactions below `xid`, and of that one the lines up to `id`."""

    xid: int = 0
    id: UUID = NOBODY


FeedPage = Page[PersonChange, FeedPlace, UUID]
"""A page of this feed; lines are remembered by id."""
