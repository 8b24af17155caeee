"""The intake with scripted peers, the store in memory and a frozen clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

import pytest
from lienthong.records.v1 import submission_pb2

from services.chassis.clock import FrozenClock
from services.chassis.identifiers import uuid7
from services.records.convert.intake import answer_message
from services.records.formats.xml130 import Xml130Format
from services.records.model import Incoming
from services.records.service import IntakeService
from services.records.service.admission import Admission, Share
from services.records.service.gather import Limits
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_ports import FakeIdentity, FakeSigning
from tests.fakes.records_samples import NOW, answers

ROOMY, USUAL = Share(1000, 10**8), Limits()


def no_span(*_: object, **__: object) -> nullcontext[None]:
    return nullcontext()


@dataclass
class Intake:
    """An intake that runs, with everything around it."""

    store: MemoryStore
    signing: FakeSigning = field(default_factory=FakeSigning)
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(NOW))
    share: Share = ROOMY
    total: Share = ROOMY
    limits: Limits = USUAL
    outcomes: list[str] = field(default_factory=list)
    commits: int = 0

    def __post_init__(self) -> None:
        self.service = IntakeService(
            store=self.store,
            signing=self.signing,
            identity=self.identity,
            formats={"XML130": Xml130Format()},
            answers=answers(self.clock),
            clock=self.clock,
            new_id=uuid7,
            span=no_span,
            admission=Admission(self.share, self.total),
            limits=self.limits,
            observe=self.outcomes.append,
        )
        self.service.on_stored(self._committed)

    def _committed(self) -> None:
        self.commits += 1

    async def submit(self, *documents: Incoming) -> list[submission_pb2.Submission | BaseException]:
        """The answers in order, errors included."""
        futures = await self.service.submit(documents[0].facility, documents)
        outcomes = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 10)
        return [one if isinstance(one, BaseException) else answer_message(one) for one in outcomes]

    async def accept(self, document: Incoming) -> submission_pb2.Submission:
        """The answer to a document that is accepted."""
        (answer,) = await self.submit(document)
        assert isinstance(answer, submission_pb2.Submission), answer
        return answer


StartIntake = Callable[[Intake], Awaitable[Intake]]


@pytest.fixture
async def start_intake() -> AsyncIterator[StartIntake]:
    tasks: list[asyncio.Task[None]] = []

    async def start(intake: Intake) -> Intake:
        tasks.append(asyncio.create_task(intake.service.run()))
        return intake

    yield start
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def intake(start_intake: StartIntake) -> Intake:
    return await start_intake(Intake(MemoryStore()))
