"""fsck finds every kind of fault in the log's tables, by name, and nothing in a log that is whole."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import aiohttp
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lienthong.client.tlog.checkpoint import Checkpoint, Cosigner, sign_checkpoint
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from sqlalchemy.engine import make_url

from deploy.local.ports import Ports
from services.chassis.database import Database
from services.chassis.settings import DatabaseSettings
from services.signing import fsck
from services.signing.model import CheckpointTimestamp, WitnessCosignature
from services.signing.peers import HttpTimestampAuthority
from services.signing.postgres import PostgresCheckpointStore, PostgresLogStore
from tests.fixtures.database import DatabaseFor
from tests.integration.signing.outside import OpensslTimestamps, listen

ORIGIN = "log.example/2026"
LOG, OTHER = NoteSigner.generate(ORIGIN), NoteSigner.generate(ORIGIN)
WITNESS = Cosigner("witness.example/w1", Ed25519PrivateKey.generate())
THEN = datetime(2026, 11, 1, tzinfo=UTC)


def entry(facility: str, number: int, at: datetime = THEN) -> bytes:
    value = {
        "v": 1,
        "kind": "INSURANCE_RECORD",
        "facility": facility,
        "sequence": number,
        "submission": f"0190a000-0000-7000-8000-{number:012}",
        "commitment": "00" * 32,
        "signer_certificate_sha256": "ab" * 32,
        "indication": "TOTAL_PASSED",
        "received_at": at.isoformat().replace("+00:00", "Z"),
    }
    return json.dumps(value).encode()


@dataclass
class Log:
    """A log on its database, and its owner's way around the application's rights."""

    settings: DatabaseSettings
    policy: Path
    roots: Path
    store: PostgresLogStore
    checkpoints: PostgresCheckpointStore

    def tamper(self, *statements: str) -> None:
        owner = make_url(self.settings.owner_url or "").set(drivername="postgresql")
        with psycopg.connect(owner.render_as_string(hide_password=False)) as connection:
            for statement in statements:
                connection.execute(statement)

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "LIENTHONG_DATABASE_URL": self.settings.url,
            "LIENTHONG_WITNESS_POLICY": str(self.policy),
            "LIENTHONG_STAMP_ROOTS": str(self.roots),
            **more,
        }

    def fsck(self, **more: str) -> tuple[int, list[str], str]:
        """Exit code, the lines of faults, and the summary."""
        with redirect_stdout(StringIO()) as told, redirect_stderr(StringIO()):
            code = fsck.main(self.environment(**more))
        *faults, summary = told.getvalue().splitlines() or [""]
        return code, faults, summary


def sign(size: int, root: bytes) -> str:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG)


@pytest.fixture
async def log(database_for: DatabaseFor, tmp_path: Path) -> AsyncIterator[Log]:
    settings, authority = database_for("signing"), OpensslTimestamps(tmp_path)
    policy = TrustPolicy(
        logs=(LOG.verifier_key,), witnesses={"w": WITNESS.verifier_key}, quorum="w", witness_urls={"w": "http://w"}
    )
    (tmp_path / "trust.policy").write_text(policy.encode())
    async with Database(settings) as database:
        store, checkpoints = PostgresLogStore(database), PostgresCheckpointStore(database)
        for first in (1, 6, 11, 16):
            numbers = range(first, first + 5)
            await store.append([entry(facility, number) for number in numbers for facility in ("01001", "79001")])
            checkpoint = await store.publish(sign, THEN)
            assert checkpoint is not None
            line = WITNESS.signature(checkpoint.note.split("\n\n")[0] + "\n", THEN).encode()
            await checkpoints.cosign(checkpoint.size, [WitnessCosignature(WITNESS.verifier_key.name, line, THEN)], THEN)
        newest = await checkpoints.newest()
        assert newest is not None
        await checkpoints.stamp(CheckpointTimestamp(newest, await token(authority, newest.note.encode()), THEN))
        yield Log(settings, tmp_path / "trust.policy", authority.roots, store, checkpoints)


async def token(authority: OpensslTimestamps, content: bytes) -> bytes:
    """A token of `openssl ts` over content."""
    ports = Ports()
    address = ports.reserve()
    runner = await listen(authority.application(), address)
    async with aiohttp.ClientSession() as http:
        roots = x509.load_pem_x509_certificates(authority.roots.read_bytes())
        made, _ = await HttpTimestampAuthority(http, f"http://{address}/tsa", roots).stamp(content)
    await runner.cleanup()
    ports.release()
    return made


def test_a_whole_log_is_clean(log: Log) -> None:
    code, faults, summary = log.fsck()
    assert (code, faults) == (0, [])
    assert summary == "clean: 40 entries, 4 checkpoints, 4 cosignatures, 1 time-stamps"


def test_as_a_command(log: Log) -> None:
    log.tamper("DELETE FROM log_entry WHERE leaf_index = 5")
    done = subprocess.run(
        [sys.executable, "-m", "services.signing", "fsck"],
        env={**os.environ, **log.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[0] == "ENTRY_MISSING entries 5-5"


FLIP = "set_byte({0}, 5, get_byte({0}, 5) # 1)"
CASES = {
    "an entry changed": (
        (
            "UPDATE log_entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'TOTAL_PASSED', 'TOTAL_FAILED'), 'UTF8')"
            " WHERE leaf_index = 16"
        ),
        ["LEAF_HASH_MISMATCH entry 16"],
    ),
    "a number changed": (
        (
            "UPDATE log_entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '\"sequence\": 9', '\"sequence\": 8'), 'UTF8')"
            " WHERE leaf_index = 16"
        ),
        [
            "LEAF_HASH_MISMATCH entry 16",
            "SEQUENCE_DUPLICATE entry 16 facility 01001 number 8",
            "SEQUENCE_GAP facility 01001 numbers 9-9",
        ],
    ),
    "an entry that is no entry": (
        "UPDATE log_entry SET entry = 'x' WHERE leaf_index = 39",
        ["LEAF_HASH_MISMATCH entry 39", "ENTRY_UNREADABLE entry 39"],
    ),
    "entries dropped": ("DELETE FROM log_entry WHERE leaf_index IN (20, 21)", ["ENTRY_MISSING entries 20-21"]),
    "the newest entry dropped": (
        "DELETE FROM log_entry WHERE leaf_index = 39",
        [
            "CHECKPOINT_BEYOND_LOG checkpoint 40",
            "NODE_UNEXPECTED node 3/4",
            "STATE_SIZE_MISMATCH state 40 entries 39",
        ],
    ),
    "a node changed": (
        f"UPDATE log_node SET hash = {FLIP.format('hash')} WHERE level = 4 AND index = 1",
        ["NODE_HASH_MISMATCH node 4/1"],
    ),
    "a node dropped": ("DELETE FROM log_node WHERE level = 3 AND index = 2", ["NODE_MISSING node 3/2"]),
    "a node too many": ("INSERT INTO log_node VALUES (5, 1, 'x')", ["NODE_UNEXPECTED node 5/1"]),
    "a node of a level that is not kept": (
        "INSERT INTO log_node VALUES (2, 1, 'x'), (63, 0, 'x')",
        ["NODE_UNEXPECTED node 2/1", "NODE_UNEXPECTED node 63/0"],
    ),
    "the state": ("UPDATE log_state SET size = 41", ["STATE_SIZE_MISMATCH state 41 entries 40"]),
    "a root": (
        f"UPDATE log_checkpoint SET root = {FLIP.format('root')} WHERE size = 20",
        ["CHECKPOINT_ROOT_MISMATCH checkpoint 20", "CHECKPOINT_TEXT_MISMATCH checkpoint 20"],
    ),
    "a note": (
        "UPDATE log_checkpoint SET note = replace(note, '— ', '— x') WHERE size = 20",
        ["CHECKPOINT_SIGNATURE_INVALID checkpoint 20"],
    ),
    "the note of another size": (
        "UPDATE log_checkpoint SET note = (SELECT note FROM log_checkpoint WHERE size = 10) WHERE size = 20",
        ["CHECKPOINT_TEXT_MISMATCH checkpoint 20", "COSIGNATURE_INVALID checkpoint 20", "QUORUM_MISSING checkpoint 20"],
    ),
    "a cosignature of another checkpoint": (
        "UPDATE log_cosignature SET line = (SELECT line FROM log_cosignature WHERE size = 10) WHERE size = 20",
        ["COSIGNATURE_INVALID checkpoint 20", "QUORUM_MISSING checkpoint 20"],
    ),
    "a line that is no cosignature": (
        "UPDATE log_cosignature SET line = 'nothing' WHERE size = 30",
        ["COSIGNATURE_MALFORMED checkpoint 30", "QUORUM_MISSING checkpoint 30"],
    ),
    "a cosignature dropped": ("DELETE FROM log_cosignature WHERE size = 30", ["QUORUM_MISSING checkpoint 30"]),
    "a token": (
        "UPDATE log_timestamp SET token = set_byte(token, length(token) - 5, get_byte(token, length(token) - 5) # 1)",
        ["TIMESTAMP_INVALID checkpoint 40"],
    ),
    "the token of another checkpoint": (
        "UPDATE log_timestamp SET size = 30",
        ["TIMESTAMP_INVALID checkpoint 30"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_has_its_name(log: Log, case: str) -> None:
    statement, expected = CASES[case]
    log.tamper(statement)
    code, faults, summary = log.fsck()
    assert faults == expected
    assert (code, summary.startswith(f"FAULTS {len(expected)}")) == (1, True)


def test_a_log_that_was_written_anew_does_not_bear_the_old_signatures(log: Log) -> None:
    """Whoever rewrites an entry with its leaf hash needs every node and every signed root above it as well."""
    log.tamper(
        "UPDATE log_entry SET entry = 'x', leaf_hash = sha256('\\x0078'::bytea) WHERE leaf_index = 3",
    )
    code, faults, _ = log.fsck()
    assert code == 1
    assert {fault.split()[0] for fault in faults} == {
        "ENTRY_UNREADABLE",
        "NODE_HASH_MISMATCH",
        "CHECKPOINT_ROOT_MISMATCH",
        "SEQUENCE_GAP",
    }
    assert sum(fault.startswith("CHECKPOINT") for fault in faults) == 4


def test_the_key_of_another_log(log: Log) -> None:
    policy = TrustPolicy(logs=(OTHER.verifier_key,))
    log.policy.write_text(policy.encode())
    code, faults, _ = log.fsck()
    assert (code, faults) == (1, [f"CHECKPOINT_SIGNATURE_INVALID checkpoint {size}" for size in (10, 20, 30, 40)])


async def test_numbers_on_their_way_are_no_gap_and_overdue_ones_are(log: Log) -> None:
    await log.store.append([entry("01001", 23, datetime.now(UTC))])
    assert (await asyncio.to_thread(log.fsck))[0] == 0
    await log.store.append([entry("01001", 25, datetime.now(UTC) - timedelta(minutes=2))])
    code, faults, _ = await asyncio.to_thread(log.fsck)
    # 24 is missing below a number of two minutes ago; so are 21 and 22, whose numbers are smaller still.
    assert (code, faults) == (1, ["SEQUENCE_GAP facility 01001 numbers 24-24"])


def test_numbers_may_carry_on_from_another_year(log: Log) -> None:
    assert log.fsck(LIENTHONG_FSCK_START="0")[0] == 0
    assert log.fsck(LIENTHONG_FSCK_START="2")[1] == [
        "SEQUENCE_DUPLICATE entry 0 facility 01001 number 1",
        "SEQUENCE_DUPLICATE entry 1 facility 79001 number 1",
    ]


def test_what_it_cannot_use_is_said(log: Log, tmp_path: Path) -> None:
    assert log.fsck(LIENTHONG_WITNESS_POLICY=str(tmp_path / "none"))[0] == 2
    log.settings = replace(log.settings, url=log.settings.url + "_gone")
    assert log.fsck()[0] == 2
