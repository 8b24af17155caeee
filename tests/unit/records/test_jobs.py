"""What is told onward: every relay may fail, repeat, and meet what it cannot deliver."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from uuid import UUID

import pytest

from services.chassis.clock import FrozenClock
from services.chassis.errors import PeerRefused, PeerUnavailable
from services.chassis.identifiers import uuid7
from services.chassis.outbox import DONE, Dead, Message, Retry
from services.records.jobs import InsurerRelay, LogRelay, ProofJob, SlipRelay
from services.records.model import Accepted, Event, SubmissionState, Topic
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_ports import FakeInsurer, FakeSigning, FakeSlips
from tests.fakes.records_samples import FACILITY, NOW, accepted, answers, episode
from tests.unit.records.conftest import no_span


async def plain(_: UUID, payload: bytes) -> bytes:
    return payload


def messages(events: Sequence[Event], topic: Topic) -> list[Message]:
    return [Message(one.id, one.topic.value, "aggregate", one.payload) for one in events if one.topic is topic]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def keep(store: MemoryStore, *documents: Accepted) -> None:
    await store.store(documents, [], answers().finish)


async def test_entries_get_a_place_and_then_a_proof(store: MemoryStore) -> None:
    one, two = accepted(episode(1), "a"), accepted(episode(2), "b")
    await keep(store, one, two)
    signing, clock = FakeSigning(covered=1), FrozenClock(NOW)
    relay = LogRelay(store, signing, plain, no_span)
    assert list(await relay.deliver(messages(store.events, Topic.LOG))) == [DONE, DONE]
    # Delivered twice, logged once.
    await relay.deliver(messages(store.events, Topic.LOG))
    assert len(signing.log) == 2
    job = ProofJob(store, signing, clock, relay.placed)
    assert await job.once() == (2, 1)
    signing.covered = 2
    assert await job.once() == (1, 1)
    assert await job.once() == (0, 0)
    record = await store.submission(FACILITY, two.id)
    assert record is not None
    assert (record.state, record.tlog_proof) == (SubmissionState.LOGGED, "proof of 1")


async def test_the_proof_job_wakes_when_something_was_placed(store: MemoryStore) -> None:
    one = accepted(episode(1))
    await keep(store, one)
    signing = FakeSigning()
    relay = LogRelay(store, signing, plain, no_span)
    job = asyncio.create_task(ProofJob(store, signing, FrozenClock(NOW), relay.placed).run())
    await asyncio.sleep(0.05)
    await relay.deliver(messages(store.events, Topic.LOG))
    for _ in range(100):
        await asyncio.sleep(0.01)
        record = await store.submission(FACILITY, one.id)
        if record is not None and record.tlog_proof:
            break
    job.cancel()
    assert record is not None
    assert record.state is SubmissionState.LOGGED


async def test_a_log_that_is_down_is_the_relays_business(store: MemoryStore) -> None:
    await keep(store, accepted(episode(1)))
    relay = LogRelay(store, FakeSigning(fault=PeerUnavailable("signing")), plain, no_span)
    with pytest.raises(PeerUnavailable):
        await relay.deliver(messages(store.events, Topic.LOG))


async def test_papers_reach_the_referrals_role(store: MemoryStore) -> None:
    one = accepted(episode(5, referral_to="79001", follow_up=True))
    await keep(store, one)
    slips = FakeSlips()
    sent = messages(store.events, Topic.SLIPS)
    assert list(await SlipRelay(slips, plain, no_span).deliver(sent)) == [DONE, DONE]
    assert slips.papers.keys() == {message.id for message in sent}
    referral, follow_up = slips.papers.values()
    assert referral.paper == one.parsed.referral
    assert follow_up.paper == one.parsed.follow_up
    assert (referral.document, referral.person, referral.facility) == (one.id, one.filing.person, FACILITY)


async def test_a_paper_that_is_refused_dies_alone(store: MemoryStore) -> None:
    await keep(store, accepted(episode(5, referral_to="79001", follow_up=True)))
    sent = messages(store.events, Topic.SLIPS)
    slips = FakeSlips(fault=PeerRefused("referrals", "FIELD_INVALID"), refused={sent[0].id})
    assert list(await SlipRelay(slips, plain, no_span).deliver(sent)) == [Dead("FIELD_INVALID"), DONE]


async def test_the_insurer_gets_the_exact_bytes_and_its_number_is_kept(store: MemoryStore) -> None:
    one = accepted(episode(1))
    await keep(store, one)
    insurer, clock = FakeInsurer(), FrozenClock(NOW)
    relay = InsurerRelay(store, insurer, plain, clock, no_span)
    sent = messages(store.events, Topic.INSURER)
    assert len(sent) == 1
    assert list(await relay.deliver(sent)) == [DONE]
    digest = hashlib.sha256(one.incoming.content).hexdigest()
    assert insurer.got == [(FACILITY, one.parsed.version, digest, False)]
    record = await store.submission(FACILITY, one.id)
    assert record is not None
    assert record.state is SubmissionState.ACKNOWLEDGED
    assert [(change.state, change.destination, change.reason) for change in record.changes] == [
        (SubmissionState.DELIVERED, "insurer", "GD-1"),
        (SubmissionState.ACKNOWLEDGED, "insurer", "GD-1"),
    ]


async def test_an_insurer_that_is_down_or_refuses(store: MemoryStore) -> None:
    await keep(store, accepted(episode(1)))
    relay = InsurerRelay(store, FakeInsurer(down=True), plain, FrozenClock(NOW), no_span)
    sent = messages(store.events, Topic.INSURER)
    assert list(await relay.deliver(sent)) == [Retry("INSURER_UNAVAILABLE HTTP_503")]
    relay = InsurerRelay(store, FakeInsurer(refuses="205"), plain, FrozenClock(NOW), no_span)
    assert list(await relay.deliver(sent)) == [Dead("INSURER_REFUSED 205")]
    gone = Message(uuid7(), "insurer", "a", sent[0].payload)
    relay = InsurerRelay(MemoryStore(), FakeInsurer(), plain, FrozenClock(NOW), no_span)
    assert list(await relay.deliver([gone])) == [Dead("DOCUMENT_GONE")]


async def test_a_held_document_goes_to_the_log_and_nowhere_else(store: MemoryStore) -> None:
    await keep(store, accepted(episode(5, referral_to="79001", follow_up=True), held=True))
    assert [event.topic for event in store.events] == [Topic.LOG]


async def test_without_a_portal_nothing_is_kept_for_one(store: MemoryStore) -> None:
    await store.store([accepted(episode(1))], [], answers(to_insurer=False).finish)
    assert messages(store.events, Topic.INSURER) == []
