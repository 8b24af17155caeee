"""Judging batches of documents: facts and verdicts in one job of a worker thread, revocation asked for once where it is open."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.signing.formats import Finding, Place, SignatureFacts, places, verify
from services.signing.model import SignedDocument, Verdict
from services.signing.policy import SignaturePolicy
from services.signing.ports import TrustStore
from services.signing.service.evidence import EvidenceService
from services.signing.service.verification.blocks import JudgedSignature, SignatureJudge
from services.signing.service.verification.requirements import document_verdict
from services.signing.service.verification.sources import RevocationService
from services.signing.service.verification.trust import Trust

LARGEST_BATCH = 200


@dataclass(frozen=True)
class _Found:
    """A signature of a document with its facts, or with the finding that it does not hold."""

    place: Place
    facts: SignatureFacts | Finding


class VerificationService:
    """Judges batches. The trust list is held parsed and read anew whenever its version has moved, so a suspension holds at once."""

    def __init__(
        self,
        store: TrustStore,
        evidence: EvidenceService,
        revocation: RevocationService,
        policy: SignaturePolicy,
        clock: Clock,
    ) -> None:
        self._store = store
        self._evidence = evidence
        self._revocation = revocation
        self._policy = policy
        self._clock = clock
        self._judge = SignatureJudge(policy)
        self._trust: Trust | None = None

    async def judge(self, documents: Sequence[SignedDocument]) -> Sequence[Verdict]:
        """A verdict per document, 1 to 200, with its evidence kept."""
        verdicts, judged = await self._judged(documents)
        await self._evidence.keep([one for signature in judged for one in signature.evidence])
        return verdicts

    async def validate(self, document: SignedDocument) -> Verdict:
        """The verdict on a file that someone holds; nothing is kept."""
        verdicts, _ = await self._judged([document])
        return verdicts[0]

    async def _judged(self, documents: Sequence[SignedDocument]) -> tuple[Sequence[Verdict], Sequence[JudgedSignature]]:
        if not 1 <= len(documents) <= LARGEST_BATCH:
            raise InvalidArgument.of(
                FieldViolation("documents", f"1 to {LARGEST_BATCH} documents", "COUNT_OUT_OF_RANGE")
            )
        trust = await self._current()
        found, verdicts, judged = await asyncio.to_thread(self._batch, documents, trust)
        questions = [question for signature in judged for question in signature.questions]
        if questions and await self._revocation.settle(questions, trust):
            verdicts, judged = await asyncio.to_thread(self._verdicts, documents, found, await self._current())
        return verdicts, judged

    async def _current(self) -> Trust:
        version = await self._store.version()
        if self._trust is None or self._trust.snapshot.version != version:
            before = self._trust.snapshot if self._trust else None
            self._trust = Trust.of(await self._store.snapshot(before), self._trust)
        return self._trust

    def _batch(
        self, documents: Sequence[SignedDocument], trust: Trust
    ) -> tuple[Sequence[Sequence[_Found]], Sequence[Verdict], Sequence[JudgedSignature]]:
        found = [_facts(document, trust.registered) for document in documents]
        return found, *self._verdicts(documents, found, trust)

    def _verdicts(
        self, documents: Sequence[SignedDocument], found: Sequence[Sequence[_Found]], trust: Trust
    ) -> tuple[Sequence[Verdict], Sequence[JudgedSignature]]:
        now = self._clock()
        verdicts, all_judged = [], []
        for document, signatures in zip(documents, found, strict=True):
            judged = [self._judge.judge(document, one.place, one.facts, trust, now) for one in signatures]
            version = trust.snapshot.version
            verdicts.append(document_verdict(document, [one.verdict for one in judged], self._policy, version))
            all_judged += judged
        return verdicts, all_judged


def _facts(document: SignedDocument, registered: Mapping[str, bytes]) -> Sequence[_Found]:
    """Every signature of a document; one finding when there is none, or too many."""
    try:
        wanted = places(document)
    except Finding as finding:
        return [_Found(None, finding)]
    return [_Found(place, _verified(document, place, registered)) for place in wanted]


def _verified(document: SignedDocument, place: Place, registered: Mapping[str, bytes]) -> SignatureFacts | Finding:
    try:
        return verify(document, place, registered)
    except Finding as finding:
        return finding
