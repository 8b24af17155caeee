"""Promise to log an entry by a deadline: the part of a receipt that is there at once.

A signed note under a key of its own, whose first line says what it is, so that it can never be taken for a checkpoint:

    lienthong.vn/receipt-promise/v1
    <base64 of SHA-256 of the exact entry bytes>
    <time of receipt, RFC 3339, UTC>
    <deadline, RFC 3339, UTC>
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lienthong.client.tlog.note import NoteMalformed, NoteSigner, VerifierKey, decode64, encode64, open_note, sign_note

KEY_NAME = "lienthong.vn/receipt-promise"
"""Name of the key that signs promises."""

FIRST_LINE = "lienthong.vn/receipt-promise/v1"
"""First line of every promise."""

MERGE_DELAY = timedelta(seconds=60)
"""Longest time from receipt to the deadline."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


class PromiseMalformed(NoteMalformed):
    """A note's text is not a promise."""


@dataclass(frozen=True)
class Promise:
    """What is promised: the entry with this SHA-256 (32 bytes), received at a time (UTC), will be in the log by the
    deadline.
    """

    entry_hash: bytes
    received_at: datetime
    deadline: datetime

    @classmethod
    def parse(cls, text: str) -> Promise:
        """Reads the text of a note; raises PromiseMalformed."""
        lines = text.split("\n")
        if len(lines) != 5 or lines[4] or lines[0] != FIRST_LINE:
            raise PromiseMalformed("not a promise")
        try:
            entry_hash = decode64(lines[1])
        except NoteMalformed as error:
            raise PromiseMalformed("the entry hash is not base64") from error
        received_at, deadline = parse_time(lines[2]), parse_time(lines[3])
        if len(entry_hash) != 32 or received_at is None or deadline is None:
            raise PromiseMalformed("a wrong entry hash or time")
        return cls(entry_hash, received_at, deadline)

    def encode(self) -> str:
        """The text to sign."""
        lines = (FIRST_LINE, encode64(self.entry_hash), format_time(self.received_at), format_time(self.deadline))
        return "\n".join(lines) + "\n"


def promise_entry(entry: bytes, received_at: datetime, signer: NoteSigner, delay: timedelta = MERGE_DELAY) -> str:
    """The signed promise for an entry. `received_at` MUST be the time that the entry states."""
    promise = Promise(hashlib.sha256(entry).digest(), received_at, received_at + delay)
    return sign_note(promise.encode(), [signer])


def open_promise(note: str, keys: Iterable[VerifierKey]) -> Promise:
    """Verifies a promise; raises NoteMalformed (PromiseMalformed), NoteKeyUnknown or NoteSignatureInvalid."""
    return Promise.parse(open_note(note, keys).text)


def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`; microseconds only where there are some. Raises ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError("a time without zone")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime | None:
    """The time of an RFC 3339 text in UTC with `Z` and at most 6 decimals, else None."""
    if not _TIME.fullmatch(text) or not text.isascii():
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
