"""Taking documents in: admission, micro-batches, and the dry run. What was answered is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from services.chassis.clock import Clock
from services.records.formats.document import DocumentFormat
from services.records.model import Case, Incoming, Rejection, Submission
from services.records.ports import Identity, IntakeStore, NewId, OpenSpan, Signing
from services.records.service.admission import Admission
from services.records.service.answers import Answers
from services.records.service.facilities import Facilities
from services.records.service.gather import Gatherer, Limits, Pending
from services.records.service.judging import read_all, refusal
from services.records.service.pipeline import Pipeline, first_answer

ACCEPTED = "ACCEPTED"


class IntakeService:
    """Takes documents in, in batches over all calls. `run` is its background loop; without it nothing is answered."""

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
        admission: Admission,
        limits: Limits,
        observe: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._signing = signing
        self._formats = formats
        self._answers = answers
        self._admission = admission
        self._observe = observe
        self._facilities = Facilities(identity, clock)
        self._stored_calls: list[Callable[[], None]] = []
        self._pipeline = Pipeline(
            store=store,
            signing=signing,
            identity=identity,
            formats=formats,
            answers=answers,
            clock=clock,
            new_id=new_id,
            span=span,
            stored=self._stored,
            again=self._again,
        )
        self._gatherer = Gatherer(self._pipeline.process, limits)

    def on_stored(self, call: Callable[[], None]) -> None:
        """Calls this after each commit, so that a relay looks at once."""
        self._stored_calls.append(call)

    async def run(self) -> None:
        """Processes batches for ever."""
        await self._gatherer.run()

    async def submit(self, facility: str, documents: Sequence[Incoming]) -> list[asyncio.Future[bytes]]:
        """Takes documents of one facility in; each future holds the document's first answer, serialised, or its error.
        Raises FacilityNotActive, IntakeBusy or Unavailable for all of them.
        """
        await self._facilities.require_active(facility)
        self._admission.enter(facility, len(documents), sum(document.size for document in documents))
        loop = asyncio.get_running_loop()
        answers = []
        for document in documents:
            pending = Pending(document, loop.create_future(), self._leave(facility, document.size))
            answers.append(pending.answer)
            self._gatherer.put(pending)
        return answers

    async def validate(self, document: Incoming) -> Submission:
        """Runs every check and stores nothing. Raises DocumentIdReused, FacilityNotActive, IntakeBusy, Unavailable."""
        await self._facilities.require_active(document.facility)
        self._admission.enter(document.facility, 1, document.size)
        try:
            first_answer(document, (await self._store.known([document])).get(document.key, ()))
            (outcome,) = await asyncio.to_thread(read_all, [document], self._formats)
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, Rejection):
                return self._answers.refusal(document, outcome, None, None).submission
            (verdict,) = await self._signing.verify([Case(document, outcome)])
            rejection = refusal(document, verdict)
            if rejection is not None:
                return self._answers.refusal(document, rejection, outcome, verdict).submission
            return self._answers.dry_run(document, outcome, verdict)
        finally:
            self._admission.leave(document.facility, 1, document.size)

    def _leave(self, facility: str, size: int) -> Callable[[BaseException | None], None]:
        def leave(error: BaseException | None) -> None:
            self._admission.leave(facility, 1, size)
            self._observe(ACCEPTED if error is None else str(getattr(error, "reason", "INTERNAL")))

        return leave

    def _again(self, pending: Pending) -> None:
        self._gatherer.put(pending)

    def _stored(self) -> None:
        for call in self._stored_calls:
            call()
