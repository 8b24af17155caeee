"""`python -m services.signing fsck`: recomputes everything the log's tables say, from the entries up, and names each fault.

It needs the database (reading is enough) and public keys; it sees one moment of the database, so the log may go on meanwhile. Memory is bounded:
every table is read once, in order, side by side.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from lienthong.client.ledger import is_anchor
from lienthong.client.tlog.checkpoint import cosignatures, open_checkpoint
from lienthong.client.tlog.merkle import CompactRange, leaf_hash
from lienthong.client.tlog.note import NoteError, NoteSignatureInvalid, VerifierKey
from lienthong.client.tlog.policy import PolicyInvalid, TrustPolicy, load_policy
from lienthong.client.tlog.receipt import ReceiptMalformed, parse_entry
from lienthong.client.tlog.sequence import FacilitySequences
from sqlalchemy.engine import make_url

from services.chassis.settings import DatabaseSettings, SettingsError, load
from services.chassis.status import write_problems
from services.signing.peers.timestamp import verify_token
from services.signing.ports import TimestampFailed
from services.signing.tree import LEAST_STORED

_MOST_FAULTS = 10_000
_ROWS = 2_000
_HIGHEST = 63

_ENTRIES = "SELECT leaf_index, leaf_hash, entry FROM log_entry ORDER BY leaf_index"
_NODES = "SELECT index, hash FROM log_node WHERE level = %s ORDER BY index"
_STRAY = "SELECT level, index FROM log_node WHERE level < %s OR level > %s ORDER BY level, index"
_CHECKPOINTS = (
    "SELECT c.size, c.root, c.note, w.size IS NOT NULL AS witnessed, t.token,"
    " ARRAY(SELECT s.line FROM log_cosignature s WHERE s.size = c.size ORDER BY s.witness) AS lines"
    " FROM log_checkpoint c LEFT JOIN log_witnessed w USING (size) LEFT JOIN log_timestamp t USING (size) ORDER BY c.size"
)


@dataclass(frozen=True)
class Fault:
    """One fault: its stable name and the row it is in, such as `entry 17`."""

    name: str
    where: str

    def __str__(self) -> str:
        return f"{self.name} {self.where}"


@dataclass
class Summary:
    """How much was looked at."""

    entries: int = 0
    checkpoints: int = 0
    cosignatures: int = 0
    timestamps: int = 0

    def __str__(self) -> str:
        return (
            f"{self.entries} entries, {self.checkpoints} checkpoints, {self.cosignatures} cosignatures,"
            f" {self.timestamps} time-stamps"
        )


@dataclass(frozen=True)
class FsckSettings:
    """`witness_policy` is the trust file with the log's key, the witnesses and the quorum; `stamp_roots` the certificates above the time-stamp
    authority (PEM), none leaves tokens unchecked; `fsck_start` the first number of a facility, 0 where the log carries on another year's."""

    database: DatabaseSettings
    witness_policy: Path
    stamp_roots: Path | None = None
    fsck_start: int = 1


class Fsck:
    """One check over one connection."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        policy: TrustPolicy,
        roots: Sequence[x509.Certificate],
        now: datetime,
        start: int | None = 1,
    ) -> None:
        self.summary = Summary()
        self._connection = connection
        self._policy = policy
        self._roots = roots
        self._now = now
        self._sequences = FacilitySequences(start)
        self._levels = {level: _Level(level, self._rows(_NODES, level)) for level in range(LEAST_STORED, _HIGHEST)}

    def run(self) -> Iterator[Fault]:
        """Every fault, in the order of the log."""
        # One snapshot for all tables, and no right to change any.
        self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        checkpoints = self._rows(_CHECKPOINTS)
        waiting = next(checkpoints, None)
        tree = CompactRange()
        for index, digest, entry in self._rows(_ENTRIES):
            if index != tree.size:
                # What follows stands at wrong places in the tree: nothing above the gap can be computed.
                yield Fault("ENTRY_MISSING", f"entries {tree.size}-{index - 1}")
                return
            yield from self._entry(index, bytes(digest), bytes(entry))
            for (level, place), node in tree.append(bytes(digest)):
                if level >= LEAST_STORED:
                    yield from self._levels[level].expect(place, node)
            self.summary.entries += 1
            while waiting is not None and waiting[0] <= tree.size:
                yield from self._checkpoint(waiting, tree.root())
                waiting = next(checkpoints, None)
        while waiting is not None:
            yield Fault("CHECKPOINT_BEYOND_LOG", f"checkpoint {waiting[0]}")
            waiting = next(checkpoints, None)
        yield from self._ends(tree.size)

    def _entry(self, index: int, digest: bytes, entry: bytes) -> Iterator[Fault]:
        if leaf_hash(entry) != digest:
            yield Fault("LEAF_HASH_MISMATCH", f"entry {index}")
        try:
            said = parse_entry(entry)
        except ReceiptMalformed:
            if not is_anchor(entry):
                yield Fault("ENTRY_UNREADABLE", f"entry {index}")
            return
        if fault := self._sequences.add(said.facility, said.sequence, said.received_at):
            yield Fault(fault.fault.value, f"entry {index} facility {said.facility} number {said.sequence}")

    def _checkpoint(self, row: Any, root: bytes) -> Iterator[Fault]:
        size, stored, note, witnessed, token, lines = row
        where = f"checkpoint {size}"
        self.summary.checkpoints += 1
        if bytes(stored) != root:
            yield Fault("CHECKPOINT_ROOT_MISMATCH", where)
        try:
            checkpoint, _ = open_checkpoint(note, self._policy.logs)
        except NoteError:
            yield Fault("CHECKPOINT_SIGNATURE_INVALID", where)
            return
        if (checkpoint.size, checkpoint.root) != (size, bytes(stored)):
            yield Fault("CHECKPOINT_TEXT_MISMATCH", where)
        yield from self._cosignatures(where, note, lines, witnessed=witnessed)
        if token is not None:
            self.summary.timestamps += 1
            if self._roots:
                try:
                    verify_token(bytes(token), note.encode(), self._roots)
                except TimestampFailed:
                    yield Fault("TIMESTAMP_INVALID", where)

    def _cosignatures(self, where: str, note: str, lines: Sequence[str], *, witnessed: bool) -> Iterator[Fault]:
        seen: set[VerifierKey] = set()
        for line in lines:
            self.summary.cosignatures += 1
            try:
                _, opened = open_checkpoint(note + line, self._policy.logs)
                found = cosignatures(opened, self._policy.witnesses.values())
            except NoteError as error:
                name = "COSIGNATURE_INVALID" if isinstance(error, NoteSignatureInvalid) else "COSIGNATURE_MALFORMED"
                yield Fault(name, where)
                continue
            seen.update(one.key for one in found)
        if witnessed and not self._policy.satisfied(seen):
            yield Fault("QUORUM_MISSING", where)

    def _ends(self, size: int) -> Iterator[Fault]:
        """What is left when the entries are through."""
        for rows in self._levels.values():
            yield from rows.end()
        for level, index in self._rows(_STRAY, LEAST_STORED, _HIGHEST - 1):
            yield Fault("NODE_UNEXPECTED", f"node {level}/{index}")
        row = self._connection.execute("SELECT size FROM log_state WHERE id = 1").fetchone()
        if row is None or row[0] != size:
            yield Fault("STATE_SIZE_MISMATCH", f"state {row[0] if row else 'missing'} entries {size}")
        for gap in self._sequences.gaps(self._now):
            yield Fault(gap.fault.value, f"facility {gap.facility} numbers {gap.first}-{gap.last}")

    def _rows(self, statement: str, *values: int) -> Iterator[Any]:
        """Rows of a statement, fetched in pieces."""
        with self._connection.cursor(name=f"fsck_{id(statement)}_{'_'.join(map(str, values))}") as cursor:
            cursor.itersize = _ROWS
            cursor.execute(statement, values or None, binary=True)
            yield from cursor


@dataclass
class _Level:
    """The stored nodes of one level beside the computed ones."""

    level: int
    rows: Iterator[Any]
    waiting: tuple[int, bytes] | None = None
    started: bool = False

    def expect(self, index: int, digest: bytes) -> Iterator[Fault]:
        self._start()
        while self.waiting is not None and self.waiting[0] < index:
            yield Fault("NODE_UNEXPECTED", f"node {self.level}/{self.waiting[0]}")
            self.waiting = next(self.rows, None)
        if self.waiting is None or self.waiting[0] > index:
            yield Fault("NODE_MISSING", f"node {self.level}/{index}")
            return
        if bytes(self.waiting[1]) != digest:
            yield Fault("NODE_HASH_MISMATCH", f"node {self.level}/{index}")
        self.waiting = next(self.rows, None)

    def end(self) -> Iterator[Fault]:
        self._start()
        while self.waiting is not None:
            yield Fault("NODE_UNEXPECTED", f"node {self.level}/{self.waiting[0]}")
            self.waiting = next(self.rows, None)

    def _start(self) -> None:
        if not self.started:
            self.started = True
            self.waiting = next(self.rows, None)


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Prints each fault on a line; 0 when there is none, 1 when there are, 2 when it could not be run."""
    try:
        settings = load(FsckSettings, environ)
        policy = load_policy(settings.witness_policy.read_text("utf-8"))
        roots = x509.load_pem_x509_certificates(settings.stamp_roots.read_bytes()) if settings.stamp_roots else []
    except SettingsError as error:
        write_problems(error.problems)
        return 2
    except (OSError, ValueError, PolicyInvalid) as error:
        write_problems([f"a file of the settings cannot be used: {type(error).__name__}"])
        return 2
    url = make_url(settings.database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(url) as connection:
            check = Fsck(connection, policy, roots, datetime.now(UTC), settings.fsck_start or None)
            found = 0
            for fault in islice(check.run(), _MOST_FAULTS):
                found += 1
                sys.stdout.write(f"{fault}\n")
            with suppress(psycopg.Error):
                connection.rollback()
    except psycopg.Error as error:
        write_problems([f"the database cannot be read: {type(error).__name__}"])
        return 2
    sys.stdout.write(f"{'FAULTS ' + str(found) if found else 'clean'}: {check.summary}\n")
    return 1 if found else 0
