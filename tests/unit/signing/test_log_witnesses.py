"""How the log deals with its witnesses: whom it asks, what it believes, when it leaves one alone, and what it says about that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lienthong.client.tlog.checkpoint import Checkpoint as TreeHead
from lienthong.client.tlog.checkpoint import Cosigner, sign_checkpoint
from lienthong.client.tlog.merkle import CompactRange, Node, leaf_hash, verify_consistency
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy, WitnessGroup
from lienthong.client.tlog.witness import AddCheckpoint
from opentelemetry import metrics

from services.chassis.clock import FrozenClock
from services.signing.jobs import WitnessJob
from services.signing.model import Checkpoint, CheckpointTimestamp, WitnessCosignature
from services.signing.ports import CheckpointSigner, WitnessBehind, WitnessFailed
from services.signing.service.witnesses import WitnessRound, WitnessService
from services.signing.telemetry import LogInstruments

LOG = NoteSigner.generate("log.example/2026")
NAMES = ("a", "b", "c")
COSIGNERS = {name: Cosigner(f"witness.example/{name}", Ed25519PrivateKey.generate()) for name in NAMES}
POLICY = TrustPolicy(
    logs=(LOG.verifier_key,),
    witnesses={name: one.verifier_key for name, one in COSIGNERS.items()},
    groups={"two": WitnessGroup(2, NAMES)},
    quorum="two",
)
START = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
TREE = CompactRange()
NODES: dict[Node, bytes] = {}
ROOTS = [TREE.root()]
for _number in range(30):
    NODES.update(TREE.append(leaf_hash(b"%d" % _number)))
    ROOTS.append(TREE.root())


@dataclass
class Published:
    """Checkpoints in memory."""

    checkpoints: list[Checkpoint] = field(default_factory=list)

    def publish(self, size: int, at: datetime) -> None:
        note = sign_checkpoint(TreeHead(LOG.name, size, ROOTS[size]), LOG)
        self.checkpoints.append(Checkpoint(size, ROOTS[size], note, at))

    async def newest(self) -> Checkpoint | None:
        return self.checkpoints[-1] if self.checkpoints else None

    async def newest_witnessed(self) -> Checkpoint | None:
        return next((one for one in reversed(self.checkpoints) if one.witnessed), None)

    async def of_size(self, size: int) -> Checkpoint | None:
        return next((one for one in self.checkpoints if one.size == size), None)

    async def unwitnessed_since(self) -> datetime | None:
        witnessed = await self.newest_witnessed()
        later = [one for one in self.checkpoints if witnessed is None or one.size > witnessed.size]
        return later[0].published_at if later else None

    async def last_cosigned(self) -> Mapping[str, int]:
        return {line.split(" ")[1]: one.size for one in self.checkpoints for line in one.cosignatures}

    async def cosign(
        self, size: int, cosignatures: Sequence[WitnessCosignature], witnessed_at: datetime | None
    ) -> None:
        for place, one in enumerate(self.checkpoints):
            if one.size == size:
                lines = (*one.cosignatures, *(cosignature.line for cosignature in cosignatures))
                self.checkpoints[place] = replace(
                    one, cosignatures=lines, witnessed=one.witnessed or witnessed_at is not None
                )

    async def stamp(self, stamped: CheckpointTimestamp) -> None:
        raise AssertionError("no time-stamps here")

    async def timestamp(self, least_size: int) -> CheckpointTimestamp | None:
        return None


class Tree:
    """The tree's nodes; nothing else of the store is used here."""

    async def nodes(self, wanted: Sequence[Node]) -> Mapping[Node, bytes]:
        return {node: NODES[node] for node in wanted}

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        raise AssertionError("nothing is appended here")

    async def publish(self, sign: CheckpointSigner, at: datetime) -> Checkpoint | None:
        raise AssertionError("nothing is published here")

    async def entries(self, start: int, limit: int) -> Sequence[bytes]:
        raise AssertionError("nothing is read here")

    async def entries_at(self, indexes: Sequence[int]) -> Mapping[int, bytes]:
        raise AssertionError("nothing is read here")


@dataclass
class Scripted:
    """A witness that does what the test says; by default it is honest and remembers."""

    cosigner: Cosigner
    clock: FrozenClock
    size: int = 0
    fails: str = ""
    ahead: timedelta = timedelta(0)
    answers: Sequence[int] = ()
    asked: list[int] = field(default_factory=list)

    async def add_checkpoint(self, request: AddCheckpoint) -> str:
        self.asked.append(request.old_size)
        if self.fails:
            raise WitnessFailed(self.fails)
        if self.answers:
            raise WitnessBehind(self.answers[min(len(self.asked), len(self.answers)) - 1])
        head = TreeHead.parse(request.checkpoint.split("\n\n")[0] + "\n")
        if request.old_size != self.size:
            raise WitnessBehind(self.size)
        verify_consistency(self.size, head.size, ROOTS[self.size], head.root, request.path)
        self.size = head.size
        return self.cosigner.signature(head.encode(), self.clock() + self.ahead).encode()


@dataclass
class Scene:
    clock: FrozenClock
    published: Published
    witnesses: dict[str, Scripted]
    service: WitnessService

    async def round(self) -> WitnessRound:
        done = await self.service.cosign()
        assert done is not None
        return done


@pytest.fixture
def scene() -> Scene:
    clock, published = FrozenClock(START), Published()
    witnesses = {name: Scripted(one, clock) for name, one in COSIGNERS.items()}
    return Scene(clock, published, witnesses, WitnessService(Tree(), published, POLICY, witnesses, clock))


async def test_every_new_checkpoint_goes_to_everyone_with_the_path_from_the_last(scene: Scene) -> None:
    assert await scene.service.cosign() is None
    for size in (3, 8, 30):
        scene.published.publish(size, START)
        assert await scene.round() == WitnessRound(size, True, None, {}, NAMES)
        newest = await scene.published.newest()
        assert newest is not None
        assert (newest.witnessed, len(newest.cosignatures)) == (True, 3)
    assert [one.asked for one in scene.witnesses.values()] == [[0, 3, 8]] * 3
    # Nothing new, nothing asked.
    assert await scene.service.cosign() is None


async def test_a_service_that_starts_anew_knows_how_far_they_are(scene: Scene) -> None:
    scene.published.publish(3, START)
    await scene.round()
    again = WitnessService(Tree(), scene.published, POLICY, scene.witnesses, scene.clock)
    scene.published.publish(5, START)
    assert await again.cosign() == WitnessRound(5, True, None, {}, NAMES)
    assert scene.witnesses["a"].asked == [0, 3]


async def test_one_that_is_elsewhere_says_where(scene: Scene) -> None:
    scene.witnesses["a"].size = 7
    scene.published.publish(9, START)
    assert (await scene.round()).failures == {}
    assert scene.witnesses["a"].asked == [0, 7]


@pytest.mark.parametrize(
    ("answers", "reason", "asked"),
    [((20,), "AHEAD", [0]), ((0,), "FORK", [0]), ((2, 3, 4), "MOVING", [0, 2, 3]), ((2, 2), "FORK", [0, 2])],
)
async def test_answers_that_lead_nowhere_have_names(
    scene: Scene, answers: Sequence[int], reason: str, asked: list[int]
) -> None:
    scene.witnesses["a"].answers = answers
    scene.published.publish(9, START)
    done = await scene.round()
    assert (done.witnessed, done.failures) == (True, {"a": reason})
    assert scene.witnesses["a"].asked == asked


async def test_a_false_or_impossible_cosignature_does_not_count(scene: Scene) -> None:
    scene.witnesses["a"].cosigner = Cosigner("witness.example/a", Ed25519PrivateKey.generate())
    scene.witnesses["b"].ahead = timedelta(minutes=6)
    scene.published.publish(9, START)
    done = await scene.round()
    assert (done.witnessed, done.failures) == (False, {"a": "COSIGNATURE_INVALID", "b": "CLOCK_AHEAD"})
    newest = await scene.published.newest()
    assert newest is not None
    assert [line.split(" ")[1] for line in newest.cosignatures] == ["witness.example/c"]


async def test_one_that_fails_is_left_alone_for_longer_each_time(scene: Scene) -> None:
    scene.witnesses["a"].fails = "UNREACHABLE"
    scene.published.publish(9, START)
    seconds = []
    for second in range(200):
        before = len(scene.witnesses["a"].asked)
        await scene.service.cosign()
        seconds += [second] if len(scene.witnesses["a"].asked) > before else []
        scene.clock.advance(timedelta(seconds=1))
    assert seconds == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    scene.witnesses["a"].fails = ""
    scene.clock.advance(timedelta(minutes=1))
    assert (await scene.round()).failures == {}


async def test_the_quorum_may_come_from_two_processes(scene: Scene) -> None:
    """Each got one cosignature and did not see the other's; whoever looks next finds the quorum."""
    scene.published.publish(9, START)
    scene.witnesses["a"].fails = "UNREACHABLE"
    head = TreeHead(LOG.name, 9, ROOTS[9]).encode()
    lines = {name: COSIGNERS[name].signature(head, START).encode() for name in ("b", "c")}
    for name, line in lines.items():
        await scene.published.cosign(9, [WitnessCosignature(f"witness.example/{name}", line, START)], None)
    assert (await scene.round()).witnessed
    newest = await scene.published.newest()
    assert newest is not None
    assert newest.witnessed
    assert (scene.witnesses["b"].asked, scene.witnesses["c"].asked) == ([], [])


async def test_the_job_says_what_is_wrong_once_and_when_it_is_right_again(
    scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = WitnessJob(
        scene.service,
        timedelta(milliseconds=1),
        timedelta(hours=4),
        scene.clock,
        LogInstruments(metrics.get_meter("test")),
    )
    for name in ("a", "b"):
        scene.witnesses[name].fails = "HTTP_500"
    scene.published.publish(9, START)
    rounds, cosign = [], scene.service.cosign

    async def counted() -> WitnessRound | None:
        rounds.append(await cosign())
        return rounds[-1]

    monkeypatch.setattr(scene.service, "cosign", counted)
    running = asyncio.create_task(job.run())

    async def told() -> list[tuple[str, str, str]]:
        # Rounds are counted, not milliseconds: the machine may be busy. The first may have begun before the change.
        before = len(rounds)
        while len(rounds) < before + 3:
            await asyncio.sleep(0.002)
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        return [(line["event"], line["level"], line.get("witness", "")) for line in lines]

    assert await told() == [("witness_failed", "warning", "a"), ("witness_failed", "warning", "b")]
    scene.clock.advance(timedelta(minutes=2))
    assert await told() == []
    scene.clock.advance(timedelta(hours=4))
    assert await told() == [("log_quorum_missing", "error", "")]
    scene.witnesses["a"].fails = ""
    scene.clock.advance(timedelta(minutes=2))
    assert await told() == [("witness_back", "info", "a"), ("log_quorum_back", "info", "")]
    running.cancel()
