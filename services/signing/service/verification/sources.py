"""Fetching revocation evidence from the addresses registered with the authorities: lists by a job, OCSP answers by a job
and on demand. Nothing is ever fetched from an address in a certificate or a submission.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from services.chassis.clock import Clock
from services.chassis.errors import DomainError
from services.signing import certificates
from services.signing.model import AnsweredRevocation, Authority, Evidence, EvidenceKind, SignerState, TrustSnapshot
from services.signing.ocsp import LARGEST_ANSWER, OcspRefused, Question, read_answer
from services.signing.policy import SignaturePolicy
from services.signing.ports import Fetcher, FetchFailed, TrustStore
from services.signing.service.trust import LARGEST_LIST, TrustService
from services.signing.service.verification.blocks import OpenQuestion
from services.signing.service.verification.trust import Trust

ON_DEMAND = timedelta(seconds=2)
"""How long a batch waits for answers, however many certificates it asks for."""
PAUSE = timedelta(seconds=30)
"""How long a certificate is not asked for again after a question on demand."""
_AT_ONCE = 8
_MOST_QUESTIONS = 32
_KNOWN = 16_384
_NONCE = 16
_CHUNK = 200
_REQUEST = "application/ocsp-request"


@dataclass(frozen=True)
class Fetched:
    """What a round of fetching brought: how many were new, and how many failed."""

    kept: int
    failed: int


class RevocationService:
    """Asks registered responders and list addresses."""

    def __init__(
        self,
        store: TrustStore,
        trust: TrustService,
        fetcher: Fetcher,
        policy: SignaturePolicy,
        clock: Clock,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`refused` is told the reason of every answer of a responder that did not come or proves nothing."""
        self._store = store
        self._trust = trust
        self._fetcher = fetcher
        self._policy = policy
        self._clock = clock
        self._refused = refused
        self._asked: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def settle(self, questions: Sequence[OpenQuestion], trust: Trust) -> bool:
        """Asks for certificates whose state is open, each once, in parallel and for two seconds at most. Whether any was answered."""
        wanted: dict[tuple[str, str], tuple[OpenQuestion, str]] = {}
        now = self._clock()
        for question in questions:
            key = (question.issuer_fingerprint, certificates.serial(question.certificate))
            authority = trust.authorities.get(question.issuer_fingerprint)
            asked = self._asked.get(key)
            if authority is None or not authority.ocsp_uri or (asked is not None and now - asked < PAUSE):
                continue
            wanted.setdefault(key, (question, authority.ocsp_uri))
        chosen = list(wanted.items())[:_MOST_QUESTIONS]
        for key, _ in chosen:
            self._remember(key, now)
        if not chosen:
            return False
        tasks = [
            asyncio.ensure_future(self._ask(Question(one.certificate, one.issuer), key, uri))
            for key, (one, uri) in chosen
        ]
        done, late = await asyncio.wait(tasks, timeout=ON_DEMAND.total_seconds())
        for task in late:
            task.cancel()
        answers = [answer for answer in (task.result() for task in done) if answer is not None]
        if answers:
            # Not how many were kept: the job may have been first with an answer of the same second.
            await self._store.keep_answers(answers)
        return bool(answers)

    async def refresh_answers(self, older_than: timedelta) -> Fetched:
        """Asks anew for every active signer and authority whose issuer has a responder and whose answer is older than that."""
        snapshot = await self._store.snapshot()
        wanted = await asyncio.to_thread(self._outdated, snapshot, older_than)
        kept = failed = 0
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            answers = await asyncio.gather(*(self._ask(question, key, uri) for key, question, uri in chunk))
            good = [answer for answer in answers if answer is not None]
            kept += await self._store.keep_answers(good) if good else 0
            failed += len(answers) - len(good)
        return Fetched(kept, failed)

    def _outdated(
        self, snapshot: TrustSnapshot, older_than: timedelta
    ) -> Sequence[tuple[tuple[str, str], Question, str]]:
        """Who is to be asked for, with the key of the answer and the address of the responder."""
        now, issuers = self._clock(), _Issuers(snapshot.authorities)
        subjects = [one.certificate for one in snapshot.signers.values() if one.state is SignerState.ACTIVE]
        wanted = []
        for der in [*subjects, *(one.certificate for one in snapshot.authorities)]:
            certificate = certificates.load(der)
            issuer = issuers.of(certificate)
            if issuer is None or certificate.not_valid_after_utc < now:
                continue
            key = (issuer[0].fingerprint, certificates.serial(certificate))
            known = snapshot.answers.get(key)
            if known is None or now - known.this_update > older_than:
                wanted.append((key, Question(certificate, issuer[1]), issuer[0].ocsp_uri))
        return wanted

    async def refresh_lists(self) -> Fetched:
        """Fetches the list of every authority that has an address. A list with the number at hand is no failure."""
        snapshot = await self._store.snapshot()
        kept = failed = 0
        for authority in snapshot.authorities:
            if not authority.revocation_list_uri:
                continue
            try:
                async with self._slots:
                    content = await self._fetcher.get(authority.revocation_list_uri, LARGEST_LIST)
                if await self._trust.refresh_revocations(content):
                    kept += 1
            except (FetchFailed, DomainError):
                failed += 1
        return Fetched(kept, failed)

    async def _ask(self, question: Question, key: tuple[str, str], uri: str) -> AnsweredRevocation | None:
        """One question; None when nobody answers, or the answer proves nothing."""
        asked = replace(question, nonce=os.urandom(_NONCE))
        try:
            async with self._slots:
                content = await self._fetcher.post(uri, asked.encode(), _REQUEST, LARGEST_ANSWER)
            status = read_answer(content, asked, self._clock(), self._policy.ocsp_validity)
        except (FetchFailed, OcspRefused) as error:
            self._refused(error.reason)
            return None
        evidence = Evidence.of(EvidenceKind.OCSP_RESPONSE, content)
        return AnsweredRevocation(*key, replace(status, sha256=evidence.sha256), evidence)

    def _remember(self, key: tuple[str, str], now: datetime) -> None:
        self._asked[key] = now
        self._asked.move_to_end(key)
        while len(self._asked) > _KNOWN:
            self._asked.popitem(last=False)


class _Issuers:
    """The registered authorities that have a responder, by name: their signature is checked only where the name fits."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        self._by_name: dict[bytes, list[tuple[Authority, x509.Certificate]]] = {}
        for authority in authorities:
            if authority.ocsp_uri:
                certificate = certificates.load(authority.certificate)
                self._by_name.setdefault(certificate.subject.public_bytes(), []).append((authority, certificate))

    def of(self, certificate: x509.Certificate) -> tuple[Authority, x509.Certificate] | None:
        """Who issued a certificate."""
        for authority, candidate in self._by_name.get(certificate.issuer.public_bytes(), ()):
            if candidate != certificate and certificates.issued_by(certificate, candidate):
                return authority, candidate
        return None
