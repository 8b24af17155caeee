"""Lines of the feed, and cursors."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from lienthong.identity.v1 import person_pb2, person_service_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.paging import decode_token, encode_token
from services.identity.convert.scalars import numbers, stamp
from services.identity.errors import CursorInvalid
from services.identity.links import ChangeKind, FeedPlace, PersonChange

_KIND = numbers(ChangeKind, person_service_pb2.PersonChangeKind, "PERSON_CHANGE_KIND")
_BOUND = "WatchPersons"
_LARGEST = 2**63


def place_in(cursor: str) -> FeedPlace:
    """Where a cursor goes on; no cursor means the beginning. Raises CursorInvalid."""
    try:
        key = decode_token(cursor, _BOUND)
        place = FeedPlace(int(key[0]), UUID(key[1])) if key else FeedPlace()
    except (InvalidArgument, ValueError, IndexError):
        place = FeedPlace(-1)
    if not 0 <= place.xid < _LARGEST:
        violation = FieldViolation("cursor", "a cursor of a former answer", "CURSOR_INVALID")
        raise CursorInvalid("the cursor is not one of this feed", violations=(violation,))
    return place


def page_message(changes: Sequence[PersonChange], place: FeedPlace) -> person_service_pb2.WatchPersonsResponse:
    """An answer; without changes it is a heartbeat."""
    return person_service_pb2.WatchPersonsResponse(
        changes=[_change(one) for one in changes], cursor=encode_token((str(place.xid), str(place.id)), _BOUND)
    )


def _change(change: PersonChange) -> person_service_pb2.PersonChange:
    moved = change.kind is ChangeKind.SOURCE_MOVED
    return person_service_pb2.PersonChange(
        id=str(change.id),
        person=f"persons/{change.person}",
        kind=_KIND[change.kind],
        current_person=f"persons/{change.current}",
        current_state=person_pb2.PERSON_STATE_PROVISIONAL if change.provisional else person_pb2.PERSON_STATE_ACTIVE,
        change_time=stamp(change.at),
        source_record=f"sourceRecords/{change.source_record}" if moved else "",
        former_person=f"persons/{change.former}" if moved and change.former else "",
    )
