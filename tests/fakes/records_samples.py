"""Documents for tests of the records role, from the seeded sample generator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.promise import KEY_NAME
from lienthong.samples import Episode, Generator

from services.chassis.identifiers import uuid7
from services.records.convert.intake import encode_answer
from services.records.formats.document import ParsedDocument
from services.records.formats.xml130 import Xml130Format
from services.records.model import Accepted, Filing, Incoming, Rejected, Rejection
from services.records.service.answers import Answers
from services.records.service.receipts import Receipts
from tests.fakes.records_ports import verdict

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
FACILITY = "01001"


@cache
def signer() -> NoteSigner:
    return NoteSigner.generate(KEY_NAME)


@cache
def episode(seed: int = 1, facility: str = FACILITY, *, referral_to: str = "", follow_up: bool = False) -> Episode:
    return Generator(seed).episode(facility=facility, referral_to=referral_to or None, follow_up=follow_up)


@cache
def unidentified(seed: int = 1, facility: str = FACILITY) -> Episode:
    return Generator(seed).episode(facility=facility, with_identifier=False)


def parsed(of: Episode) -> ParsedDocument:
    return Xml130Format().parse(of.content)


def incoming(of: Episode | bytes, document_id: str = "HS-1", facility: str = FACILITY, **changes: Any) -> Incoming:
    content = of if isinstance(of, bytes) else of.content
    fields = {"received_at": NOW, "signatures": (), "trace_id": "a" * 32, **changes}
    return Incoming(facility=facility, document_id=document_id, format="XML130", content=content, **fields)


def accepted(
    of: Episode, document_id: str = "HS-1", person: UUID | None = None, *, held: bool = False, **changes: Any
) -> Accepted:
    read = parsed(of)
    document = incoming(of, document_id, read.facility, **changes)
    return Accepted(uuid7(), document, read, verdict(), Filing(person or uuid7(), held), NOW)


def answers(clock: Callable[[], datetime] = lambda: NOW, *, to_insurer: bool = True) -> Answers:
    return Answers(Receipts(signer()), encode_answer, clock, uuid7, to_insurer=to_insurer)


def rejected(of: Episode | bytes, document_id: str = "HS-1", reason: str = "NOT_XML", **changes: Any) -> Rejected:
    return answers().refusal(incoming(of, document_id, **changes), Rejection(reason, "content", "not XML"), None, None)
