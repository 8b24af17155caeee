"""`python -m services.consent audit-ledger`: recomputes every ledger from its lines up, and names each fault.

It needs the database (reading is enough) and, for the anchors' places in the log, the trust file; it sees one moment of the database, so decisions
may go on meanwhile. Memory is bounded: lines are read once, in order, with what belongs to each beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from lienthong.client.ledger import Anchor, LedgerError, verify_anchor
from lienthong.client.tlog.merkle import HASH_SIZE
from lienthong.client.tlog.policy import PolicyInvalid, TrustPolicy, load_policy
from psycopg.rows import dict_row
from sqlalchemy.engine import make_url

from services.chassis.settings import DatabaseSettings, SettingsError, load
from services.chassis.status import write_problems
from services.consent.model import NO_HASH, Access
from services.consent.postgres import rows

_MOST_FAULTS = 10_000
_ROWS = 2_000
_LINES = """
    SELECT line.*, d.id IS NOT NULL AS decided, h.sequence AS head_sequence, h.hash AS head_hash,
           a.head_hash AS anchored_hash, a.salt, a.leaf_index, a.path, e.tree_size, e.entry, coalesce(e.tlog_proof, '') AS tlog_proof
    FROM access_entry line
    LEFT JOIN decision d ON d.person_id = line.person_id AND d.id = line.decision_id
    LEFT JOIN ledger_head h ON h.person_id = line.person_id
    LEFT JOIN ledger_anchor a ON a.person_id = line.person_id AND a.sequence = line.sequence
    LEFT JOIN anchor_entry e ON e.id = a.anchor_entry_id
    ORDER BY line.person_id, line.sequence
"""
# What should have a line and has none: decisions, anchored heads, and ledgers that are gone whole.
_LINELESS = {
    "DECISION_WITHOUT_LINE": """
        SELECT d.person_id, d.id::text FROM decision d
        WHERE NOT EXISTS (SELECT FROM access_entry l WHERE l.person_id = d.person_id AND l.decision_id = d.id)
    """,
    "ANCHOR_WITHOUT_LINE": """
        SELECT a.person_id, a.sequence::text FROM ledger_anchor a
        WHERE NOT EXISTS (SELECT FROM access_entry l WHERE l.person_id = a.person_id AND l.sequence = a.sequence)
    """,
    "LEDGER_MISSING": """
        SELECT h.person_id, h.sequence::text FROM ledger_head h
        WHERE h.sequence > 0 AND NOT EXISTS (SELECT FROM access_entry l WHERE l.person_id = h.person_id)
    """,
}


@dataclass(frozen=True)
class Fault:
    """One fault: its stable name, the entry of the index whose ledger it is in, and the place in it."""

    name: str
    person: UUID
    where: str

    def __str__(self) -> str:
        return f"{self.name} persons/{self.person} {self.where}"


@dataclass
class Summary:
    """How much was looked at."""

    lines: int = 0
    ledgers: int = 0
    anchors: int = 0

    def __str__(self) -> str:
        return f"{self.lines} lines, {self.ledgers} ledgers, {self.anchors} anchors"


@dataclass(frozen=True)
class AuditSettings:
    """`witness_policy` is the trust file with the log's key, the witnesses and the quorum; none leaves the anchors' places in the log unchecked."""

    database: DatabaseSettings
    witness_policy: Path | None = None


class Audit:
    """One check over one connection, whose transaction is repeatable read."""

    def __init__(self, connection: psycopg.Connection[Any], policy: TrustPolicy | None) -> None:
        self.summary = Summary()
        self._connection = connection
        self._policy = policy

    def run(self) -> Iterator[Fault]:
        """All faults, ledger by ledger."""
        before: Access | None = None
        head: tuple[int, bytes] | None = None
        for row in self._rows("lines", _LINES):
            line = rows.access_in(row)
            if before is None or line.person != before.person:
                yield from _end(before, head)
                before, self.summary.ledgers = None, self.summary.ledgers + 1
                head = (row["head_sequence"], bytes(row["head_hash"])) if row["head_hash"] is not None else None
            yield from self._line(row, line, before)
            before = line
        yield from _end(before, head)
        for name, statement in _LINELESS.items():
            for row in self._rows(name.lower(), statement):
                person, where = row.values()
                yield Fault(name, person, where)

    def _line(self, row: rows.Row, line: Access, before: Access | None) -> Iterator[Fault]:
        self.summary.lines += 1
        number, previous = (before.sequence, before.hash) if before else (0, NO_HASH)
        if line.sequence != number + 1:
            yield Fault("LINE_MISSING", line.person, f"{number + 1}-{line.sequence - 1}")
        elif line.previous_hash != previous:
            yield Fault("LINE_ALTERED", line.person, f"{number or 1} or {line.sequence}")
        if line.hash != bytes(row["hash"]):
            yield Fault("LINE_HASH_MISMATCH", line.person, str(line.sequence))
        if not row["decided"]:
            yield Fault("LINE_WITHOUT_DECISION", line.person, str(line.sequence))
        if row["anchored_hash"] is not None:
            yield from self._anchor(row, line)

    def _anchor(self, row: rows.Row, line: Access) -> Iterator[Fault]:
        self.summary.anchors += 1
        if bytes(row["anchored_hash"]) != line.hash:
            yield Fault("ANCHOR_HASH_MISMATCH", line.person, str(line.sequence))
        elif self._policy is not None and row["tlog_proof"]:
            path = bytes(row["path"])
            anchor = Anchor(
                line.person,
                line.sequence,
                line.hash,
                bytes(row["salt"]),
                row["leaf_index"],
                row["tree_size"],
                tuple(path[at : at + HASH_SIZE] for at in range(0, len(path), HASH_SIZE)),
                bytes(row["entry"]),
                row["tlog_proof"],
            )
            try:
                verify_anchor(anchor, self._policy)
            except LedgerError as error:
                yield Fault(error.reason, line.person, str(line.sequence))

    def _rows(self, name: str, statement: str) -> Iterator[Any]:
        with self._connection.cursor(name=f"audit_{name}", row_factory=dict_row) as cursor:
            cursor.itersize = _ROWS
            cursor.execute(statement)
            yield from cursor


def _end(last: Access | None, head: tuple[int, bytes] | None) -> Iterator[Fault]:
    """What the head says of the ledger that ends here."""
    if last is not None and head != (last.sequence, last.hash):
        yield Fault("HEAD_MISMATCH", last.person, f"{last.sequence} head {head[0] if head else 'missing'}")


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Prints each fault on a line; 0 when there is none, 1 when there are, 2 when it could not be run."""
    try:
        settings = load(AuditSettings, environ)
        policy = load_policy(settings.witness_policy.read_text("utf-8")) if settings.witness_policy else None
    except SettingsError as error:
        write_problems(error.problems)
        return 2
    except (OSError, PolicyInvalid) as error:
        write_problems([f"the trust file cannot be used: {type(error).__name__}"])
        return 2
    url = make_url(settings.database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    found = 0
    try:
        with psycopg.connect(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            audit = Audit(connection, policy)
            for fault in islice(audit.run(), _MOST_FAULTS):
                found += 1
                sys.stdout.write(f"{fault}\n")
            with suppress(psycopg.Error):
                connection.rollback()
    except psycopg.Error as error:
        write_problems([f"the database cannot be read: {type(error).__name__}"])
        return 2
    sys.stdout.write(f"{'FAULTS ' + str(found) if found else 'clean'}: {audit.summary}\n")
    return 1 if found else 0
