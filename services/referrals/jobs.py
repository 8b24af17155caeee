"""Background loops of the referrals role."""

from __future__ import annotations

from collections.abc import Sequence

from services.chassis.errors import PeerRefused
from services.chassis.outbox import DONE, Dead, Message, Outcome, Retry
from services.chassis.telemetry import Telemetry
from services.referrals import telemetry
from services.referrals.ports import DecisionPoint, Relations

_WRONG = "FIELD_INVALID"
"""Reason by which a peer says that it will never take what it was told."""


class RelationRelay:
    """Tells the role that decides who treats whom. One fact that it refuses does not stop the others."""

    def __init__(self, relations: Relations, decisions: DecisionPoint, spans: Telemetry) -> None:
        self._relations = relations
        self._decisions = decisions
        self._spans = spans

    async def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Tells a batch, and one by one what is refused as a batch. What is not there any more needs no telling."""
        with self._spans.span(telemetry.SPAN_RELATIONS, parent=messages[0].trace):
            found = await self._relations.relations([message.aggregate for message in messages])
            if not found:
                return [DONE] * len(messages)
            try:
                await self._decisions.record(list(found.values()))
            except PeerRefused as error:
                if len(messages) == 1:
                    return [Dead(error.peer_reason) if error.peer_reason == _WRONG else Retry(error.peer_reason)]
            else:
                return [DONE] * len(messages)
        return [(await self.deliver([message]))[0] for message in messages]
