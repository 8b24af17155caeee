"""The feed of the person index."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from lienthong.identity.v1 import person_pb2, person_service_pb2

from services.chassis.feed import Batch, Redirect

_FULL_ANSWER = 500
"""Changes of a full answer of the index's feed."""
# What is remembered of an entry that stands for itself: it was linked, or unconfirmed, and documents may say so.
_REMEMBERED = frozenset(
    {person_service_pb2.PERSON_CHANGE_KIND_UNLINKED, person_service_pb2.PERSON_CHANGE_KIND_IDENTIFIED}
)


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
