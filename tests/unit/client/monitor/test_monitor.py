"""A monitor against a log that behaves, and against one that lies in every way that can be seen from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lienthong.client.tlog.checkpoint import Checkpoint, Cosigner, sign_checkpoint
from lienthong.client.tlog.merkle import CompactRange, Node, consistency_path, inclusion_path, leaf_hash
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.promise import format_time, promise_entry
from lienthong.client.tlog.proof import TlogProof
from lienthong.client.tlog.receipt import Receipt
from lienthong.monitor import monitor as monitor_module
from lienthong.monitor.monitor import Monitor
from lienthong.monitor.state import MonitorState, StateInvalid

ORIGIN = "log.example/2026"
LOG, STRANGER, PROMISER = (NoteSigner.generate(name) for name in (ORIGIN, ORIGIN, "lienthong.vn/receipt-promise"))
WITNESS = Cosigner("witness.example/w1", Ed25519PrivateKey.generate())
POLICY = TrustPolicy(
    logs=(LOG.verifier_key,),
    promise_keys=(PROMISER.verifier_key,),
    witnesses={"w": WITNESS.verifier_key},
    quorum="w",
)
THEN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def entry(number: int, facility: str = "01001", at: datetime = THEN) -> bytes:
    value = {
        "v": 1,
        "kind": "INSURANCE_RECORD",
        "facility": facility,
        "sequence": number,
        "submission": f"0190a000-0000-7000-8000-{number:012}",
        "commitment": "00" * 32,
        "signer_certificate_sha256": "ab" * 32,
        "indication": "TOTAL_PASSED",
        "received_at": format_time(at),
    }
    return json.dumps(value).encode()


@dataclass
class Log:
    """A log over real trees. What a test changes, it lies about."""

    kept: list[bytes] = field(default_factory=list)
    cosigned: bool = True
    signer: NoteSigner = LOG
    hidden: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)

    def tree(self, size: int) -> tuple[CompactRange, dict[Node, bytes]]:
        edge, nodes = CompactRange(), dict[Node, bytes]()
        for one in self.kept[:size]:
            nodes.update(edge.append(leaf_hash(one)))
        return edge, nodes

    def note(self, size: int | None = None) -> str:
        size = len(self.kept) if size is None else size
        note = sign_checkpoint(Checkpoint(self.signer.name, size, self.tree(size)[0].root()), self.signer)
        return WITNESS.cosign(note, THEN) if self.cosigned else note

    async def checkpoint(self) -> str:
        return self.note()

    async def consistency(self, old_size: int, new_size: int) -> Sequence[bytes]:
        self.asked.append((old_size, new_size))
        return consistency_path(old_size, new_size, self.tree(new_size)[1])

    async def entries(self, start: int, limit: int) -> Sequence[bytes]:
        return self.kept[start : min(start + limit, len(self.kept) - self.hidden)]

    def receipt(self, index: int | None, one: bytes, at: datetime = THEN, size: int | None = None) -> str:
        proof = None
        if index is not None:
            size = size or len(self.kept)
            path = tuple(inclusion_path(index, size, self.tree(size)[1]))
            proof = TlogProof(index, path, self.note(size), one).encode()
        return Receipt(one, bytes(32), promise_entry(one, at, PROMISER), proof).to_json()


@dataclass
class Watch:
    """A monitor on its state, at a time that the test moves."""

    log: Log
    folder: Path
    state: MonitorState
    now: datetime = THEN

    @property
    def receipts(self) -> Path:
        return self.folder / "receipts"

    async def check(self, patience: timedelta = timedelta(hours=4), policy: TrustPolicy = POLICY) -> list[str]:
        monitor = Monitor(
            self.log,
            policy,
            self.state,
            lambda: self.now,
            facilities=["01001"],
            receipts=self.receipts,
            patience=patience,
        )
        return [str(one) for one in await monitor.check()]

    def keep(self, name: str, receipt: str) -> None:
        (self.receipts / f"{name}.receipt.json").write_text(receipt)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    (tmp_path / "receipts").mkdir()
    state = MonitorState(tmp_path / "monitor.db")
    yield Watch(Log([entry(number) for number in range(1, 6)]), tmp_path, state)
    state.close()


async def test_a_log_that_grows_honestly(watch: Watch) -> None:
    log = watch.log
    assert await watch.check() == []
    watch.keep("early", log.receipt(2, log.kept[2]))
    for number in range(6, 2100):
        log.kept.append(entry(number))
    watch.keep("old", log.receipt(3, log.kept[3], size=5))
    assert await watch.check() == []
    assert watch.state.followed(THEN).size == 2099
    # What was settled is not asked for again.
    log.asked.clear()
    assert await watch.check() == []
    assert log.asked == []


async def test_a_promise_that_is_broken(watch: Watch) -> None:
    lost = entry(6, at=THEN)
    watch.keep("lost", watch.log.receipt(None, lost))
    watch.now = THEN + timedelta(seconds=60)
    assert await watch.check() == []
    watch.now += timedelta(seconds=1)
    assert await watch.check() == ["PROMISE_BROKEN: lost.receipt.json was due 2026-11-23T04:01:00+00:00"]
    # Late is still kept in the end: the log has it, and the numbers are whole.
    watch.log.kept.append(lost)
    assert await watch.check() == []


async def test_a_promise_kept_is_no_alarm_even_without_a_proof_at_hand(watch: Watch) -> None:
    await watch.check()
    watch.keep("kept", watch.log.receipt(None, watch.log.kept[4]))
    watch.now = THEN + timedelta(days=1)
    assert await watch.check() == []


async def test_an_entry_that_was_dropped_leaves_its_number(watch: Watch) -> None:
    watch.log.kept += [entry(7), entry(8)]
    assert await watch.check() == []
    watch.now += timedelta(seconds=61)
    assert await watch.check() == ["SEQUENCE_GAP: facility 01001 numbers 6-6"]


async def test_a_number_twice(watch: Watch) -> None:
    watch.log.kept.append(entry(5, at=THEN + timedelta(seconds=1)))
    assert await watch.check() == ["SEQUENCE_DUPLICATE: facility 01001 numbers 5-5"]


async def test_an_entry_that_cannot_be_read(watch: Watch) -> None:
    watch.log.kept.append(b"{}")
    assert await watch.check() == ["ENTRY_UNREADABLE: entry 5"]


async def test_history_that_was_changed(watch: Watch) -> None:
    await watch.check()
    before = watch.log.note()
    watch.log.kept[1] = entry(2, at=THEN + timedelta(seconds=1))
    assert await watch.check() == ["LOG_FORKED: from 5 to 5"]
    # Both notes convict the log, wherever they are shown.
    assert watch.state.evidence() == [before, watch.log.note()]
    watch.log.kept.append(entry(6))
    assert await watch.check() == ["CONSISTENCY_BROKEN: from 5 to 6"]
    assert watch.state.followed(THEN).size == 5


async def test_a_log_that_shrinks(watch: Watch) -> None:
    await watch.check()
    watch.log.kept.pop()
    assert await watch.check() == ["LOG_SHRANK: from 5 to 4"]


async def test_entries_that_are_not_those_under_the_root(watch: Watch) -> None:
    watch.log.hidden = 1
    assert await watch.check() == ["ENTRIES_MISMATCH: entries 0 to 4"]
    watch.log.hidden = 0
    honest = watch.log.kept

    class Liar(Log):
        async def entries(self, start: int, limit: int) -> Sequence[bytes]:
            return [entry(9), *honest[1:]][start : start + limit]

    watch.log = Liar(honest)
    assert await watch.check() == ["ENTRIES_MISMATCH: entries 0 to 4"]
    assert watch.state.followed(THEN).size == 0


async def test_a_receipt_under_a_tree_that_others_never_saw(watch: Watch) -> None:
    shown = Log([*watch.log.kept[:3], entry(4, at=THEN + timedelta(seconds=1))])
    watch.keep("forked", shown.receipt(3, shown.kept[3], at=THEN + timedelta(seconds=1)))
    assert await watch.check() == ["RECEIPT_FORKED: forked.receipt.json under size 4"]
    assert watch.state.evidence() == [shown.note()]
    # One that is newer than what this pass saw is left to the next.
    later = Log([*watch.log.kept, entry(6), entry(7)])
    watch.keep("newer", later.receipt(6, later.kept[6]))
    assert [one for one in await watch.check() if "newer" in one] == []


async def test_who_did_not_sign(watch: Watch) -> None:
    watch.log.signer = STRANGER
    assert [one.split(":")[0] for one in await watch.check()] == ["CHECKPOINT_INVALID"]


async def test_the_quorum_may_be_missing_for_a_while(watch: Watch) -> None:
    await watch.check()
    watch.log.cosigned = False
    watch.now += timedelta(hours=3)
    assert await watch.check() == []
    watch.now += timedelta(hours=2)
    assert await watch.check() == ["WITNESS_QUORUM_MISSING: since 2026-11-23T04:00:00+00:00"]
    watch.log.cosigned = True
    assert await watch.check() == []


async def test_a_false_cosignature(watch: Watch) -> None:
    class Liar(Log):
        async def checkpoint(self) -> str:
            line = self.note(1).splitlines()[-1]
            return sign_checkpoint(Checkpoint(ORIGIN, 5, self.tree(5)[0].root()), LOG) + line + "\n"

    watch.log = Liar(watch.log.kept)
    assert [one.split(":")[0] for one in await watch.check()] == ["COSIGNATURE_INVALID"]


async def test_receipts_that_do_not_hold(watch: Watch) -> None:
    log = watch.log
    watch.keep("a", "{}")
    good = json.loads(log.receipt(2, log.kept[2]))
    watch.keep("b", json.dumps({**good, "tlog_proof": good["tlog_proof"].replace("index 2", "index 3")}))
    log.cosigned = False
    watch.keep("c", log.receipt(1, log.kept[1]))
    log.cosigned = True
    watch.keep("d", log.receipt(None, entry(1, facility="79001")))
    watch.now += timedelta(minutes=5)
    assert await watch.check() == [
        "RECEIPT_INVALID: RECEIPT_MALFORMED a.receipt.json",
        "RECEIPT_INVALID: PATH_INVALID b.receipt.json",
        "RECEIPT_INVALID: WITNESS_QUORUM_MISSING c.receipt.json",
        "RECEIPT_INVALID: OTHER_FACILITY d.receipt.json",
    ]


async def test_a_long_way_is_gone_in_stages(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "STAGE", 10)
    honest = [entry(number) for number in range(1, 36)]

    class Breaks(Log):
        async def entries(self, start: int, limit: int) -> Sequence[bytes]:
            if start >= 25:
                raise ConnectionError
            return self.kept[start : min(start + limit, 25)]

    watch.log = Breaks(honest)
    with pytest.raises(ConnectionError):
        await watch.check()
    assert watch.state.followed(THEN).size == 20
    # A lie in a later stage is found there, and what was verified stays.
    lie = [*honest[:27], entry(99), *honest[28:]]

    class Lies(Log):
        async def entries(self, start: int, limit: int) -> Sequence[bytes]:
            return lie[start : start + limit]

    watch.log = Lies(honest)
    assert await watch.check() == ["ENTRIES_MISMATCH: entries 20 to 29"]
    assert watch.state.followed(THEN).size == 20
    watch.log = Log(honest)
    assert await watch.check() == []
    assert watch.state.followed(THEN).size == 35


async def test_state_of_others(watch: Watch, tmp_path: Path) -> None:
    await watch.check()
    with pytest.raises(StateInvalid, match="other facilities"):
        Monitor(watch.log, POLICY, watch.state, lambda: THEN, facilities=["79001"])
    (tmp_path / "text").write_text("x" * 1000)
    with pytest.raises(StateInvalid):
        MonitorState(tmp_path / "text")


async def test_what_was_followed_outlives_the_process(watch: Watch) -> None:
    await watch.check()
    watch.state.close()
    watch.state = MonitorState(watch.folder / "monitor.db")
    watch.log.kept[0] = entry(1, at=THEN - timedelta(seconds=1))
    watch.log.kept.append(entry(6))
    assert await watch.check() == ["CONSISTENCY_BROKEN: from 5 to 6"]
