"""Micro-batches: bounds, turns between facilities, and the share of what is in flight."""

from __future__ import annotations

import asyncio

import pytest

from services.records.errors import IntakeBusy
from services.records.service.admission import Admission, Share
from services.records.service.gather import Gatherer, Limits, Pending
from tests.fakes.records_samples import incoming


def pending(facility: str, number: int, size: int = 1) -> Pending:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    return Pending(incoming(b"x" * size, f"d{number}", facility), answer)


async def batches(limits: Limits, *waiting: Pending) -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []

    async def process(batch: list[Pending]) -> None:
        found.append([(one.incoming.facility, one.incoming.document_id) for one in batch])
        for one in batch:
            one.settle(b"answer")

    gatherer = Gatherer(process, limits)
    for one in waiting:
        gatherer.put(one)
    task = asyncio.create_task(gatherer.run())
    await asyncio.gather(*(one.answer for one in waiting))
    task.cancel()
    return found


async def test_facilities_take_turns() -> None:
    waiting = [pending("A", n) for n in range(5)] + [pending("B", 0), pending("C", 0)]
    first, *_ = await batches(Limits(documents=4, seconds=0), *waiting)
    assert first == [("A", "d0"), ("B", "d0"), ("C", "d0"), ("A", "d1")]


async def test_a_batch_is_bounded_by_bytes_and_a_large_document_goes_alone() -> None:
    waiting = [pending("A", 0, 6), pending("A", 1, 6), pending("A", 2, 50), pending("A", 3, 1)]
    found = await batches(Limits(documents=10, bytes=10, seconds=0), *waiting)
    assert [len(batch) for batch in found] == [1, 1, 1, 1]


async def test_a_batch_waits_only_as_long_as_it_may() -> None:
    found = await batches(Limits(documents=100, seconds=0.02), *(pending("A", n) for n in range(3)))
    assert [len(batch) for batch in found] == [3]


async def test_only_so_many_batches_are_in_hand() -> None:
    running = most = 0

    async def process(batch: list[Pending]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        for one in batch:
            one.settle(b"answer")

    gatherer = Gatherer(process, Limits(documents=1, seconds=0, batches=2))
    waiting = [pending("A", n) for n in range(6)]
    for one in waiting:
        gatherer.put(one)
    task = asyncio.create_task(gatherer.run())
    await asyncio.gather(*(one.answer for one in waiting))
    task.cancel()
    assert most == 2


async def test_an_answer_is_settled_once() -> None:
    told: list[BaseException | None] = []
    one = pending("A", 0)
    one.settled = told.append
    one.settle(b"first")
    one.settle(ValueError())
    assert await one.answer == b"first"
    assert told == [None]


def test_admission_counts_documents_and_bytes() -> None:
    admission = Admission(Share(2, 100), Share(3, 150))
    admission.enter("A", 1, 60)
    with pytest.raises(IntakeBusy):
        admission.enter("A", 1, 41)
    admission.enter("B", 1, 90)
    with pytest.raises(IntakeBusy):
        admission.enter("C", 1, 1)
    admission.leave("B", 1, 90)
    admission.enter("C", 1, 1)
    assert admission.documents == 2
    admission.leave("A", 1, 60)
    admission.leave("C", 1, 1)
    assert admission.documents == 0
