"""Asking witnesses to cosign checkpoints (C2SP tlog-witness), and what to do while they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lienthong.client.tlog.checkpoint import cosignatures, open_checkpoint
from lienthong.client.tlog.merkle import consistency_path, nodes_for_consistency
from lienthong.client.tlog.note import NoteError, VerifierKey
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.receipt import CLOCK_TOLERANCE
from lienthong.client.tlog.witness import AddCheckpoint

from services.chassis.clock import Clock
from services.signing.model import Checkpoint, WitnessCosignature
from services.signing.ports import CheckpointStore, LogStore, Witness, WitnessBehind, WitnessFailed

_TRIES = 3
"""How often a witness is asked in one round: the first answer may only say where it stands, and another writer may have moved it."""
_LONGEST_PAUSE = timedelta(seconds=60)


@dataclass(frozen=True)
class WitnessRound:
    """What came of one round: the checkpoint's size, whether it has the quorum, since when the quorum is missing, by witness why it gave no
    cosignature (`UNREACHABLE`, `HTTP_422`, ...), and who gave one."""

    size: int
    witnessed: bool
    missing_since: datetime | None
    failures: Mapping[str, str]
    cosigned: tuple[str, ...] = ()


@dataclass
class _State:
    """How far a witness is, and until when it is left alone after failures."""

    size: int = 0
    pause: timedelta = timedelta(0)
    rest_until: datetime | None = None


class WitnessService:
    """Gets the newest checkpoint cosigned. A witness that fails is asked again after a pause that doubles, at most a minute."""

    def __init__(
        self,
        log: LogStore,
        checkpoints: CheckpointStore,
        policy: TrustPolicy,
        witnesses: Mapping[str, Witness],
        clock: Clock,
    ) -> None:
        """`witnesses` are reached by the names that the policy gives them."""
        self._log = log
        self._checkpoints = checkpoints
        self._policy = policy
        self._witnesses = witnesses
        self._clock = clock
        self._states: dict[str, _State] | None = None

    async def cosign(self) -> WitnessRound | None:
        """One round over the newest checkpoint, all witnesses at once; None when there is nothing to ask for."""
        newest = await self._checkpoints.newest()
        if newest is None:
            return None
        signed = {line.split(" ", 2)[1] for line in newest.cosignatures}
        missing = [name for name in self._witnesses if self._policy.witnesses[name].name not in signed]
        states = await self._known()
        due = [name for name in missing if _due(states[name], self._clock())]
        if not due and newest.witnessed:
            return None
        failures: dict[str, str] = {}
        found = await asyncio.gather(*(self._ask(name, newest, states[name], failures) for name in due))
        cosigned = [cosignature for cosignature in found if cosignature is not None]
        witnessed = newest.witnessed or self._quorum(newest, cosigned)
        now_witnessed = witnessed and not newest.witnessed
        if cosigned or now_witnessed:
            # Another process may have brought the cosignatures that make up the quorum together with ours.
            await self._checkpoints.cosign(newest.size, cosigned, self._clock() if now_witnessed else None)
        since = None if witnessed else await self._checkpoints.unwitnessed_since()
        names = tuple(name for name, cosignature in zip(due, found, strict=True) if cosignature is not None)
        return WitnessRound(newest.size, witnessed, since, failures, names)

    async def _known(self) -> dict[str, _State]:
        if self._states is None:
            sizes = await self._checkpoints.last_cosigned()
            keys = self._policy.witnesses
            self._states = {name: _State(sizes.get(keys[name].name, 0)) for name in self._witnesses}
        return self._states

    async def _ask(
        self, name: str, checkpoint: Checkpoint, state: _State, failures: dict[str, str]
    ) -> WitnessCosignature | None:
        try:
            lines = await self._answer(self._witnesses[name], checkpoint, state)
            cosignature = _verified(checkpoint, lines, self._policy, self._policy.witnesses[name])
            if cosignature.seen_at > self._clock() + CLOCK_TOLERANCE:
                # No verifier would take it.
                raise WitnessFailed("CLOCK_AHEAD")
        except WitnessFailed as failed:
            failures[name] = failed.reason
            state.pause = min(max(state.pause * 2, timedelta(seconds=1)), _LONGEST_PAUSE)
            state.rest_until = self._clock() + state.pause
            return None
        state.size, state.pause, state.rest_until = checkpoint.size, timedelta(0), None
        return cosignature

    async def _answer(self, witness: Witness, checkpoint: Checkpoint, state: _State) -> str:
        for _ in range(_TRIES):
            if state.size > checkpoint.size:
                raise WitnessFailed("AHEAD")
            nodes = await self._log.nodes(nodes_for_consistency(state.size, checkpoint.size))
            path = tuple(consistency_path(state.size, checkpoint.size, nodes))
            try:
                return await witness.add_checkpoint(AddCheckpoint(state.size, path, checkpoint.note))
            except WitnessBehind as behind:
                if behind.size == state.size:
                    # It has another root at our size: it saw another history.
                    raise WitnessFailed("FORK") from None
                state.size = behind.size
        raise WitnessFailed("MOVING")

    def _quorum(self, checkpoint: Checkpoint, more: list[WitnessCosignature]) -> bool:
        note = replace(checkpoint, cosignatures=(*checkpoint.cosignatures, *(one.line for one in more))).cosigned
        _, opened = open_checkpoint(note, self._policy.logs)
        return self._policy.satisfied({seen.key for seen in cosignatures(opened, self._policy.witnesses.values())})


def _due(state: _State, now: datetime) -> bool:
    return state.rest_until is None or now >= state.rest_until


def _verified(checkpoint: Checkpoint, lines: str, policy: TrustPolicy, key: VerifierKey) -> WitnessCosignature:
    """The cosignature of one witness in its answer; lines of other keys are ignored, as the specification demands."""
    try:
        _, opened = open_checkpoint(checkpoint.note + lines, policy.logs)
        (seen,) = cosignatures(opened, [key])
    except (NoteError, ValueError):
        raise WitnessFailed("COSIGNATURE_INVALID") from None
    (line,) = (one for one in opened.note.signatures if (one.name, one.key_id) == (key.name, key.key_id))
    return WitnessCosignature(key.name, line.encode(), seen.seen_at)
