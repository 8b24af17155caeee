"""What a monitor remembers, in one SQLite file: the last verified tree, the numbers of facilities, its own entries."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS own_entry (leaf_hash BLOB PRIMARY KEY, leaf_index INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled_receipt (sha256 BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (number INTEGER PRIMARY KEY, note TEXT NOT NULL UNIQUE, seen_at TEXT NOT NULL) STRICT;
"""
_MOST_EVIDENCE = 1000


class StateInvalid(Exception):
    """The state file is not a monitor's, or belongs to another log or other facilities."""


@dataclass
class Followed:
    """How far the log was followed: size and frontier of the verified tree, the checkpoint's note, the state of the facilities' numbers, and when
    a checkpoint last had the quorum."""

    size: int
    edge: list[bytes]
    note: str
    numbers: list[Any]
    witnessed_at: datetime


class MonitorState:
    """The state file. It grows by 40 bytes for each entry of the monitor's own facilities."""

    def __init__(self, path: Path) -> None:
        """Opens it, or makes a new one (mode 0600); raises StateInvalid."""
        path.touch(mode=0o600)
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            self._connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise StateInvalid(f"{path}: not the state of a monitor") from error

    def close(self) -> None:
        """Closes it."""
        self._connection.close()

    def belongs(self, facilities: Sequence[str]) -> None:
        """Raises StateInvalid when the entries of other facilities were collected so far."""
        wanted = json.dumps(sorted(facilities))
        if self._kept("facilities", wanted) != wanted:
            raise StateInvalid(f"{self._path}: follows other facilities; give a new file")
        self._keep("facilities", wanted)

    def followed(self, now: datetime) -> Followed:
        """How far the log was followed; of a new file, nothing, with `now` as the time when waiting for the quorum began."""
        raw = json.loads(self._kept("followed", "{}"))
        return Followed(
            size=int(raw.get("size", 0)),
            edge=[bytes.fromhex(digest) for digest in raw.get("edge", [])],
            note=str(raw.get("note", "")),
            numbers=raw.get("numbers", []),
            witnessed_at=datetime.fromisoformat(raw["witnessed_at"]) if "witnessed_at" in raw else now,
        )

    def advance(self, followed: Followed, own: Sequence[tuple[bytes, int]]) -> None:
        """Keeps how far the log was followed, and own entries (leaf hash, index) on the way there."""
        with self._transaction():
            self._connection.executemany("INSERT OR IGNORE INTO own_entry VALUES (?, ?)", own)
            raw = {
                "size": followed.size,
                "edge": [digest.hex() for digest in followed.edge],
                "note": followed.note,
                "numbers": followed.numbers,
                "witnessed_at": followed.witnessed_at.isoformat(),
            }
            self._keep("followed", json.dumps(raw))

    def index_of(self, leaf: bytes) -> int | None:
        """Where an own entry is in the log."""
        row = self._connection.execute("SELECT leaf_index FROM own_entry WHERE leaf_hash = ?", (leaf,)).fetchone()
        return None if row is None else int(row[0])

    def settled(self, sha256: bytes) -> bool:
        """Whether a receipt was found good for ever."""
        return bool(self._connection.execute("SELECT 1 FROM settled_receipt WHERE sha256 = ?", (sha256,)).fetchone())

    def settle(self, sha256: bytes) -> None:
        """A receipt was found good for ever: complete, and under a checkpoint of the log's history."""
        self._connection.execute("INSERT OR IGNORE INTO settled_receipt VALUES (?)", (sha256,))

    def keep_evidence(self, notes: Sequence[str]) -> None:
        """Keeps signed notes that contradict each other."""
        at = datetime.now(UTC).isoformat()
        self._connection.executemany(
            "INSERT OR IGNORE INTO evidence (note, seen_at) SELECT ?, ? WHERE (SELECT count(*) FROM evidence) < ?",
            [(note, at, _MOST_EVIDENCE) for note in notes if note],
        )

    def evidence(self) -> list[str]:
        """The notes."""
        return [str(row[0]) for row in self._connection.execute("SELECT note FROM evidence ORDER BY number")]

    def _kept(self, name: str, default: str) -> str:
        row = self._connection.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return default if row is None else str(row[0])

    def _keep(self, name: str, value: str) -> None:
        self._connection.execute(
            "INSERT INTO kept VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
