"""Provisional persons registered while the gateway could not be reached: what is on their wristbands, until it is sent.

No name and no patient number: sex, an estimated age, when the patient came, and what was issued here.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from lienthong.client import wristband
from lienthong.client.temporary_identifier import issue

ALIAS_LIFE = timedelta(days=90)
"""For so long no other patient is called so."""


@dataclass(frozen=True)
class Registration:
    """One wristband. `person` is `persons/{uuid}` once it was sent, else empty."""

    temporary_identifier: str
    alias: str
    kind: str
    sex: str
    age: int | None
    arrived: datetime
    request_id: str
    person: str = ""


class Registrations:
    """SQLite file `registrations.db` in the spool's folder; several processes may use it (SQLite's own lock)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / "registrations.db"
        with self._connection() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS registration (temporary_identifier TEXT PRIMARY KEY, alias TEXT NOT NULL, kind TEXT NOT NULL,"
                " sex TEXT NOT NULL, age INTEGER, arrived TEXT NOT NULL, request_id TEXT NOT NULL, person TEXT NOT NULL DEFAULT '')"
            )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # The lock is taken at the beginning: a wristband is chosen and kept under it, and two processes cannot choose the same.
        with closing(sqlite3.connect(self._path, timeout=10, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            # Not reached after an exception: closing the connection takes everything back.
            connection.execute("COMMIT")

    def issue(
        self, facility: str, kind: str, sex: str, age: int | None, arrived: datetime, now: datetime
    ) -> Registration:
        """A new wristband: an identifier of the facility, and an alias that none of its patients had here in the last 90 days."""
        with self._connection() as connection:
            since = (now - ALIAS_LIFE).isoformat()
            used = {row[0] for row in connection.execute("SELECT alias FROM registration WHERE arrived > ?", (since,))}
            made = Registration(str(issue(facility)), wristband.issue(used), kind, sex, age, arrived, str(uuid.uuid4()))
            connection.execute(
                "INSERT INTO registration VALUES (?, ?, ?, ?, ?, ?, ?, '')",
                (made.temporary_identifier, made.alias, kind, sex, age, arrived.isoformat(), made.request_id),
            )
        return made

    def pending(self) -> list[Registration]:
        """Those that were not sent, in the order they were made."""
        with self._connection() as connection:
            rows = connection.execute("SELECT * FROM registration WHERE person = '' ORDER BY rowid").fetchall()
        return [_registration(*row) for row in rows]

    def sent(self, registration: Registration, person: str, alias: str) -> Registration:
        """Keeps that a registration was answered, under the alias that the patient has now."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE registration SET person = ?, alias = ? WHERE temporary_identifier = ?",
                (person, alias, registration.temporary_identifier),
            )
        return replace(registration, person=person, alias=alias)


def _registration(
    number: str, alias: str, kind: str, sex: str, age: int | None, arrived: str, request_id: str, person: str
) -> Registration:
    return Registration(number, alias, kind, sex, age, datetime.fromisoformat(arrived), request_id, person)
