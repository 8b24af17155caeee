"""Messages leave with their transaction, arrive at least once, and in order per aggregate, whatever happens."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.local.postgres import PostgresServer
from services.chassis.clock import FrozenClock
from services.chassis.database import Database
from services.chassis.errors import DatabaseUnavailable, PeerUnavailable
from services.chassis.identifiers import uuid7
from services.chassis.outbox import DONE, Dead, Message, Outcome, Relay, Retry, enqueue
from services.chassis.settings import DatabaseSettings
from services.chassis.telemetry import traceparent

TOPIC = "letters"
LEASE = timedelta(seconds=30)
Answer = Callable[[Message], Outcome]


class PowerCut(BaseException):
    """What a process that ends looks like from inside: nobody handles it."""


class Receiver:
    """Keeps what arrives. `answers` says what becomes of a message; `work` is done before."""

    def __init__(self, answer: Answer = lambda _: DONE) -> None:
        self.answer = answer
        self.arrived: list[Message] = []
        self.work: Callable[[], Awaitable[None]] | None = None

    async def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        self.arrived += messages
        if self.work is not None:
            await self.work()
        return [self.answer(message) for message in messages]

    @property
    def payloads(self) -> list[str]:
        return [message.payload.decode() for message in self.arrived]


def letter(aggregate: str, payload: str, topic: str = TOPIC) -> Message:
    return Message(uuid7(), topic, aggregate, payload.encode())


async def put(database: Database, *letters: Message) -> None:
    await database.write(lambda connection: enqueue(connection, letters))


async def drain(relay: Relay, rounds: int = 50) -> None:
    for _ in range(rounds):
        if await relay.once() == 0:
            return
    raise AssertionError("it never ends")


async def left(database: Database) -> tuple[int, int, int]:
    """Rows of messages, aggregates and dead letters."""

    async def work(connection: AsyncConnection) -> tuple[int, int, int]:
        tables = ("outbox", "outbox_aggregate", "outbox_dead_letter")
        counts = [(await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() for table in tables]  # noqa: S608 - names of our own
        return int(counts[0]), int(counts[1]), int(counts[2])

    return await database.read(work)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


async def test_what_is_not_committed_does_not_leave(database: Database, receiver: Receiver) -> None:
    async def work(connection: AsyncConnection) -> None:
        await enqueue(connection, [letter("a", "1")])
        raise RuntimeError("not today")

    with pytest.raises(RuntimeError):
        await database.write(work)
    await put(database, letter("a", "2"))
    await drain(Relay(database, TOPIC, receiver.deliver))
    assert receiver.payloads == ["2"]
    assert await left(database) == (0, 0, 0)


async def test_a_batch_has_the_oldest_of_each_aggregate(database: Database, receiver: Receiver) -> None:
    await put(database, *(letter(aggregate, f"{aggregate}{number}") for number in (1, 2) for aggregate in "abc"))
    await put(database, letter("a", "other", topic="bills"))
    relay = Relay(database, TOPIC, receiver.deliver, batch=2)
    counts = [await relay.once() for _ in range(5)]
    assert counts == [2, 2, 2, 0, 0]
    assert sorted(receiver.payloads[:2]) == ["a1", "b1"]
    assert [one for one in receiver.payloads if one[0] == "a"] == ["a1", "a2"]
    assert sorted(receiver.payloads) == ["a1", "a2", "b1", "b2", "c1", "c2"]


async def test_a_blocked_aggregate_blocks_only_itself(
    database: Database, receiver: Receiver, frozen_clock: FrozenClock
) -> None:
    blocked = [True]
    receiver.answer = lambda message: Retry("BUSY") if message.aggregate == "a" and blocked else DONE
    await put(database, *(letter(aggregate, f"{aggregate}{number}") for number in (1, 2, 3) for aggregate in "ab"))
    relay = Relay(database, TOPIC, receiver.deliver, clock=frozen_clock, batch=1)
    frozen_clock.advance(timedelta(hours=1))
    await drain(relay)
    assert receiver.payloads.count("a1") == 1
    assert [one for one in receiver.payloads if one[0] == "b"] == ["b1", "b2", "b3"]
    blocked.clear()
    frozen_clock.advance(timedelta(minutes=1))
    await drain(relay)
    assert [one for one in receiver.payloads if one[0] == "a"] == ["a1", "a1", "a2", "a3"]
    assert await left(database) == (0, 0, 0)


async def test_writers_of_one_aggregate_leave_in_the_order_of_their_commits(
    database: Database, receiver: Receiver
) -> None:
    await put(database, letter("a", "0"))
    locked, go_on = asyncio.Event(), asyncio.Event()

    async def first(connection: AsyncConnection) -> None:
        await enqueue(connection, [letter("a", "1")])
        locked.set()
        await go_on.wait()
        await enqueue(connection, [letter("a", "2")])

    writing = asyncio.create_task(database.write(first))
    await locked.wait()
    second = asyncio.create_task(put(database, letter("a", "3"), letter("b", "b")))
    await asyncio.sleep(0.2)
    relay = Relay(database, TOPIC, receiver.deliver)
    assert (second.done(), await relay.once()) == (False, 0)
    go_on.set()
    await asyncio.gather(writing, second)
    await drain(relay)
    assert [one for one in receiver.payloads if one != "b"] == ["0", "1", "2", "3"]


async def test_relays_together_never_deliver_out_of_order_or_twice(settings: DatabaseSettings) -> None:
    chance = random.Random(7)
    aggregates, each = 12, 15
    arrived: dict[str, list[int]] = defaultdict(list)
    delivered: dict[str, list[int]] = defaultdict(list)
    under_way: set[str] = set()
    overlaps: list[str] = []

    async def deliver(messages: Sequence[Message]) -> Sequence[Outcome]:
        overlaps.extend(message.aggregate for message in messages if message.aggregate in under_way)
        under_way.update(message.aggregate for message in messages)
        await asyncio.sleep(chance.uniform(0, 0.01))
        outcomes: list[Outcome] = []
        for message in messages:
            number = int(message.payload)
            arrived[message.aggregate].append(number)
            outcome: Outcome = Retry("BUSY") if chance.random() < 0.1 else DONE
            if outcome is DONE:
                delivered[message.aggregate].append(number)
            outcomes.append(outcome)
            under_way.discard(message.aggregate)
        return outcomes

    async with Database(settings) as one, Database(settings) as other:
        relays = [
            Relay(
                database, TOPIC, deliver, batch=5, longest_pause=timedelta(seconds=0.02), poll=timedelta(seconds=0.01)
            )
            for database in (one, one, other, other)
        ]
        running = [asyncio.create_task(relay.run()) for relay in relays]

        async def write(aggregate: int) -> None:
            for number in range(0, each, 3):
                await put(one, *(letter(f"a{aggregate}", str(number + more)) for more in range(3)))
                await asyncio.sleep(chance.uniform(0, 0.01))

        await asyncio.gather(*(write(aggregate) for aggregate in range(aggregates)))
        async with asyncio.timeout(60):
            while await left(one) != (0, 0, 0):
                assert not any(task.done() for task in running)
                await asyncio.sleep(0.02)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert overlaps == []
    assert delivered == {f"a{number}": list(range(each)) for number in range(aggregates)}
    assert all(numbers == sorted(numbers) for numbers in arrived.values())


async def test_a_relay_that_dies_after_delivery_delivers_again(
    database: Database, receiver: Receiver, frozen_clock: FrozenClock
) -> None:
    async def die() -> None:
        raise PowerCut

    receiver.work = die
    await put(database, letter("a", "1"), letter("a", "2"))
    with suppress(PowerCut):
        await Relay(database, TOPIC, receiver.deliver, clock=frozen_clock, lease=LEASE).once()
    receiver.work = None
    other = Relay(database, TOPIC, receiver.deliver, clock=frozen_clock, lease=LEASE)
    assert (await other.once(), await left(database)) == (0, (2, 1, 0))
    frozen_clock.advance(LEASE + timedelta(seconds=5))
    await drain(other)
    assert receiver.payloads == ["1", "1", "2"]
    assert receiver.arrived[0].id == receiver.arrived[1].id
    assert [message.attempts for message in receiver.arrived] == [1, 2, 1]


async def test_a_relay_whose_lease_was_lost_settles_nothing(
    database: Database, receiver: Receiver, frozen_clock: FrozenClock
) -> None:
    await put(database, letter("a", "1"), letter("a", "2"))
    other = Relay(database, TOPIC, receiver.deliver, clock=frozen_clock, lease=LEASE)

    async def overtake(messages: Sequence[Message]) -> Sequence[Outcome]:
        frozen_clock.advance(LEASE + timedelta(seconds=5))
        receiver.answer = lambda message: Retry("BUSY") if message.payload == b"2" else DONE
        await other.once()
        await other.once()
        return [Dead("TOO_LATE")]

    await Relay(database, TOPIC, overtake, clock=frozen_clock, lease=LEASE).once()
    assert (receiver.payloads, await left(database)) == (["1", "2"], (1, 1, 0))
    # The pause of the second is not cut short either.
    assert await other.once() == 0
    receiver.answer = lambda _: DONE
    frozen_clock.advance(timedelta(minutes=1))
    await drain(other)
    assert receiver.payloads == ["1", "2", "2"]


async def test_a_delivery_is_cut_off_before_its_lease_ends(database: Database, receiver: Receiver) -> None:
    ended: list[bool] = []

    async def linger() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    receiver.work = linger
    await put(database, letter("a", "1"))
    relay = Relay(database, TOPIC, receiver.deliver, lease=timedelta(seconds=0.5), longest_pause=timedelta())
    async with asyncio.timeout(5):
        assert (await relay.once(), ended) == (1, [True])
    receiver.work = None
    await drain(relay)
    assert receiver.payloads == ["1", "1"]


async def test_a_relay_that_is_stopped_lets_go_at_once(database: Database, receiver: Receiver) -> None:
    started = asyncio.Event()

    async def linger() -> None:
        started.set()
        await asyncio.sleep(60)

    receiver.work = linger
    await put(database, letter("a", "1"))
    running = asyncio.create_task(Relay(database, TOPIC, receiver.deliver, lease=LEASE).run())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    receiver.work = None
    await drain(Relay(database, TOPIC, receiver.deliver, lease=LEASE))
    assert [message.attempts for message in receiver.arrived] == [1, 1]


async def test_pauses_grow_and_then_stay(database: Database, receiver: Receiver, frozen_clock: FrozenClock) -> None:
    receiver.answer = lambda _: Retry("BUSY")
    await put(database, letter("a", "1"))
    relay = Relay(database, TOPIC, receiver.deliver, clock=frozen_clock, longest_pause=timedelta(seconds=3))
    frozen_clock.advance(timedelta(hours=1))
    await relay.once()
    waited = []
    for _ in range(8):
        steps = 0
        while await relay.once() == 0:
            frozen_clock.advance(timedelta(seconds=0.05))
            steps += 1
        waited.append(steps * 0.05)
    assert waited[0] < 0.5
    assert 1.4 <= min(waited[5:]) <= max(waited[5:]) <= 3.1


@pytest.mark.parametrize("raised", [False, True], ids=["answered", "raised"])
async def test_a_letter_is_dead_after_its_attempts_and_can_be_revived_in_its_place(
    database: Database, receiver: Receiver, frozen_clock: FrozenClock, raised: bool
) -> None:
    broken = [True]

    def answer(message: Message) -> Outcome:
        if message.payload != b"1" or not broken:
            return DONE
        if raised:
            raise PeerUnavailable("insurer")
        return Retry("PEER_UNAVAILABLE")

    receiver.answer = answer
    await put(database, *(letter("a", number) for number in "123"))
    relay = Relay(database, TOPIC, receiver.deliver, clock=frozen_clock, attempts=3)
    for _ in range(3):
        frozen_clock.advance(timedelta(hours=1))
        await relay.once()
    assert (receiver.payloads, await left(database)) == (["1", "1", "1"], (2, 1, 1))
    frozen_clock.advance(timedelta(hours=1))
    await relay.once()
    (dead,) = await relay.dead_letters()
    assert (dead.reason, dead.message.payload, dead.message.attempts) == ("PEER_UNAVAILABLE", b"1", 3)
    assert (await relay.backlog()).dead == (await relay.backlog()).waiting == 1
    broken.clear()
    assert await relay.rerun([dead.message.id, uuid7()]) == 1
    await drain(relay)
    assert receiver.payloads == ["1", "1", "1", "2", "1", "3"]
    assert (await relay.dead_letters(), await left(database)) == ([], (0, 0, 0))


async def test_a_letter_revived_while_a_later_one_is_under_way_goes_next(
    database: Database, receiver: Receiver
) -> None:
    receiver.answer = lambda message: Dead("REFUSED") if message.payload == b"1" else DONE
    await put(database, letter("a", "1"), letter("a", "2"))
    relay = Relay(database, TOPIC, receiver.deliver)
    await relay.once()
    (dead,) = await relay.dead_letters()
    receiver.answer = lambda _: DONE
    others: list[int] = []

    async def revive() -> None:
        receiver.work = None
        assert await relay.rerun([dead.message.id]) == 1
        # The aggregate is still leased: nobody else gets either of them.
        others.append(await relay.once())

    receiver.work = revive
    await relay.once()
    assert (receiver.payloads, others) == (["1", "2"], [0])
    await drain(relay)
    assert (receiver.payloads, await left(database)) == (["1", "2", "1"], (0, 0, 0))


async def test_a_refused_letter_is_dead_at_once_and_the_next_one_goes(database: Database, receiver: Receiver) -> None:
    receiver.answer = lambda message: Dead("MALFORMED" * 20) if message.payload == b"1" else DONE
    await put(database, letter("a", "1"), letter("a", "2"))
    relay = Relay(database, TOPIC, receiver.deliver)
    await drain(relay)
    assert receiver.payloads == ["1", "2"]
    assert [one.reason for one in await relay.dead_letters()] == [("MALFORMED" * 20)[:100]]


async def test_an_errors_text_is_kept_nowhere(
    database: Database, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(_: Message) -> Outcome:
        raise ValueError("Nguyễn Thị Hoà")

    receiver.answer = answer
    await put(database, letter("a", "1"))
    relay = Relay(database, TOPIC, receiver.deliver, attempts=1)
    await relay.once()
    assert [one.reason for one in await relay.dead_letters()] == ["ValueError"]
    printed = capsys.readouterr().err
    assert "delivery_failed" in printed
    assert "dead_letter" in printed
    assert "Nguy" not in printed


async def test_a_wrong_number_of_outcomes_settles_nothing(database: Database) -> None:
    async def deliver(_: Sequence[Message]) -> Sequence[Outcome]:
        return [DONE]

    await put(database, letter("a", "1"), letter("b", "2"))
    await Relay(database, TOPIC, deliver).once()
    assert await left(database) == (2, 2, 0)


async def test_waking_beats_polling(database: Database, receiver: Receiver) -> None:
    arrived = asyncio.Event()

    async def arrive() -> None:
        arrived.set()

    receiver.work = arrive
    relay = Relay(database, TOPIC, receiver.deliver, poll=timedelta(hours=1))
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0.1)
    await put(database, letter("a", "1"))
    relay.wake()
    async with asyncio.timeout(2):
        await arrived.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    # Cancelled in the middle of settling, it still says what was delivered.
    assert await left(database) == (0, 0, 0)


async def test_a_relay_goes_on_when_the_database_is_back(
    database: Database, receiver: Receiver, postgres: PostgresServer
) -> None:
    await put(database, letter("a", "1"))
    relay = Relay(database, TOPIC, receiver.deliver)
    postgres.crash()
    try:
        with pytest.raises(DatabaseUnavailable):
            await relay.run()
    finally:
        await asyncio.to_thread(postgres.restart)
    await drain(relay)
    assert receiver.payloads == ["1"]


async def test_a_letter_carries_the_trace_that_made_it(database: Database, receiver: Receiver) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("call"):
        made_in = traceparent()
        await put(database, letter("a", "1"))
    await drain(Relay(database, TOPIC, receiver.deliver))
    assert made_in.startswith("00-")
    assert [message.trace for message in receiver.arrived] == [made_in]


async def test_an_aggregate_emptied_by_hand_is_forgotten(
    database: Database, receiver: Receiver, settings: DatabaseSettings
) -> None:
    await put(database, letter("a", "1"))
    await database.write(lambda connection: connection.execute(text("DELETE FROM outbox")))
    assert await Relay(database, TOPIC, receiver.deliver).once() == 0
    assert await left(database) == (0, 0, 0)
