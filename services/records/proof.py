"""What proves a document years later and what becomes of its verdicts. Pure: no I/O, no protos."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from services.records.model import DocumentEntry, StoredContent, Verdict

MOST_VERDICTS = 100
"""Verdicts of one submission; judging stops there."""
TRY_LATER = "TRY_LATER"


class Occasion(Enum):
    """Why a verdict was made; the names are those of `RecordedVerdict.occasion`."""

    RECEIVED = "RECEIVED"
    REVOCATION_ARRIVED = "REVOCATION_ARRIVED"
    GRACE_PERIOD_ENDED = "GRACE_PERIOD_ENDED"
    KEY_COMPROMISED = "KEY_COMPROMISED"
    RESEALED = "RESEALED"


@dataclass(frozen=True)
class RecordedVerdict:
    """A verdict with the time it was made; `encoded` is the whole of it."""

    number: int
    occasion: Occasion
    created_at: datetime
    encoded: bytes = field(repr=False)


@dataclass(frozen=True)
class Due:
    """A submission that is to be judged again. `attempts` counts how often it was without a new conclusion."""

    facility: str
    submission: UUID
    occasion: Occasion
    attempts: int = 0


@dataclass(frozen=True)
class Judgement:
    """What judging again brought: a verdict to append, if there is news, and when to look again, if ever. `attempts` counts
    the looks without news since the last.
    """

    due: Due
    at: datetime
    verdict: Verdict | None
    again: tuple[datetime, Occasion] | None
    attempts: int = 0


@dataclass(frozen=True)
class Reader:
    """A facility that was given a document, `""` for the person."""

    facility: str
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class TouchedDocument:
    """A document that a certificate signed; `proven_at` is the best time that was proven for the signature."""

    submission: UUID
    facility: str
    received_at: datetime
    proven_at: datetime | None
    readers: tuple[Reader, ...] = ()


@dataclass(frozen=True)
class TouchedCursor:
    """Where a page of touched documents ended: oldest receipt first, then by id."""

    received_at: datetime
    id: UUID


@dataclass(frozen=True)
class Compromise:
    """A signer's certificate whose key is not the signer's alone since a time."""

    certificate_sha256: str
    since: datetime


class EvidenceKind(Enum):
    """What a piece of evidence is; the names are those of `lienthong.signing.v1.EvidenceKind`."""

    CERTIFICATE = "CERTIFICATE"
    REVOCATION_LIST = "REVOCATION_LIST"
    OCSP_RESPONSE = "OCSP_RESPONSE"
    TIMESTAMP_TOKEN = "TIMESTAMP_TOKEN"  # noqa: S105 - a name


@dataclass(frozen=True)
class EvidencePiece:
    """A public fact that a verdict rests on, DER; nothing of the document."""

    sha256: str
    kind: EvidenceKind
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class TimestampedCheckpoint:
    """A checkpoint with an RFC 3161 token over its exact bytes, and the tlog-proof of a document's entry under it."""

    checkpoint: str
    token: bytes = field(repr=False)
    tlog_proof: str = field(default="", repr=False)


@dataclass(frozen=True)
class Renewal:
    """An archive time-stamp over all that a document's package held then: the manifest that names it, and the evidence
    record (RFC 4998), which protects until a time.
    """

    facility: str
    document: UUID
    number: int
    renewed_at: datetime
    protected_until: datetime
    listing: bytes = field(repr=False)
    record: bytes = field(repr=False)


@dataclass(frozen=True)
class Ending:
    """A document whose protection ends at a time."""

    facility: str
    document: UUID
    protected_until: datetime


@dataclass(frozen=True)
class AlgorithmRule:
    """An algorithm of the signature policy, for keys of at least so many bits, accepted until a time; None for no end."""

    name: str
    least_key_bits: int
    until: datetime | None


@dataclass(frozen=True)
class ArchiveStamp:
    """A time-stamp by an outside authority, DER, with its time, its algorithm and key size, and the end of the authority's
    certificate.
    """

    token: bytes = field(repr=False)
    stated_at: datetime
    algorithm: str
    key_bits: int
    authority_until: datetime


@dataclass(frozen=True, repr=False)
class PackageContents:
    """All that an evidence package holds. `verdicts` are those after the first, which stands in the first answer."""

    entry: DocumentEntry
    stored: StoredContent
    verdicts: tuple[RecordedVerdict, ...]
    evidence: tuple[EvidencePiece, ...] = ()
    checkpoint: TimestampedCheckpoint | None = None
    renewals: tuple[Renewal, ...] = ()


# Revocation evidence that is late comes within hours; what never comes is not asked for ever.
_FIRST_WAIT = timedelta(minutes=15)
_LONGEST_WAIT = timedelta(hours=24)
MOST_ATTEMPTS = 40


def next_look(verdict: Verdict, now: datetime, attempts: int) -> tuple[datetime, Occasion] | None:
    """When a verdict is to be looked at again and why; None when it is conclusive."""
    if verdict.sub_indication == TRY_LATER:
        if attempts >= MOST_ATTEMPTS:
            return None
        wait = min(_FIRST_WAIT * 2 ** min(attempts, 10), _LONGEST_WAIT)
        return now + wait, Occasion.REVOCATION_ARRIVED
    if verdict.grace_period_end is not None and verdict.grace_period_end > now:
        return verdict.grace_period_end, Occasion.GRACE_PERIOD_ENDED
    return None
