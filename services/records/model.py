"""Submissions, documents and what is known of them. Pure: no I/O, no protos."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from functools import cached_property
from uuid import UUID

from services.records.formats.document import ContentKind, ParsedDocument, QualityFinding
from services.records.sensitivity import SensitivityClass
from services.records.signatures import DetachedSignature

LARGEST_DOCUMENT = 8 * 1024 * 1024
LONGEST_DOCUMENT_ID = 128
MOST_FINDINGS = 100
# Times of the format are whole minutes; a stay therefore ends one minute after its last one begins.
MINUTE = timedelta(minutes=1)


class SubmissionState(IntEnum):
    """How far a submission has come, in the numbers of the contract; up to ACKNOWLEDGED they only grow."""

    RECEIVED = 1
    VERIFIED = 2
    STORED = 3
    RETRIEVABLE = 4
    LOGGED = 5
    DELIVERED = 6
    ACKNOWLEDGED = 7
    REJECTED = 8
    HELD = 9


class Topic(Enum):
    """Where an accepted document goes after the answer."""

    LOG = "log"
    SLIPS = "slips"
    INSURER = "insurer"


@dataclass(frozen=True)
class Key:
    """What a facility names a document by."""

    facility: str
    document_id: str


@dataclass(frozen=True, repr=False)
class Incoming:
    """A document on its way in. `signatures` travel beside it; `trace` is the traceparent of its call."""

    facility: str
    document_id: str
    format: str
    content: bytes
    signatures: tuple[DetachedSignature, ...]
    received_at: datetime
    trace_id: str = ""
    trace: str = ""

    @cached_property
    def sha256(self) -> str:
        """Digest of the exact bytes, 64 hex digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> Key:
        """What the facility names it by."""
        return Key(self.facility, self.document_id)

    @property
    def size(self) -> int:
        """Bytes it holds in memory."""
        return len(self.content) + sum(signature.size for signature in self.signatures)

    def __repr__(self) -> str:
        return f"Incoming(facility={self.facility!r}, size={self.size})"


@dataclass(frozen=True)
class Case:
    """A readable document for signing to judge. `existed_at` is the earliest proof, other than its own time-stamps, that
    its signatures existed; None for a document that only now arrived.
    """

    incoming: Incoming
    parsed: ParsedDocument
    existed_at: datetime | None = None


@dataclass(frozen=True)
class Rejection:
    """Why a document was refused. `field` is a path in submission or document; the description holds no personal data."""

    reason: str
    field: str
    description: str


@dataclass(frozen=True)
class Verdict:
    """What this role needs to know of a signature verdict; `encoded` is the whole of it as signing gave it. `failed` is form
    and part of the first signature that did not pass; `signers` all certificates with the best time of their signature.
    """

    indication: str
    sub_indication: str
    reason: str
    acceptable: bool
    signer_certificate_sha256: str
    encoded: bytes = field(repr=False)
    failed: tuple[str, str] = ("", "")
    grace_period_end: datetime | None = None
    signers: tuple[tuple[str, datetime | None], ...] = ()


@dataclass(frozen=True)
class Filing:
    """Under whom a document was filed. Held means that the identity is not confirmed."""

    person: UUID
    held: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class StateChange:
    """One step of a submission's life."""

    state: SubmissionState
    at: datetime
    destination: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Receipt:
    """Proof of acceptance: entry and salt, the promise to log it, and the log's proof once there is one."""

    entry: bytes
    salt: bytes = field(repr=False)
    promise: str = field(repr=False)
    trace_id: str
    tlog_proof: str = field(default="", repr=False)


@dataclass(frozen=True)
class Submission:
    """The record of one submitted document, as first answered. `id` is None for a dry run."""

    id: UUID | None
    facility: str
    document_id: str
    sha256: str
    history: tuple[StateChange, ...]
    received_at: datetime
    kinds: tuple[ContentKind, ...] = ()
    verdict: Verdict | None = None
    findings: tuple[QualityFinding, ...] = ()
    rejection: Rejection | None = None
    receipt: Receipt | None = None
    person: UUID | None = None
    sequence: int = 0

    @property
    def state(self) -> SubmissionState:
        """Where it stands."""
        return self.history[-1].state


@dataclass(frozen=True)
class Accepted:
    """A document that passed every check, ready to be stored under its id."""

    id: UUID
    incoming: Incoming
    parsed: ParsedDocument
    verdict: Verdict
    filing: Filing
    verified_at: datetime

    @property
    def care(self) -> tuple[datetime, datetime]:
        """First and last minute of the care; the time of receipt where the document gives none that can be read."""
        start = self.parsed.admitted or self.parsed.discharged or self.incoming.received_at
        return start, max(start, self.parsed.discharged or start)


@dataclass(frozen=True)
class Event:
    """A fact for a destination, to be enqueued in the transaction that stores the document."""

    id: UUID
    topic: Topic
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """What storing a document adds to it: its number, the first answer, and what must be told onward."""

    sequence: int
    stored_at: datetime
    answer: bytes = field(repr=False)
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A refused document, to be kept as evidence."""

    id: UUID
    incoming: Incoming
    rejection: Rejection
    submission: Submission = field(repr=False)
    answer: bytes = field(repr=False)


@dataclass(frozen=True)
class Known:
    """What is stored under a key: the accepted document, or a refused one with the same bytes."""

    id: UUID
    sha256: str
    rejection: str
    answer: bytes = field(repr=False)


@dataclass(frozen=True)
class SubmissionRecord:
    """A submission as stored: the first answer, and what happened since."""

    id: UUID
    answer: bytes = field(repr=False)
    state: SubmissionState
    changes: tuple[StateChange, ...] = ()
    tlog_proof: str = field(default="", repr=False)
    # The newest verdict where there is one after the first answer's.
    verdict: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class DocumentEntry:
    """The index entry of a stored document. `care_end` is the last minute of the care, inclusive. `person` is the entry of the person index it was
    filed under, for ever; `current` who answers for that now, None for itself. `held` is what is true now, too.
    """

    id: UUID
    person: UUID
    facility: str
    format: str
    kinds: tuple[ContentKind, ...]
    care_start: datetime
    care_end: datetime
    sha256: str
    size: int
    received_at: datetime
    held: bool
    current: UUID | None = None
    classes: frozenset[SensitivityClass] = frozenset()

    @property
    def name(self) -> str:
        """Resource name."""
        return f"documents/{self.id}"

    @property
    def whose(self) -> UUID:
        """Whose document it is now."""
        return self.current or self.person


@dataclass(frozen=True, repr=False)
class StoredContent:
    """The original bytes with what proves them."""

    content: bytes
    signatures: tuple[DetachedSignature, ...]
    record: SubmissionRecord


@dataclass(frozen=True)
class Span:
    """A half-open span of time; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, start: datetime, end: datetime) -> bool:
        """Whether care from `start` to the minute `end` lies inside."""
        return (self.start is None or start >= self.start) and (self.end is None or end < self.end)


ALWAYS = Span()


@dataclass(frozen=True)
class Permission:
    """A part that may be read: kinds, care inside a span, of no sensitive classes but these, from one facility where `source` names it."""

    kinds: frozenset[ContentKind]
    span: Span = ALWAYS
    classes: frozenset[SensitivityClass] = frozenset()
    source: str | None = None


@dataclass(frozen=True)
class WithheldKind:
    """A part that may not be read."""

    kind: ContentKind
    reason: str


@dataclass(frozen=True)
class WithheldClass:
    """A sensitive class that may not be read."""

    sensitivity_class: SensitivityClass
    reason: str


@dataclass(frozen=True)
class Decision:
    """The consent role's answer. `name` is `decisions/{uuid}`, `access` the ledger entry."""

    name: str
    access: str
    permissions: tuple[Permission, ...]
    withheld: tuple[WithheldKind, ...] = ()
    would_change: tuple[str, ...] = ()
    withheld_classes: tuple[WithheldClass, ...] = ()

    @property
    def permitted(self) -> bool:
        """Whether anything may be read."""
        return bool(self.permissions)


def readable_kinds(entry: DocumentEntry, permissions: Sequence[Permission]) -> frozenset[ContentKind]:
    """Kinds of a document that the permissions cover, by kind, by the time and the facility of the care, and by its sensitive classes."""
    covered = [
        one.kinds
        for one in permissions
        if one.span.holds(entry.care_start, entry.care_end)
        and one.source in (None, entry.facility)
        and entry.classes <= one.classes
    ]
    return frozenset(entry.kinds) & frozenset().union(*covered)


@dataclass(frozen=True)
class AccessContext:
    """Why a read is made, in the numbers of `lienthong.type.v1`; consent knows what they mean."""

    purpose: int
    legal_basis: int
    reason: str = ""


@dataclass(frozen=True)
class Query:
    """What consent is asked. `resources` and `own_documents` are resource names."""

    person: UUID
    context: AccessContext
    kinds: frozenset[ContentKind]
    method: str
    span: Span = ALWAYS
    resources: tuple[str, ...] = ()
    own_documents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cursor:
    """Where a page of documents ended: newest care first, then by id."""

    care_end: datetime
    id: UUID


@dataclass(frozen=True)
class Selection:
    """Which documents a page may hold: those of a person, filed under any of these entries. `facility` limits to one facility's own, which
    includes held ones.
    """

    persons: tuple[UUID, ...]
    permissions: tuple[Permission, ...]
    span: Span = ALWAYS
    facility: str | None = None
    after: Cursor | None = None
    limit: int = 50


def log_kind(kinds: Sequence[ContentKind]) -> str:
    """The kind a log entry names. The log is public, so it names the core of the document and never a sensitive part."""
    for kind in (ContentKind.ENCOUNTER_SUMMARY, ContentKind.CHECK_IN):
        if kind in kinds:
            return str(kind.value)
    return "DOCUMENT"
