"""The health book's view of one document, cut into parts by kind, so that a read opens what it may show and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from services.records.formats.document import ContentKind, ParsedDocument
from services.records.formats.health_book import HealthBookEntry

HEALTH_BOOK_KINDS = frozenset(
    {
        ContentKind.ENCOUNTER_SUMMARY,
        ContentKind.PRESCRIPTION,
        ContentKind.SERVICE,
        ContentKind.DIAGNOSTIC_REPORT,
        ContentKind.RECORD_SUMMARY,
        ContentKind.FOLLOW_UP,
    }
)
_MEMBERS: Mapping[ContentKind, tuple[str, ...]] = {
    ContentKind.PRESCRIPTION: ("drugs",),
    ContentKind.SERVICE: ("procedures",),
    ContentKind.DIAGNOSTIC_REPORT: ("results",),
    ContentKind.RECORD_SUMMARY: ("summary",),
}
_BLANK = HealthBookEntry("", "", None, None, "", "", "", "", "", (), "", "")


def cut(document: ParsedDocument) -> dict[ContentKind, bytes]:
    """The parts of a document, JSON; empty for one without an episode summary."""
    if document.health_book_entry is None:
        return {}
    members: dict[str, Any] = json.loads(document.health_book_entry.to_json())
    owners = dict(_MEMBERS)
    if document.follow_up is not None:
        # The next visit is then the slip's own statement and goes with the slip.
        owners[ContentKind.FOLLOW_UP] = ("next_visit",)
    parts: dict[ContentKind, dict[str, Any]] = {}
    for kind, names in owners.items():
        part = {name: members.pop(name) for name in names}
        if any(part.values()):
            parts[kind] = part
    parts[ContentKind.ENCOUNTER_SUMMARY] = members
    return {kind: _json(part) for kind, part in parts.items()}


def join(parts: Mapping[ContentKind, bytes]) -> HealthBookEntry:
    """The entry that some of the parts make; what is not among them is empty."""
    members: dict[str, Any] = json.loads(_BLANK.to_json())
    for part in parts.values():
        members.update(json.loads(part))
    return HealthBookEntry.from_json(_json(members))


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
