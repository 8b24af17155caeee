"""The agent's bookkeeping: what was sent, what was answered, and the receipts. It holds no document and no patient data."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lienthong.client.tlog.receipt import Receipt


class SpoolState(Enum):
    """How far a document has come, as the agent knows it."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


@dataclass(frozen=True)
class SpoolEntry:
    """One document of the spool. `reason` is the stable reason of a rejection."""

    document_id: str
    content_sha256: str
    state: SpoolState
    submission: str
    trace_id: str
    reason: str


class Spool:
    """SQLite file `spool.db` and the folder `receipts` beside it. One process at a time writes (SQLite's own lock)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.receipts = folder / "receipts"
        self.receipts.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / "spool.db"
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS document (document_id TEXT PRIMARY KEY, content_sha256 TEXT NOT NULL, state TEXT NOT NULL,"
                " submission TEXT NOT NULL DEFAULT '', trace_id TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '')"
            )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            # An answer that is recorded survives the loss of power: the queue's copy of the document goes right after it.
            connection.execute("PRAGMA synchronous = FULL")
            yield connection

    def find(self, document_id: str) -> SpoolEntry | None:
        """The entry of a document id."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM document WHERE document_id = ?", (document_id,)).fetchone()
        return _entry(row) if row else None

    def accepted(self) -> dict[str, str]:
        """SHA-256 by document id of everything that was accepted; what a resumed run leaves out."""
        with self._connection() as connection:
            rows = connection.execute("SELECT document_id, content_sha256 FROM document WHERE state = 'ACCEPTED'")
            return {row[0]: row[1] for row in rows}

    def entries(self, limit: int = 1000) -> list[SpoolEntry]:
        """The newest entries."""
        with self._connection() as connection:
            rows = connection.execute("SELECT * FROM document ORDER BY rowid DESC LIMIT ?", (limit,))
            return [_entry(row) for row in rows]

    def record(self, entries: list[SpoolEntry]) -> None:
        """Keeps what was answered, in one transaction."""
        with self._connection() as connection:
            connection.executemany(
                "INSERT INTO document (document_id, content_sha256, state, submission, trace_id, reason) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (document_id) DO UPDATE SET content_sha256 = excluded.content_sha256, state = excluded.state,"
                " submission = excluded.submission, trace_id = excluded.trace_id, reason = excluded.reason",
                [
                    (
                        entry.document_id,
                        entry.content_sha256,
                        entry.state.value,
                        entry.submission,
                        entry.trace_id,
                        entry.reason,
                    )
                    for entry in entries
                ],
            )

    def keep_receipt(self, submission: str, receipt: Receipt) -> Path:
        """Writes a receipt under the submission's id; a complete one takes the place of the promise."""
        path = self.receipt_path(submission)
        temporary = path.with_suffix(".part")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(receipt.to_json())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        return path

    def receipt_path(self, submission: str) -> Path:
        """Where the receipt of `submissions/{uuid}` lies."""
        return self.receipts / f"{submission.removeprefix('submissions/')}.receipt.json"


def _entry(row: tuple[str, str, str, str, str, str]) -> SpoolEntry:
    document_id, content_sha256, state, submission, trace_id, reason = row
    return SpoolEntry(document_id, content_sha256, SpoolState(state), submission, trace_id, reason)
