"""The identity role as the consent role sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID

import grpc
from lienthong.identity.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc

from services.chassis.feed import Batch, Redirect
from services.chassis.peers import stream_peer

_WATCH_SECONDS = 3600.0
_FULL_ANSWER = 500
"""Changes of a full answer of the index's feed."""
# What is remembered of an entry that stands for itself: it was linked, or unconfirmed, and documents may say so.
_REMEMBERED = frozenset(
    {person_service_pb2.PERSON_CHANGE_KIND_UNLINKED, person_service_pb2.PERSON_CHANGE_KIND_IDENTIFIED}
)


class GrpcPersonFeed:
    """The feed of the person index."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = person_service_pb2_grpc.PersonServiceStub(channel)

    async def open(self, cursor: str) -> AsyncGenerator[Batch[Redirect], None]:
        """Follows after a cursor, for an hour at the most; who wants more asks again."""
        request = person_service_pb2.WatchPersonsRequest(cursor=cursor)
        async with aclosing(
            stream_peer(self._stub.WatchPersons, request, timeout=_WATCH_SECONDS, name="identity")
        ) as answers:
            async for answer in answers:
                yield person_batch(answer)


def person_batch(answer: person_service_pb2.WatchPersonsResponse) -> Batch[Redirect]:
    """What an answer of the index's feed says of its entries. An answer that is not full had all there was."""
    times = [change.change_time.ToDatetime(UTC) for change in answer.changes]
    return Batch(
        items=[_redirect(change, at) for change, at in zip(answer.changes, times, strict=True)],
        cursor=answer.cursor,
        complete=len(answer.changes) < _FULL_ANSWER,
        oldest=min(times, default=None),
    )


def _redirect(change: person_service_pb2.PersonChange, at: datetime) -> Redirect:
    person, current = (UUID(name.removeprefix("persons/")) for name in (change.person, change.current_person))
    held = change.current_state == person_pb2.PERSON_STATE_PROVISIONAL
    return Redirect(person, current, held, at, kept=person != current or change.kind in _REMEMBERED)
