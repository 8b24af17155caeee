"""What the operations of the records role need from outside: a store, the other roles, the insurer, a clock, new ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.chassis.feed import Entries
from services.records.formats.document import ContentKind, ParsedDocument
from services.records.model import (
    Accepted,
    Case,
    Decision,
    DocumentEntry,
    Filing,
    Finished,
    Incoming,
    Key,
    Known,
    Query,
    Rejected,
    Selection,
    StateChange,
    StoredContent,
    Submission,
    SubmissionRecord,
    SubmissionState,
    Verdict,
)
from services.records.proof import (
    AlgorithmRule,
    ArchiveStamp,
    Compromise,
    Due,
    Ending,
    EvidencePiece,
    Judgement,
    PackageContents,
    RecordedVerdict,
    Renewal,
    TimestampedCheckpoint,
    TouchedCursor,
    TouchedDocument,
)

NewId = Callable[[], UUID]
"""Mints UUIDv7."""
Finish = Callable[[Sequence[tuple[Accepted, int]]], Sequence[Finished]]
"""Completes documents that have their number; pure, as it may be called again."""
Encode = Callable[[Submission], bytes]
"""Serialises an answer; what it returns is kept and returned again, byte for byte."""


class OpenSpan(Protocol):
    """Opens a trace span; `parent` is a traceparent to continue."""

    def __call__(
        self, name: str, attributes: Mapping[str, str | int] | None = None, parent: str = ""
    ) -> AbstractContextManager[Any]:
        """Return the span's context."""


class KeysTaken(Exception):  # a signal to look again, not an error of the caller
    """Keys of the batch were stored by another transaction meanwhile; nothing of the batch was written."""

    def __init__(self, keys: Collection[Key]) -> None:
        super().__init__(f"{len(keys)} keys")
        self.keys = frozenset(keys)


class IntakeStore(Protocol):
    """The part of the database that takes documents in and follows them."""

    async def known(self, documents: Sequence[Incoming]) -> Mapping[Key, Sequence[Known]]:
        """What is stored under the documents' keys: the accepted one, and refused ones with the same bytes. One
        statement.
        """

    async def store(self, accepted: Sequence[Accepted], rejected: Sequence[Rejected], finish: Finish) -> list[Finished]:
        """Stores a batch in one transaction, in its order, and enqueues its events. Numbers are dense per facility from 1.
        Raises KeysTaken.
        """

    async def submission(self, facility: str, id: UUID) -> SubmissionRecord | None:
        """One submission of a facility with its later changes, oldest first."""

    async def submissions(
        self, facility: str, before: UUID | None, state: SubmissionState | None, document_id: str, limit: int
    ) -> Sequence[SubmissionRecord]:
        """A facility's submissions, newest first, without changes and proof."""

    async def place(self, places: Mapping[tuple[str, UUID], int]) -> None:
        """Keeps the log index of submissions, by facility and id; again is nothing new."""

    async def unproven(self, limit: int) -> Sequence[tuple[str, UUID, int]]:
        """Submissions that have an index and no proof yet, in order of the index."""

    async def prove(self, proofs: Mapping[tuple[str, UUID], str], at: datetime) -> None:
        """Keeps proofs; each submission that had none becomes LOGGED."""

    async def advance(self, facility: str, id: UUID, changes: Sequence[StateChange]) -> None:
        """Adds changes to a submission. One with the same state and destination is not added again."""

    async def original(self, facility: str, id: UUID) -> StoredContent | None:
        """The stored bytes of an accepted submission."""


class DocumentStore(Protocol):
    """The part of the database that gives documents out."""

    async def document(self, id: UUID) -> DocumentEntry | None:
        """An index entry."""

    async def documents(self, selection: Selection) -> Sequence[DocumentEntry]:
        """Index entries, newest care first, that any of the permissions covers by kind and time."""

    async def entries(self, person: UUID) -> Entries:
        """The entries of the person index that stand for a person."""

    async def own_document(self, persons: Sequence[UUID], facility: str) -> UUID | None:
        """Any document under these entries that the facility made."""

    async def health_book(self, selection: Selection) -> Sequence[tuple[DocumentEntry, Mapping[ContentKind, bytes]]]:
        """Entries with the parts of the health book they hold, opened only where a permission covers entry and kind."""

    async def original(self, facility: str, id: UUID) -> StoredContent | None:
        """The stored bytes of an accepted submission."""


class ProofStore(Protocol):
    """The part of the database that keeps what was judged, signed and given out."""

    async def verdicts(self, facility: str, id: UUID) -> Sequence[RecordedVerdict]:
        """The verdicts on an accepted submission after the first one, oldest first. One statement."""

    async def take_due(self, now: datetime, until: datetime, limit: int) -> Sequence[Due]:
        """What is to be judged again by now, longest due first. Nobody else gets it before `until`."""

    async def received(self, places: Sequence[tuple[str, UUID]]) -> Mapping[tuple[str, UUID], Incoming]:
        """Accepted submissions as they came in, by facility and id."""

    async def judged(self, judgements: Sequence[Judgement]) -> None:
        """Appends verdicts and settles what was due, in one transaction. A submission that has the most verdicts it may
        have gets none more.
        """

    async def judge_signed_by(
        self, certificate_sha256: str, since: datetime, after: TouchedCursor | None, at: datetime, limit: int
    ) -> TouchedCursor | None:
        """Makes due at a time, for KEY_COMPROMISED, a page of the documents that a certificate signed and that were
        received since; returns where the page ended, None after the last one. Again is nothing new.
        """

    async def compromises(self) -> Collection[Compromise]:
        """Compromised keys that were dealt with."""

    async def remember(self, compromise: Compromise, at: datetime) -> None:
        """Keeps that a compromised key was dealt with."""

    async def disclose(self, reader: str, documents: Sequence[tuple[str, UUID]], at: datetime) -> None:
        """Keeps that documents, by facility and id, are given to a facility, or to the person for an empty reader. One
        statement.
        """

    async def touched(
        self, certificate_sha256: str, since: datetime, after: TouchedCursor | None, limit: int
    ) -> Sequence[TouchedDocument]:
        """Documents that the certificate signed and that were received since a time, oldest first, with their readers."""

    async def document(self, id: UUID) -> DocumentEntry | None:
        """An index entry."""

    async def original(self, facility: str, id: UUID) -> StoredContent | None:
        """The stored bytes of an accepted submission."""

    async def renewals(self, facility: str, id: UUID) -> Sequence[Renewal]:
        """Archive time-stamps of a document, oldest first."""

    async def renew(self, renewals: Sequence[Renewal]) -> None:
        """Keeps archive time-stamps, in one transaction. One with a number that is there already is not kept."""

    async def ending(self, before: datetime, after: Ending | None, limit: int) -> Sequence[Ending]:
        """Documents that are in the log and whose protection ends before a time, soonest first."""

    async def release(self, places: Sequence[tuple[str, UUID]]) -> None:
        """Lets the protection of documents, by facility and id, never end: nothing is left of them to protect."""

    async def end_protection(self, renewed_before: datetime, at: datetime, limit: int) -> int:
        """Lets the protection of documents end now that were last renewed before a time, or never; returns how many of
        them it found, at most the limit.
        """


class Store(IntakeStore, DocumentStore, ProofStore, Protocol):
    """The records database."""


class Signing(Protocol):
    """The signing role."""

    async def verify(self, cases: Sequence[Case]) -> Sequence[Verdict]:
        """A verdict per document, in order."""

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """The log index per entry; an entry that is in the log keeps its index."""

    async def proofs(self, indexes: Sequence[int]) -> Sequence[str]:
        """tlog-proofs; empty where no published checkpoint covers the entry yet."""

    async def compromised(self) -> Sequence[Compromise]:
        """The signers' certificates whose keys are reported compromised."""

    async def evidence(self, hashes: Sequence[str]) -> Sequence[EvidencePiece]:
        """Evidence by hash, any number of them, in any order; what is not at hand is left out."""

    async def timestamped_checkpoint(self, leaf_index: int) -> TimestampedCheckpoint | None:
        """The oldest time-stamped checkpoint that covers an entry, with the entry's proof under it; None while there is
        none.
        """

    async def algorithms(self) -> Sequence[AlgorithmRule]:
        """The algorithms of the signature policy in force."""


class TimestampAuthority(Protocol):
    """An RFC 3161 authority outside."""

    async def stamp(self, data: bytes, digest: str) -> ArchiveStamp:
        """A verified time-stamp over the data by that digest. Raises TimestampUnavailable."""


class TimestampUnavailable(Exception):  # the reason is a stable name
    """The authority gave no time-stamp that can be used."""


class PackageFormat(Protocol):
    """The form of evidence packages."""

    def evidence_named(self, contents: PackageContents) -> Sequence[str]:
        """SHA-256 of everything that the verdicts name as their evidence, each once."""
        ...

    def listing(self, contents: PackageContents, number: int, digest: str) -> tuple[bytes, list[bytes]]:
        """The manifest of the evidence record of that number, and the digests of all files that it names."""
        ...

    def build(self, contents: PackageContents) -> bytes:
        """The sealed container. CPU only: run it off the event loop."""
        ...


class Identity(Protocol):
    """The identity role."""

    async def file(self, documents: Sequence[ParsedDocument]) -> Sequence[Filing]:
        """Under whom each document belongs, in order; registers persons."""

    async def active(self, facility: str) -> bool:
        """Whether a facility is registered and takes part."""


class Consent(Protocol):
    """The consent role."""

    async def decide(self, query: Query) -> Decision:
        """Decides for the principal of the call in hand; the ledger entry is durable when this returns."""


class Slips(Protocol):
    """The referrals role."""

    async def hand_over(self, slips: Sequence[tuple[UUID, bytes]]) -> None:
        """Imports papers, each an event id and a payload of `service.slips`."""


class InsurerRefused(Exception):
    """The insurer's portal will not take this file; `code` is its result code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class InsurerUnavailable(Exception):
    """The insurer's portal does not answer, or not as it should."""


class Insurer(Protocol):
    """The insurer's reception portal."""

    async def deliver(self, facility: str, version: str, content: bytes, *, check_in: bool) -> str:
        """Hands over the exact bytes; returns the portal's transaction number. Raises InsurerRefused, InsurerUnavailable."""
