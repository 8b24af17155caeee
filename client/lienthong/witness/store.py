"""What a witness remembers: the last checkpoint of each log that it cosigned, on disk before a cosignature leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_SCHEMA = """
CREATE TABLE latest (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL) STRICT;
CREATE TABLE fork (number INTEGER PRIMARY KEY, origin TEXT NOT NULL, note TEXT NOT NULL, seen_at TEXT NOT NULL) STRICT;
"""
_MOST_FORKS = 1000
"""Notes that contradict a cosigned one are evidence against the log; this many are kept."""


class StoreMissing(Exception):
    """The database is not there, or is not a witness's."""


@dataclass(frozen=True)
class Seen:
    """The last cosigned checkpoint of a log: size, root hash (32 bytes) and signed note."""

    size: int
    root: bytes
    note: str


class WitnessStore:
    """The database of a witness. Used by one thread at a time; several processes may share the file.

    It is never created on the way: a witness that lost its memory would cosign a second history.
    """

    def __init__(self, path: Path) -> None:
        """Opens it; raises StoreMissing."""
        try:
            self._connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=5, check_same_thread=False
            )
            # FULL: the write-ahead log is on the disk when a commit returns.
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("SELECT count(*) FROM latest")
        except sqlite3.Error as error:
            raise StoreMissing(f"{path}: no database of a witness; `init` makes one") from error

    @classmethod
    def create(cls, path: Path) -> None:
        """Makes an empty one, mode 0600; raises FileExistsError."""
        path.touch(mode=0o600, exist_ok=False)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes it."""
        self._connection.close()

    def latest(self, origin: str) -> Seen | None:
        """The last checkpoint of a log."""
        row = self._connection.execute("SELECT size, root, note FROM latest WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Seen(*row)

    def advance(self, origin: str, check: Callable[[Seen | None], Seen]) -> None:
        """Puts what `check` returns in the place of the last checkpoint, on disk when it returns. Nobody comes between the reading and the
        writing; what `check` raises passes, and nothing is changed then.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            seen = check(self.latest(origin))
            self._connection.execute(
                "INSERT INTO latest (origin, size, root, note) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note",
                (origin, seen.size, seen.root, seen.note),
            )
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise

    def keep_fork(self, origin: str, note: str) -> None:
        """Keeps a signed note that contradicts the cosigned one of the same size: proof of the log's misbehaviour."""
        self._connection.execute(
            "INSERT INTO fork (origin, note, seen_at) SELECT ?, ?, ? WHERE (SELECT count(*) FROM fork) < ?",
            (origin, note, datetime.now(UTC).isoformat(), _MOST_FORKS),
        )

    def forks(self, origin: str) -> list[str]:
        """The notes that contradict a cosigned one."""
        rows = self._connection.execute("SELECT note FROM fork WHERE origin = ? ORDER BY number", (origin,))
        return [str(row[0]) for row in rows]
