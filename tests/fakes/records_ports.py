"""The other roles and the insurer as the records role sees them, scripted."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from lienthong.signing.v1 import verdict_pb2

from services.chassis.errors import DomainError
from services.records.formats.document import IdentifierType, ParsedDocument
from services.records.model import Case, Decision, Filing, Permission, Query, Span, Verdict, WithheldKind
from services.records.ports import InsurerRefused, InsurerUnavailable
from services.records.proof import AlgorithmRule, Compromise, EvidencePiece, TimestampedCheckpoint
from services.records.sensitivity import EVERY_CLASS
from services.records.service.slips import Slip, slip_from_json

CERTIFICATE = "ab" * 32
GOOD = verdict_pb2.Verdict(indication=verdict_pb2.INDICATION_TOTAL_PASSED, acceptable=True)
BAD = verdict_pb2.Verdict(
    indication=verdict_pb2.INDICATION_TOTAL_FAILED,
    sub_indication=verdict_pb2.SUB_INDICATION_HASH_FAILURE,
    reason="DIGEST_MISMATCH",
)


RULES = (
    *(AlgorithmRule(name, 0, None) for name in ("sha256", "sha384", "sha512")),
    *(AlgorithmRule(f"ecdsa-p256-{name}", 0, None) for name in ("sha256", "sha512")),
)


def verdict(*, good: bool = True) -> Verdict:
    if good:
        return Verdict("TOTAL_PASSED", "", "", True, CERTIFICATE, GOOD.SerializeToString())
    return Verdict("TOTAL_FAILED", "HASH_FAILURE", "DIGEST_MISMATCH", False, "", BAD.SerializeToString())


@dataclass
class FakeSigning:
    """Accepts all but `forged`, with the verdict of `verdicts` where the document id has one; keeps a log of which the first
    `covered` entries have proofs.
    """

    forged: set[str] = field(default_factory=set)
    fault: DomainError | None = None
    faulty: set[str] = field(default_factory=set)
    log: list[bytes] = field(default_factory=list)
    covered: int = 10**9
    batches: list[int] = field(default_factory=list)
    gate: asyncio.Event | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    compromises: list[Compromise] = field(default_factory=list)
    pieces: dict[str, EvidencePiece] = field(default_factory=dict)
    checkpoint: TimestampedCheckpoint | None = None
    rules: tuple[AlgorithmRule, ...] = RULES

    async def verify(self, cases: Sequence[Case]) -> Sequence[Verdict]:
        documents = [case.incoming for case in cases]
        if self.gate is not None:
            await self.gate.wait()
        self.batches.append(len(documents))
        if self.fault is not None and (not self.faulty or any(one.document_id in self.faulty for one in documents)):
            raise self.fault
        self.cases += cases
        return [self.verdicts.get(one.document_id) or verdict(good=one.sha256 not in self.forged) for one in documents]

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        if self.fault is not None:
            raise self.fault
        for entry in entries:
            if entry not in self.log:
                self.log.append(entry)
        return [self.log.index(entry) for entry in entries]

    async def proofs(self, indexes: Sequence[int]) -> Sequence[str]:
        return [f"proof of {index}" if index < self.covered else "" for index in indexes]

    async def compromised(self) -> Sequence[Compromise]:
        if self.fault is not None:
            raise self.fault
        return list(self.compromises)

    async def evidence(self, hashes: Sequence[str]) -> Sequence[EvidencePiece]:
        return [self.pieces[one] for one in hashes if one in self.pieces]

    async def timestamped_checkpoint(self, leaf_index: int) -> TimestampedCheckpoint | None:
        return self.checkpoint

    async def algorithms(self) -> Sequence[AlgorithmRule]:
        return self.rules


@dataclass
class FakeIdentity:
    """Persons by citizen number; without one a provisional person, whose documents are held."""

    inactive: set[str] = field(default_factory=set)
    fault: DomainError | None = None
    persons: dict[str, UUID] = field(default_factory=dict)
    filed: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    async def file(self, documents: Sequence[ParsedDocument]) -> Sequence[Filing]:
        if self.fault is not None:
            raise self.fault
        self.filed += len(documents)
        return [self._file(document) for document in documents]

    def _file(self, document: ParsedDocument) -> Filing:
        numbers = {one.type: one.value for one in document.patient.identifiers}
        citizen = numbers.get(IdentifierType.CITIZEN_ID)
        key = citizen or f"{document.facility}/{numbers.get(IdentifierType.LOCAL_MRN, document.episode_key)}"
        return Filing(self.persons.setdefault(key, uuid4()), held=citizen is None)

    async def active(self, facility: str) -> bool:
        self.asked[facility] += 1
        if self.fault is not None:
            raise self.fault
        return facility not in self.inactive


@dataclass
class FakeConsent:
    """Answers every query with the same permissions, and remembers what it was asked."""

    permissions: tuple[Permission, ...] = ()
    fault: DomainError | None = None
    queries: list[Query] = field(default_factory=list)
    own: bool = False

    async def decide(self, query: Query) -> Decision:
        if self.fault is not None:
            raise self.fault
        self.queries.append(query)
        number = len(self.queries)
        permissions = tuple(
            replace(one, kinds=one.kinds & query.kinds) for one in self.permissions if one.kinds & query.kinds
        )
        if self.own and query.resources and set(query.resources) <= set(query.own_documents):
            permissions = (Permission(query.kinds, Span(), EVERY_CLASS),)
        covered = frozenset(kind for one in permissions for kind in one.kinds)
        return Decision(
            name=f"decisions/{number}",
            access=f"accesses/{number}",
            permissions=permissions,
            withheld=tuple(WithheldKind(kind, "KIND_NOT_PERMITTED") for kind in query.kinds - covered),
            would_change=("OBTAIN_CONSENT",) if query.kinds - covered else (),
        )


@dataclass
class FakeSlips:
    """Keeps papers; refuses those whose event is named."""

    fault: DomainError | None = None
    refused: set[UUID] = field(default_factory=set)
    papers: dict[UUID, Slip] = field(default_factory=dict)

    async def hand_over(self, slips: Sequence[tuple[UUID, bytes]]) -> None:
        if self.fault is not None and (not self.refused or any(event in self.refused for event, _ in slips)):
            raise self.fault
        self.papers.update({event: slip_from_json(payload) for event, payload in slips})


@dataclass
class FakeInsurer:
    """Keeps hashes of what it got."""

    down: bool = False
    refuses: str = ""
    got: list[tuple[str, str, str, bool]] = field(default_factory=list)

    async def deliver(self, facility: str, version: str, content: bytes, *, check_in: bool) -> str:
        if self.down:
            raise InsurerUnavailable("HTTP_503")
        if self.refuses:
            raise InsurerRefused(self.refuses)
        self.got.append((facility, version, hashlib.sha256(content).hexdigest(), check_in))
        return f"GD-{len(self.got)}"
