"""What was judged, signed and given out: the same in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.records.model import Accepted, Verdict
from services.records.ports import Store
from services.records.postgres import PostgresStore
from services.records.proof import (
    MOST_VERDICTS,
    Compromise,
    Due,
    Judgement,
    Occasion,
    Reader,
    TouchedCursor,
)
from services.records.signatures import DetachedSignature, SignatureForm
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_ports import verdict
from tests.fakes.records_samples import FACILITY, NOW, accepted, answers, episode, rejected

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEY, OTHER_KEY = "ab" * 32, "cd" * 32


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    settings = request.getfixturevalue("database_for")("records")
    keyring: Path = request.getfixturevalue("keyring_file")
    async with Database(settings) as database:
        yield PostgresStore(database, FileKeyring(keyring), system_clock)


def due_at(at: datetime) -> Verdict:
    return replace(verdict(), grace_period_end=at)


async def keep(store: Store, judged: Verdict, document_id: str = "a", seed: int = 1, at: datetime = NOW) -> Accepted:
    one = accepted(episode(seed), document_id, received_at=at)
    one = replace(one, verdict=judged)
    await store.store([one], [], answers().finish)
    return one


async def test_due_submissions_are_taken_once_and_given_back_in_time(store: Store) -> None:
    second = await keep(store, due_at(NOW + 2 * MINUTE), "b", 2)
    first = await keep(store, due_at(NOW + MINUTE), "a", 1)
    await keep(store, verdict(), "c", 3)
    assert await store.take_due(NOW, NOW + HOUR, 10) == []
    taken = await store.take_due(NOW + 3 * MINUTE, NOW + HOUR, 1)
    assert taken == [Due(FACILITY, first.id, Occasion.GRACE_PERIOD_ENDED)]
    assert [one.submission for one in await store.take_due(NOW + 3 * MINUTE, NOW + HOUR, 10)] == [second.id]
    assert await store.take_due(NOW + 3 * MINUTE, NOW + HOUR, 10) == []
    assert {one.submission for one in await store.take_due(NOW + HOUR, NOW + 2 * HOUR, 10)} == {first.id, second.id}


async def test_two_takers_never_get_the_same(store: Store) -> None:
    for number in range(6):
        await keep(store, due_at(NOW + MINUTE), f"d{number}")
    taken = await asyncio.gather(*(store.take_due(NOW + HOUR, NOW + 2 * HOUR, 4) for _ in range(3)))
    ids = [one.submission for batch in taken for one in batch]
    assert len(ids) == len(set(ids)) == 6


async def test_verdicts_are_appended_and_numbered(store: Store) -> None:
    one = await keep(store, due_at(NOW + MINUTE))
    (due,) = await store.take_due(NOW + HOUR, NOW + 2 * HOUR, 10)
    again = (NOW + 3 * HOUR, Occasion.REVOCATION_ARRIVED)
    await store.judged([Judgement(due, NOW + HOUR, replace(verdict(), encoded=b"\x08\x02"), again, 2)])
    (kept,) = await store.verdicts(FACILITY, one.id)
    assert (kept.number, kept.occasion, kept.created_at, kept.encoded) == (
        2,
        Occasion.GRACE_PERIOD_ENDED,
        NOW + HOUR,
        b"\x08\x02",
    )
    assert await store.take_due(NOW + 2 * HOUR, NOW + 4 * HOUR, 10) == []
    (due,) = await store.take_due(NOW + 3 * HOUR, NOW + 4 * HOUR, 10)
    assert due == Due(FACILITY, one.id, Occasion.REVOCATION_ARRIVED, 2)
    await store.judged([Judgement(due, NOW + 3 * HOUR, replace(verdict(), encoded=b"\x08\x01"), None)])
    assert [kept.number for kept in await store.verdicts(FACILITY, one.id)] == [2, 3]
    assert await store.take_due(NOW + 999 * HOUR, NOW + 9999 * HOUR, 10) == []
    assert await store.verdicts("79001", one.id) == []
    for record in (await store.submission(FACILITY, one.id), (await store.submissions(FACILITY, None, None, "", 9))[0]):
        assert record is not None
        assert record.verdict == b"\x08\x01"


async def test_a_look_without_news_appends_nothing(store: Store) -> None:
    one = await keep(store, due_at(NOW + MINUTE))
    (due,) = await store.take_due(NOW + HOUR, NOW + 2 * HOUR, 10)
    await store.judged([Judgement(due, NOW, None, (NOW + 2 * HOUR, Occasion.REVOCATION_ARRIVED), 1)])
    assert await store.verdicts(FACILITY, one.id) == []
    (due,) = await store.take_due(NOW + 2 * HOUR, NOW + 3 * HOUR, 10)
    assert due.attempts == 1


async def test_verdicts_stop_at_their_bound(store: Store) -> None:
    one = await keep(store, verdict())
    due = Due(FACILITY, one.id, Occasion.RESEALED)
    for _ in range(MOST_VERDICTS + 3):
        await store.judged([Judgement(due, NOW, verdict(), None)])
    kept = await store.verdicts(FACILITY, one.id)
    assert [recorded.number for recorded in kept] == list(range(2, MOST_VERDICTS + 1))


async def test_a_compromise_is_not_lost_by_a_judgement_under_way(store: Store) -> None:
    one = await keep(store, replace(due_at(NOW + MINUTE), signers=((KEY, None),)))
    (due,) = await store.take_due(NOW + HOUR, NOW + 2 * HOUR, 10)
    end = await store.judge_signed_by(KEY, NOW - HOUR, None, NOW + HOUR, 10)
    assert end == TouchedCursor(NOW, one.id)
    assert await store.judge_signed_by(KEY, NOW - HOUR, end, NOW + HOUR, 10) is None
    await store.judged([Judgement(due, NOW + HOUR, verdict(), None)])
    (due,) = await store.take_due(NOW + HOUR, NOW + 2 * HOUR, 10)
    assert due.occasion is Occasion.KEY_COMPROMISED


async def test_compromises_are_remembered(store: Store) -> None:
    one = Compromise(KEY, NOW)
    assert set(await store.compromises()) == set()
    await store.remember(one, NOW)
    await store.remember(one, NOW + HOUR)
    await store.remember(Compromise(KEY, NOW - HOUR), NOW)
    assert set(await store.compromises()) == {one, Compromise(KEY, NOW - HOUR)}


async def test_received_documents_come_back_as_they_came(store: Store) -> None:
    signature = DetachedSignature(SignatureForm.JWS_DETACHED, b"jws", "XML1")
    one = accepted(episode(1), "a", signatures=(signature,))
    refused = rejected(b"<x", "r")
    await store.store([one], [refused], answers().finish)
    found = await store.received([(FACILITY, one.id), (FACILITY, uuid7()), (FACILITY, refused.id)])
    assert found == {(FACILITY, one.id): one.incoming}
    assert found[FACILITY, one.id].content == one.incoming.content


async def test_what_a_key_signed_in_order_with_its_readers(store: Store) -> None:
    both = replace(verdict(), signers=((KEY, NOW - HOUR), (OTHER_KEY, None)))
    late = await keep(store, both, "late", 1, NOW + HOUR)
    early = await keep(store, replace(verdict(), signers=((KEY, None),)), "early", 2, NOW - HOUR)
    await keep(store, replace(verdict(), signers=((OTHER_KEY, None),)), "other", 3)
    place = (FACILITY, early.id)
    await store.disclose("79001", [place], NOW)
    await store.disclose("79001", [place], NOW + HOUR)
    await store.disclose("", [(FACILITY, late.id), place], NOW + MINUTE)
    await store.disclose("79001", [], NOW)
    first, second = await store.touched(KEY, NOW - HOUR, None, 10)
    assert (first.submission, first.facility, first.received_at, first.proven_at) == (
        early.id,
        FACILITY,
        NOW - HOUR,
        None,
    )
    assert first.readers == (Reader("79001", NOW, NOW + HOUR), Reader("", NOW + MINUTE, NOW + MINUTE))
    assert (second.submission, second.proven_at, second.readers) == (
        late.id,
        NOW - HOUR,
        (Reader("", NOW + MINUTE, NOW + MINUTE),),
    )
    assert [one.submission for one in await store.touched(KEY, NOW, None, 10)] == [late.id]
    assert [one.submission for one in await store.touched(KEY, NOW - HOUR, None, 1)] == [early.id]
    after = TouchedCursor(NOW - HOUR, early.id)
    assert [one.submission for one in await store.touched(KEY, NOW - HOUR, after, 10)] == [late.id]
    assert len(await store.touched(OTHER_KEY, NOW - HOUR, None, 10)) == 2
    assert await store.touched("00" * 32, NOW - HOUR, None, 10) == []
