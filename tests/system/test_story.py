"""The main story through Envoy with the agent's own commands, as `make demo` tells it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lienthong.samples.generator import Generator

from deploy.local.seed import sample_person
from deploy.local.story import TARGET
from deploy.local.suite import LocalStack

pytestmark = pytest.mark.xdist_group("stack")


def test_the_story_is_told_to_its_end(told: str) -> None:
    assert "equal to what hospital A signed" in told
    for role in ("identity", "records", "signing", "referrals", "consent"):
        assert f"      {role}: " in told, f"no span of {role} in the trace"


def agent(stack: LocalStack, facility: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The agent's command."""
    (profile,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == facility]
    command = [sys.executable, "-m", "lienthong.agent", "--profile", profile, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_unsigned_and_altered_documents_are_refused_with_field_and_trace(stack: LocalStack, folder: Path) -> None:
    episode = Generator(11).episode(sample_person(stack.endpoints["persons"][1]), "19001", "3176")
    unsigned = folder / "unsigned.xml"
    unsigned.write_bytes(episode.content)
    signed = folder / "signed"
    assert agent(stack, "19001", "sign", str(unsigned), "--out", str(signed)).returncode == 0
    altered = folder / "altered.xml"
    altered.write_bytes((signed / "unsigned.xml").read_bytes().replace(b"<MACSKCB>19001", b"<MACSKCB>19001 ", 1))
    for path, reason in ((unsigned, "SIGNATURE_MISSING"), (altered, "DIGEST_MISMATCH")):
        done = agent(stack, "19001", "submit", str(path))
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert "DOCUMENT_REJECTED" in said
        assert "trace: " in said
        assert reason in said or "FACILITY" in said or "DIGEST" in said, said
        assert "Traceback" not in said


def test_a_document_signed_with_another_facilitys_key_is_refused(stack: LocalStack, folder: Path) -> None:
    episode = Generator(12).episode(sample_person(stack.endpoints["persons"][1]), "19001", "3176")
    path = folder / "foreign.xml"
    path.write_bytes(episode.content)
    signed = folder / "signed"
    assert agent(stack, TARGET, "sign", str(path), "--out", str(signed)).returncode == 0
    done = agent(stack, "19001", "submit", str(signed / "foreign.xml"))
    assert done.returncode == 1
    assert "SIGNER_OF_OTHER_FACILITY" in done.stdout + done.stderr


def test_no_log_holds_a_sample_persons_name_or_number(stack: LocalStack) -> None:
    logs = "".join(path.read_text("utf-8", "replace") for path in Path(stack.endpoints["logs"]).glob("*.log"))
    spans = Path(stack.endpoints["spans"]).read_text("utf-8")
    assert "lienthong" in logs + spans
    for person in stack.endpoints["persons"]:
        for secret in (person["citizen_number"], person["full_name"], json.dumps(person["full_name"])[1:-1]):
            assert secret not in logs
            assert secret not in spans
