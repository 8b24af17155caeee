"""Receipts: the log entry with its salted commitment, and the promise to log it (trust.md §2.2)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.promise import format_time, promise_entry
from lienthong.client.tlog.receipt import commitment

from services.records.model import Accepted, Receipt, log_kind

SALT_BYTES = 32


class Receipts:
    """Makes receipts. The key signs promises and nothing else."""

    def __init__(self, signer: NoteSigner, random: Callable[[int], bytes] = os.urandom) -> None:
        self._signer = signer
        self._random = random

    def make(self, document: Accepted, sequence: int) -> Receipt:
        """The receipt of an accepted document that has its number."""
        salt = self._random(SALT_BYTES)
        incoming = document.incoming
        entry = json.dumps(
            {
                "v": 1,
                "kind": log_kind(document.parsed.kinds),
                "facility": incoming.facility,
                "sequence": sequence,
                "submission": str(document.id),
                "commitment": commitment(salt, incoming.content).hex(),
                "signer_certificate_sha256": document.verdict.signer_certificate_sha256,
                "indication": document.verdict.indication,
                "received_at": format_time(incoming.received_at),
            },
            separators=(",", ":"),
        ).encode()
        return Receipt(entry, salt, promise_entry(entry, incoming.received_at, self._signer), incoming.trace_id)
