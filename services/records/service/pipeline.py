"""One batch on its way: look up, parse, verify, file, store, answer. Every document gets an answer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from services.chassis.clock import Clock
from services.chassis.errors import DomainError, PeerRefused
from services.records import telemetry
from services.records.errors import DocumentIdReused, DocumentRejected
from services.records.formats.document import DocumentFormat, ParsedDocument
from services.records.model import Accepted, Case, Filing, Incoming, Key, Known, Rejected, Rejection, Verdict
from services.records.ports import Identity, IntakeStore, KeysTaken, NewId, OpenSpan, Signing
from services.records.service.answers import Answers
from services.records.service.gather import Pending
from services.records.service.judging import read_all, refusal

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Batch:
    """`open` are the documents that still need an answer, one per key; `followers` others of the same key."""

    open: dict[Key, Pending] = field(default_factory=dict)
    followers: dict[Key, list[Pending]] = field(default_factory=dict)
    known: dict[Key, Sequence[Known]] = field(default_factory=dict)
    rejected: dict[Key, Rejected] = field(default_factory=dict)

    def documents(self) -> list[Incoming]:
        return [pending.incoming for pending in self.open.values()]

    def settle(self, key: Key, outcome: bytes | BaseException) -> None:
        self.open.pop(key).settle(outcome)


class Pipeline:
    """Processes batches. Several run at once; what two of them both hold is settled in the store."""

    def __init__(  # noqa: PLR0913 - every port by name
        self,
        *,
        store: IntakeStore,
        signing: Signing,
        identity: Identity,
        formats: Mapping[str, DocumentFormat],
        answers: Answers,
        clock: Clock,
        new_id: NewId,
        span: OpenSpan,
        stored: Callable[[], None],
        again: Callable[[Pending], None],
    ) -> None:
        self._store = store
        self._signing = signing
        self._identity = identity
        self._formats = formats
        self._answers = answers
        self._clock = clock
        self._new_id = new_id
        self._span = span
        self._stored = stored
        self._again = again

    async def process(self, pendings: Sequence[Pending]) -> None:
        """Answers every document, whatever happens. A fault of a peer or of the database is the answer to those that had
        none yet; nothing of theirs was written.
        """
        batch = _Batch()
        for pending in pendings:
            leader = batch.open.setdefault(pending.incoming.key, pending)
            if leader is not pending:
                batch.followers.setdefault(pending.incoming.key, []).append(pending)
        leaders = dict(batch.open)
        attributes = {telemetry.ATTRIBUTE_DOCUMENTS: len(pendings)}
        try:
            # A batch serves several calls; it shows in the trace of its first document.
            with self._span(telemetry.SPAN_BATCH, attributes, pendings[0].incoming.trace):
                await self._take_in(batch)
        except Exception as error:  # noqa: BLE001 - the answer to what is open
            for key in list(batch.open):
                batch.settle(key, error)
        except asyncio.CancelledError:
            for pending in pendings:
                pending.answer.cancel()
            raise
        for key, followers in batch.followers.items():
            for follower in followers:
                self._follow(leaders[key], follower)

    def _follow(self, leader: Pending, follower: Pending) -> None:
        """The same bytes share the answer; other bytes under the same id are looked at again, now that it is known what
        became of the first.
        """
        outcome = leader.outcome
        decided = isinstance(outcome, bytes | DocumentRejected | DocumentIdReused)
        if outcome is None or (decided and leader.incoming.sha256 != follower.incoming.sha256):
            self._again(follower)
        else:
            follower.settle(outcome)

    async def _take_in(self, batch: _Batch) -> None:
        with self._span(telemetry.SPAN_LOOKUP):
            batch.known = dict(await self._store.known(batch.documents()))
        self._answer_known(batch, list(batch.open))
        if not batch.open:
            return
        with self._span(telemetry.SPAN_PARSE, {telemetry.ATTRIBUTE_DOCUMENTS: len(batch.open)}):
            parsed = await self._parse(batch)
        with self._span(telemetry.SPAN_VERIFY):
            verdicts = await self._verify(batch, parsed)
        # Filing registers persons, so it waits for the verdict: a forged document must not create anybody.
        with self._span(telemetry.SPAN_FILE):
            accepted = await self._file(batch, parsed, verdicts)
        with self._span(telemetry.SPAN_STORE):
            await self._keep(batch, accepted)

    def _answer_known(self, batch: _Batch, keys: Collection[Key]) -> None:
        for key in keys:
            known = batch.known.get(key, ())
            try:
                first = first_answer(batch.open[key].incoming, known)
            except DocumentIdReused as error:
                batch.settle(key, error)
                continue
            if first is not None:
                batch.settle(key, first)

    async def _parse(self, batch: _Batch) -> dict[Key, ParsedDocument]:
        documents = batch.documents()
        outcomes = await asyncio.to_thread(read_all, documents, self._formats)
        parsed: dict[Key, ParsedDocument] = {}
        for document, outcome in zip(documents, outcomes, strict=True):
            if isinstance(outcome, ParsedDocument):
                parsed[document.key] = outcome
            elif isinstance(outcome, Rejection):
                batch.rejected[document.key] = self._answers.refusal(document, outcome, None, None)
            else:
                batch.settle(document.key, outcome)
        return parsed

    async def _verify(self, batch: _Batch, parsed: Mapping[Key, ParsedDocument]) -> dict[Key, Verdict]:
        cases = [Case(batch.open[key].incoming, read) for key, read in parsed.items()]
        verdicts: dict[Key, Verdict] = {}
        for case, verdict in zip(cases, await each(self._signing.verify, cases), strict=True):
            document = case.incoming
            if isinstance(verdict, DomainError):
                batch.settle(document.key, verdict)
                continue
            rejection = refusal(document, verdict)
            if rejection is None:
                verdicts[document.key] = verdict
            else:
                refused = self._answers.refusal(document, rejection, parsed[document.key], verdict)
                batch.rejected[document.key] = refused
        return verdicts

    async def _file(
        self, batch: _Batch, parsed: Mapping[Key, ParsedDocument], verdicts: Mapping[Key, Verdict]
    ) -> list[Accepted]:
        keys, verified_at = list(verdicts), self._clock()
        filings = await each(self._identity.file, [parsed[key] for key in keys])
        accepted = []
        for key, filing in zip(keys, filings, strict=True):
            if isinstance(filing, Filing):
                incoming = batch.open[key].incoming
                accepted.append(Accepted(self._new_id(), incoming, parsed[key], verdicts[key], filing, verified_at))
            else:
                batch.settle(key, filing)
        return accepted

    async def _keep(self, batch: _Batch, accepted: list[Accepted]) -> None:
        again = {key: _refused_before(one, batch.known.get(key, ())) for key, one in batch.rejected.items()}
        fresh = [one for key, one in batch.rejected.items() if again[key] is None]
        while accepted or fresh:
            try:
                finished = await self._store.store(accepted, fresh, self._answers.finish)
            except KeysTaken as taken:
                # Another batch stored them since our look-up: they get its answer, the others another try.
                contested = [batch.open[key].incoming for key in taken.keys]
                batch.known.update(await self._store.known(contested))
                self._answer_known(batch, list(taken.keys))
                accepted = [one for one in accepted if one.incoming.key in batch.open]
                continue
            for document, done in zip(accepted, finished, strict=True):
                batch.settle(document.incoming.key, done.answer)
            if accepted:
                self._stored()
            break
        for key, one in batch.rejected.items():
            why, before = one.rejection, again[key]
            name = f"submissions/{one.id if before is None else before.id}"
            batch.settle(key, DocumentRejected(why.reason, why.field, why.description, name))


def first_answer(document: Incoming, known: Sequence[Known]) -> bytes | None:
    """The answer that was given to these bytes under this id, if they were accepted. Raises DocumentIdReused."""
    for one in known:
        if not one.rejection:
            if one.sha256 != document.sha256:
                raise DocumentIdReused(one.sha256, document.sha256)
            return one.answer
    return None


def _refused_before(rejected: Rejected, known: Sequence[Known]) -> Known | None:
    """The same bytes refused for the same reason: one piece of evidence is enough."""
    return next((one for one in known if one.rejection == rejected.rejection.reason), None)


async def each(
    call: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], items: Sequence[Item]
) -> list[Result | DomainError]:
    """One call for all. When the peer refuses the batch it is halved until the item it means stands alone."""
    if not items:
        return []
    try:
        return list(await call(items))
    except PeerRefused as error:
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return [*await each(call, items[:middle]), *await each(call, items[middle:])]
