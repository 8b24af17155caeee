"""Links, their history and source records."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from lienthong.identity.v1 import person_link_pb2, person_link_service_pb2, person_service_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.identity import links
from services.identity.convert.scalars import numbers, request_uuid, resource_id, stamp
from services.identity.fold import SOURCE_RECORD
from services.identity.service import Reading, Wish

STATE = numbers(links.LinkState, person_link_pb2.PersonLinkState, "PERSON_LINK_STATE")
METHOD = numbers(links.LinkMethod, person_link_pb2.LinkMethod, "LINK_METHOD")
KIND = numbers(links.LinkEventKind, person_link_pb2.LinkEventKind, "LINK_EVENT_KIND")
EVIDENCE = numbers(links.IdentificationEvidence, person_service_pb2.IdentificationEvidence, "IDENTIFICATION_EVIDENCE")
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def gathered(**checks: Callable[[], Any]) -> dict[str, Any]:
    """What each check gives, by name; InvalidArgument naming all wrong fields at once."""
    found: dict[str, Any] = {}
    wrong: list[FieldViolation] = []
    for name, check in checks.items():
        try:
            found[name] = check()
        except InvalidArgument as error:
            wrong += error.violations
    if wrong:
        raise InvalidArgument.of(*wrong)
    return found


def reason_in(code: str) -> str:
    """A reason code; InvalidArgument when it is none, so that nobody writes a name into it."""
    if not _REASON.fullmatch(code):
        raise InvalidArgument.of(FieldViolation("reason", "UPPER_SNAKE, 1 to 64 characters", "REASON_INVALID"))
    return code


def person_id(name: str, field: str) -> UUID:
    """The id of `persons/{uuid}`."""
    return resource_id(name, "persons", field)


def wish_in(message: person_link_service_pb2.LinkPersonsRequest) -> tuple[Wish, str]:
    """What a steward asks to link, and the request id."""
    found = gathered(
        request=lambda: request_uuid(message.request_id),
        person=lambda: person_id(message.person, "person"),
        target=lambda: person_id(message.target, "target"),
        reason=lambda: reason_in(message.reason),
    )
    wish = Wish(
        found["person"],
        found["target"],
        found["reason"],
        message.person_etag,
        message.target_etag,
        message.override_refusal,
    )
    return wish, found["request"]


def link_message(link: links.PersonLink) -> person_link_pb2.PersonLink:
    """A link in proto."""
    return person_link_pb2.PersonLink(
        name=link.name,
        person=f"persons/{link.person}",
        target=f"persons/{link.target}",
        state=STATE[link.state],
        method=METHOD[link.method],
        evidence=EVIDENCE[link.evidence] if link.evidence else person_service_pb2.IDENTIFICATION_EVIDENCE_UNSPECIFIED,
        reason=link.reason,
        create_time=stamp(link.created_at),
        etag=link.etag,
    )


def event_message(event: links.LinkEvent) -> person_link_pb2.LinkEvent:
    """A line of the history in proto."""
    record = (event.detail or {}).get(SOURCE_RECORD)
    return person_link_pb2.LinkEvent(
        id=str(event.id),
        kind=KIND[event.kind],
        link=f"personLinks/{event.link}" if event.link else "",
        person=f"persons/{event.person}",
        target=f"persons/{event.target}",
        method=METHOD[event.method],
        actor=event.actor,
        reason=event.reason,
        model_version=event.model_version,
        score=event.score,
        event_time=stamp(event.at),
        source_record=f"sourceRecords/{record}" if record else "",
    )


def record_message(record: links.FiledRecord) -> person_link_service_pb2.SourceRecordItem:
    """How a source record is filed, in proto; nothing of what it said."""
    return person_link_service_pb2.SourceRecordItem(
        name=record.name,
        organization=f"organizations/{record.key.facility}",
        person=f"persons/{record.person}",
        outcome=record.outcome.value,
        file_time=stamp(record.at),
    )


def consequence_message(reading: Reading) -> person_link_pb2.LinkConsequence:
    """A reading that a link made possible, in proto."""
    return person_link_pb2.LinkConsequence(
        organization=f"organizations/{reading.facility}" if reading.facility else "",
        read_time=stamp(reading.at),
        access=f"accesses/{reading.id}",
        person=f"persons/{reading.person}",
    )
