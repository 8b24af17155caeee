"""Judging again: when there is news to judge by, appended, and with the receipt as proof of existence."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.chassis.clock import FrozenClock
from services.chassis.errors import PeerRefused, PeerUnavailable
from services.chassis.identifiers import uuid7
from services.records.convert.evidence import verdict_messages
from services.records.convert.intake import record_message
from services.records.errors import SubmissionNotFound
from services.records.formats.xml130 import Xml130Format
from services.records.model import Accepted, Incoming, Verdict
from services.records.proof import MOST_ATTEMPTS, Compromise, Occasion, next_look
from services.records.service.verdicts import BATCH, Rejudging, VerdictService
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_ports import BAD, CERTIFICATE, GOOD, FakeSigning, verdict
from tests.fakes.records_samples import FACILITY, NOW, accepted, answers, episode

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LATER = Verdict("INDETERMINATE", "TRY_LATER", "REVOCATION_UNKNOWN", True, CERTIFICATE, GOOD.SerializeToString())
FAILED = Verdict("TOTAL_FAILED", "HASH_FAILURE", "", False, CERTIFICATE, BAD.SerializeToString())


def graced(until: datetime) -> Verdict:
    return replace(verdict(), grace_period_end=until)


class Bench:
    """A store, a scripted signing and the job between them."""

    def __init__(self) -> None:
        self.store, self.signing, self.clock = MemoryStore(), FakeSigning(), FrozenClock(NOW)
        self.seen: list[Occasion] = []
        self.job = Rejudging(
            self.store,
            self.signing,
            {"XML130": Xml130Format()},
            self.clock,
            lambda occasion, _: self.seen.append(occasion),
        )

    async def keep(self, judged: Verdict, document_id: str = "a", seed: int = 1) -> Accepted:
        one = replace(accepted(episode(seed), document_id), verdict=judged)
        await self.store.store([one], [], answers().finish)
        return one

    async def occasions(self, of: Accepted) -> list[str]:
        record, later = await VerdictService(self.store).list(FACILITY, of.id)
        return [message.occasion for message in verdict_messages(record, later)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_conclusive_verdict_is_never_looked_at_again(bench: Bench) -> None:
    one = await bench.keep(verdict())
    bench.clock.advance(365 * DAY)
    assert await bench.job.once() == 0
    assert await bench.occasions(one) == ["RECEIVED"]


async def test_a_late_revocation_answer_makes_a_new_verdict(bench: Bench) -> None:
    one = await bench.keep(LATER)
    bench.signing.verdicts["a"] = LATER
    assert await bench.job.once() == 0
    bench.clock.advance(timedelta(minutes=15))
    # Nothing has arrived: no verdict is appended, and it is looked at again, less and less often.
    assert await bench.job.once() == 1
    assert await bench.occasions(one) == ["RECEIVED"]
    assert await bench.job.once() == 0
    bench.clock.advance(timedelta(minutes=30))
    bench.signing.verdicts["a"] = FAILED
    assert await bench.job.once() == 1
    assert await bench.occasions(one) == ["RECEIVED", "REVOCATION_ARRIVED"]
    assert bench.seen == [Occasion.REVOCATION_ARRIVED]
    # The receipt is the proof that the signature existed.
    assert [case.existed_at for case in bench.signing.cases] == [NOW, NOW]
    assert bench.signing.cases[0].incoming.content == one.incoming.content
    bench.clock.advance(365 * DAY)
    assert await bench.job.once() == 0


async def test_the_newest_verdict_is_shown_and_the_first_is_kept(bench: Bench) -> None:
    one = await bench.keep(LATER)
    bench.signing.verdicts["a"] = FAILED
    bench.clock.advance(HOUR)
    await bench.job.once()
    record, later = await VerdictService(bench.store).list(FACILITY, one.id)
    assert record_message(record).verdict == BAD
    first, second = verdict_messages(record, later)
    assert (first.verdict, second.verdict) == (GOOD, BAD)
    assert first.create_time.ToDatetime() == NOW.replace(tzinfo=None)
    assert second.create_time.ToDatetime() == (NOW + HOUR).replace(tzinfo=None)
    stored = await bench.store.original(FACILITY, one.id)
    assert stored is not None
    assert record_message(stored.record).verdict == BAD
    with pytest.raises(SubmissionNotFound):
        await VerdictService(bench.store).list("79001", one.id)


async def test_the_end_of_the_grace_period_is_judged_once(bench: Bench) -> None:
    one = await bench.keep(graced(NOW + DAY))
    bench.clock.advance(DAY - timedelta(seconds=1))
    assert await bench.job.once() == 0
    bench.clock.advance(timedelta(seconds=1))
    bench.signing.verdicts["a"] = graced(NOW + DAY)
    assert await bench.job.once() == 1
    assert await bench.occasions(one) == ["RECEIVED", "GRACE_PERIOD_ENDED"]
    bench.clock.advance(DAY)
    assert await bench.job.once() == 0


async def test_a_grace_period_follows_late_revocation_evidence(bench: Bench) -> None:
    one = await bench.keep(LATER)
    bench.signing.verdicts["a"] = graced(NOW + DAY)
    bench.clock.advance(HOUR)
    await bench.job.once()
    bench.clock.advance(DAY)
    await bench.job.once()
    assert await bench.occasions(one) == ["RECEIVED", "REVOCATION_ARRIVED", "GRACE_PERIOD_ENDED"]


async def test_many_are_judged_in_bounded_batches(bench: Bench) -> None:
    for number in range(BATCH + 3):
        await bench.keep(LATER, f"d{number}")
    bench.clock.advance(HOUR)
    assert [await bench.job.once() for _ in range(3)] == [BATCH, 3, 0]
    assert max(bench.signing.batches) <= BATCH


async def test_what_a_peer_failed_to_judge_comes_again(bench: Bench) -> None:
    one = await bench.keep(LATER)
    bench.clock.advance(HOUR)
    bench.signing.fault = PeerUnavailable("signing")
    with pytest.raises(PeerUnavailable):
        await bench.job.once()
    bench.signing.fault = None
    assert await bench.job.once() == 0
    bench.clock.advance(timedelta(minutes=5))
    assert await bench.job.once() == 1
    assert await bench.occasions(one) == ["RECEIVED", "REVOCATION_ARRIVED"]


async def test_what_a_compromised_key_signed_is_judged_again(bench: Bench) -> None:
    signed = replace(verdict(), signers=((CERTIFICATE, None),))
    one = await bench.keep(signed)
    other = await bench.keep(replace(verdict(), signers=(("cd" * 32, None),)), "b", 2)
    bench.signing.compromises = [Compromise(CERTIFICATE, NOW - HOUR)]
    bench.signing.verdicts["a"] = FAILED
    assert await bench.job.notice_compromises() == 1
    assert await bench.job.once() == 1
    assert await bench.occasions(one) == ["RECEIVED", "KEY_COMPROMISED"]
    assert await bench.occasions(other) == ["RECEIVED"]
    # Noticed once; a later compromise time of the same key is another report.
    assert await bench.job.notice_compromises() == 0
    bench.signing.compromises = [Compromise(CERTIFICATE, NOW + HOUR)]
    assert await bench.job.notice_compromises() == 1
    assert await bench.job.once() == 0


def test_when_to_look_again() -> None:
    assert next_look(verdict(), NOW, 0) is None
    assert next_look(graced(NOW), NOW, 0) is None
    assert next_look(graced(NOW + HOUR), NOW, 0) == (NOW + HOUR, Occasion.GRACE_PERIOD_ENDED)
    waits = [look[0] - NOW for n in range(MOST_ATTEMPTS) if (look := next_look(LATER, NOW, n)) is not None]
    assert waits[:3] == [timedelta(minutes=15), timedelta(minutes=30), HOUR]
    assert max(waits) == DAY
    assert len(waits) == MOST_ATTEMPTS
    assert next_look(LATER, NOW, MOST_ATTEMPTS) is None


async def test_an_unknown_submission_has_no_verdicts(bench: Bench) -> None:
    with pytest.raises(SubmissionNotFound):
        await VerdictService(bench.store).list(FACILITY, uuid7())


async def test_what_is_not_there_any_more_is_due_no_longer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.keep(LATER)
    bench.clock.advance(HOUR)

    async def nothing(_: object) -> dict[tuple[str, UUID], Incoming]:
        return {}

    monkeypatch.setattr(bench.store, "received", nothing)
    assert await bench.job.once() == 1
    bench.clock.advance(365 * DAY)
    assert await bench.job.once() == 0


async def test_a_document_that_signing_refuses_does_not_hold_up_the_others(bench: Bench) -> None:
    documents = [await bench.keep(LATER, f"d{number}", number + 1) for number in range(4)]
    bench.clock.advance(HOUR)
    bench.signing.fault, bench.signing.faulty = PeerRefused("signing", "FIELD_INVALID"), {"d2"}
    assert await bench.job.once() == 4
    occasions = [await bench.occasions(one) for one in documents]
    assert [len(one) for one in occasions] == [2, 2, 1, 2]
    # The one is tried again the next day, and not for ever.
    assert await bench.job.once() == 0
    for _ in range(MOST_ATTEMPTS + 5):
        bench.clock.advance(DAY)
        await bench.job.once()
    seen = len(bench.signing.batches)
    bench.clock.advance(365 * DAY)
    await bench.job.once()
    assert len(bench.signing.batches) == seen
