"""The log watched through Envoy with the agent's own commands, with public keys and the spool's receipts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lienthong.samples.generator import Generator

from deploy.local.seed import sample_person
from deploy.local.suite import LocalStack
from deploy.local.witnesses import WITNESSES

pytestmark = pytest.mark.xdist_group("stack")
FACILITY = "01001"


def agent(stack: LocalStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    (profile,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == FACILITY]
    command = [sys.executable, "-m", "lienthong.agent", "--profile", profile, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def submitted(stack: LocalStack, folder: Path, seed: int) -> Path:
    """The complete receipt of a document that was signed and sent."""
    episode = Generator(seed).episode(sample_person(stack.endpoints["persons"][0]), FACILITY, "3176")
    source, receipt = folder / f"{seed}.xml", folder / f"{seed}.receipt.json"
    source.write_bytes(episode.content)
    done(agent(stack, "sign", str(source), "--out", str(folder / "signed")))
    done(agent(stack, "submit", str(folder / "signed" / source.name), "--document-id", episode.document_id))
    done(agent(stack, "receipt", "get", episode.document_id, "--out", str(receipt)))
    return receipt


def done(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 0, (process.args, process.stdout, process.stderr)
    return process.stdout


def test_watching_the_log_as_a_facility(stack: LocalStack, folder: Path) -> None:
    receipts = folder / "receipts"
    receipts.mkdir()
    old, new = folder / "old.checkpoint", folder / "new.checkpoint"
    (receipts / "1.json").write_bytes(submitted(stack, folder, 4101).read_bytes())
    done(agent(stack, "log", "checkpoint", "--out", str(old)))
    second = submitted(stack, folder, 4102)
    (receipts / "2.json").write_bytes(second.read_bytes())
    done(agent(stack, "log", "checkpoint", "--out", str(new)))
    assert "consistent: " in done(agent(stack, "log", "consistent", str(new), str(old)))
    assert "witnesses    witness.lienthong.vn/" in done(agent(stack, "receipt", "verify", str(second)))
    assert "renewed" in done(agent(stack, "receipt", "renew", str(second)))
    assert "LOGGED" in done(agent(stack, "receipt", "verify", str(second)))
    watch = ("log", "monitor", "--state", str(folder / "monitor.db"), "--receipts", str(receipts))
    assert "followed " in done(agent(stack, *watch))
    # A receipt that was tampered with is named, and the exit code says so.
    changed = json.loads(second.read_text())
    changed["promise"] = changed["promise"].replace("Z\n", "Z \n", 1)
    (receipts / "3.json").write_text(json.dumps(changed))
    alarmed = agent(stack, *watch)
    assert (alarmed.returncode, "RECEIPT_INVALID: " in alarmed.stderr) == (1, True)
    wrong = folder / "wrong.checkpoint"
    wrong.write_text(old.read_text().replace("\n", "\n1", 1))
    refused = agent(stack, "log", "consistent", str(wrong), str(new))
    assert (refused.returncode, "CHECKPOINT_INVALID" in refused.stderr) == (1, True)


def test_witnesses_that_die_come_back_with_their_memory(stack: LocalStack, folder: Path) -> None:
    submitted(stack, folder, 4111)
    for name in WITNESSES:
        stack.kill(f"witness-{name}")
    receipt = submitted(stack, folder, 4112)
    assert "witnesses    witness.lienthong.vn/" in done(agent(stack, "receipt", "verify", str(receipt)))
    for name in WITNESSES:
        config = stack.folder / "witnesses" / name / "witness.toml"
        command = [sys.executable, "-m", "lienthong.witness", "show", str(config)]
        said = done(subprocess.run(command, capture_output=True, text=True, check=False))
        assert said.startswith("log.lienthong.vn/2026 ")
        assert "FORKS" not in said


def test_the_database_of_the_log_is_sound(stack: LocalStack, folder: Path) -> None:
    submitted(stack, folder, 4103)
    environment = {
        **os.environ,
        "LIENTHONG_DATABASE_URL": stack.postgres.url("signing"),
        "LIENTHONG_WITNESS_POLICY": stack.endpoints["trust_policy"],
    }
    command = [sys.executable, "-m", "services.signing", "fsck"]
    assert done(subprocess.run(command, capture_output=True, text=True, env=environment, check=False)).startswith(
        "clean: "
    )
